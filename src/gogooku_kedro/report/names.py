"""Names of models in tables and figures: which are neutral versions, and how they are shown."""

from collections.abc import Sequence
from typing import Literal

NEUTRAL = {
    "_pca_neutral": "ex factors",
    "_sector_neutral": "ex sector",
    "_neutral": "ex peers",
}
"""Ending of a neutral version's name, the longer ones first -> words that stand for it in a narrow table."""

NETWORK = "model"
"""Model whose neutral versions stand in short tables and in figures; the full tables have all."""


def base_model(name: str) -> str:
    """Return the model that a name is a neutral version of: "ridge_pca_neutral" -> "ridge"."""
    for ending in NEUTRAL:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def short_name(name: str) -> str:
    """Return a name for a narrow table: "model_pca_neutral" -> "model ex factors"."""
    if name == "oracle_without_graph":
        return "oracle, no graph"
    base = base_model(name)
    return name if base == name else f"{base} {NEUTRAL[name.removeprefix(base)]}"


def shown_models(names: Sequence[str]) -> list[str]:
    """Return the names, in their order, without the neutral versions of anything but the model."""
    return [name for name in names if base_model(name) in (name, NETWORK)]


DRAWN = ("model", "lightgbm", "lightgbm_peers", "lstm", "ridge", "reversal_5d", "random", "oracle")
"""Models whose curves are shown at first: few enough to be told apart."""


def first_shown(name: str) -> bool | Literal["legendonly"]:
    """Return whether a curve is shown at first or, with "legendonly", after a click in the legend."""
    return True if name in DRAWN else "legendonly"
