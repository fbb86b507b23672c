"""Names of models in tables and figures: which are neutral versions, and how they are shown."""

from collections.abc import Sequence
from typing import Literal

from gogooku_kedro.baselines import table


def base_model(name: str) -> str:
    """Return the model that a name is a neutral version of: "ridge_pca_neutral" -> "ridge"."""
    return table.split_name(name)[0]


def short_name(name: str) -> str:
    """Return a name for a narrow table: "model_pca_neutral" -> "model ex factors"."""
    base, version = table.split_name(name)
    if version is not None:
        return f"{base} {table.VERSIONS[version].words}"
    model = table.find(name)
    return (model.short_name if model is not None else "") or name


def spoken_name(name: str) -> str:
    """Return a name for a sentence: "lightgbm" -> "LightGBM"."""
    model = table.find(name)
    return name if model is None else model.label.partition(",")[0]


def shown_models(names: Sequence[str]) -> list[str]:
    """Return the names, in their order, without the neutral versions of anything but the network."""
    return [name for name in names if base_model(name) in (name, table.NETWORK)]


def first_shown(name: str) -> bool | Literal["legendonly"]:
    """Return whether a curve is shown at first or, with "legendonly", after a click in the legend."""
    model = table.find(name)
    return True if model is not None and model.drawn else "legendonly"
