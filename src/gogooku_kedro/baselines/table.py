"""The table of models: what each is called, how it is shown, and which function fits it.

A baseline is one file with a function of a `FitContext` and one entry of `MODELS`. Whoever evaluates loops over the
stacked predictions and asks this table for the rest. Functions are resolved when a model is fitted, so that importing
the table imports no learning library. Read `table.MODELS` when you need it instead of importing the name: an entry
that is added later is then seen too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from gogooku_kedro.baselines.rows import FitContext

Role = Literal["network", "learned", "blend", "rule", "chance", "oracle"]
Version = Literal["neighbours", "pca", "sector"]


@dataclass(frozen=True)
class NeutralVersion:
    """A way to take out of a score what stocks share.

    Attributes:
        suffix: Ending of the name, behind that of the model.
        words: What stands for it in a narrow table.
        colour: Of its curve; figures show the neutral versions of the network only.
    """

    suffix: str
    words: str
    colour: str


VERSIONS: dict[Version, NeutralVersion] = {
    "neighbours": NeutralVersion("_neutral", "ex neighbours", "#56B4E9"),
    "pca": NeutralVersion("_pca_neutral", "ex factors", "#0B3C5D"),
    "sector": NeutralVersion("_sector_neutral", "ex sector", "#7FA6C9"),
}


@dataclass(frozen=True)
class Model:
    """A model whose scores are measured.

    Attributes:
        name: In the column `model` of every table.
        label: Words for a wide table.
        colour: Of its curves; those here are by Okabe and Ito (2008), told apart under the common colour-vision
            deficiencies.
        role: The network, a learned baseline, a blend, a rule, chance, or an oracle of the sample market.
        fit: "module:function" that takes a `FitContext` and returns date, code, split, score_<h>d of the valid and
            test parts, with a leading dot for a module of this package; empty for what is scored elsewhere.
        neutral: Neutral versions that are measured beside it.
        first_screen: Whether the first screen of the report holds the network against it.
        drawn: Whether its curve is shown before a click in the legend; few curves can be told apart.
        short_name: Name for a narrow table; empty = `name`.
        members: Models that a blend is made of.
    """

    name: str
    label: str
    colour: str
    role: Role
    fit: str = ""
    neutral: tuple[Version, ...] = ("neighbours", "pca", "sector")
    first_screen: bool = False
    drawn: bool = False
    short_name: str = ""
    members: tuple[str, ...] = ()


NETWORK = "model"
WITHOUT_GRAPH = "model_off"
"""The network without its GAT, where a run trains it too (`ablation.arm_in_run`)."""
ONLINE = "model_online"
"""The network after a step a day on matured labels, in walk-forward with `walk_forward.online_rate`."""
REFERENCE = "lightgbm"
"""The baseline beside the network in figures, and in the report's first question where validation names none."""
BLEND = "blend"
"""The blend with the network; `blend_baselines` is its control, the same without the network."""
GRAPH_PAIR = ("lightgbm_peers", "lightgbm_own")
"""Models that differ in the graph alone, the one with it first: what the graph is worth to trees."""

MODELS: tuple[Model, ...] = (
    Model(NETWORK, "ATFT-GAT-FAN", "#0072B2", "network", drawn=True),
    Model(ONLINE, "ATFT-GAT-FAN, updated daily", "#00506F", "learned", neutral=("pca",), short_name="model, updated"),
    Model(WITHOUT_GRAPH, "ATFT-GAT-FAN without its GAT", "#7FB8DA", "learned", neutral=(), short_name="model, no GAT"),
    Model("ridge", "Ridge", "#E69F00", "learned", ".ridge:fit", first_screen=True, drawn=True),
    Model(
        REFERENCE, "LightGBM, the same features", "#D55E00", "learned", ".lightgbm:fit", first_screen=True, drawn=True
    ),
    Model(
        "lightgbm_own",
        "LightGBM without anything of the graph",
        "#F2A65A",
        "learned",
        ".lightgbm:fit_own",
        first_screen=True,
    ),
    Model(
        "lightgbm_peers",
        "LightGBM with the neighbours' mean features",
        "#8A3A00",
        "learned",
        ".lightgbm:fit_neighbours",
        first_screen=True,
        drawn=True,
    ),
    Model("lstm", "LSTM ranker", "#882255", "learned", ".lstm:fit", first_screen=True, drawn=True),
    Model(
        BLEND,
        "Blend: ATFT-GAT-FAN, LightGBM, ridge",
        "#4B2E83",
        "blend",
        neutral=("pca",),
        members=(NETWORK, REFERENCE, "ridge"),
    ),
    Model(
        "blend_baselines",
        "Blend: LightGBM, ridge",
        "#B39DDB",
        "blend",
        neutral=("pca",),
        short_name="blend, no model",
        members=(REFERENCE, "ridge"),
    ),
    Model("reversal_1d", "1-session reversal", "#009E73", "rule", ".rules:reversal_1d"),
    Model("reversal_5d", "5-session reversal", "#CC79A7", "rule", ".rules:reversal_5d", first_screen=True, drawn=True),
    Model("momentum_20d", "20-session momentum", "#8C6D31", "rule", ".rules:momentum_20d"),
    Model("random", "Random score", "#7F7F7F", "chance", ".rules:random", neutral=(), drawn=True),
    Model("oracle", "Oracle", "#000000", "oracle", neutral=(), drawn=True),
    Model(
        "oracle_without_graph",
        "Oracle without the graph",
        "#5A5A5A",
        "oracle",
        neutral=(),
        short_name="oracle, no graph",
    ),
)
"""Every model, in the order of all tables and figures."""


def find(name: str) -> Model | None:
    """Return the entry of a model, None for a model that is not in the table."""
    return next((model for model in MODELS if model.name == name), None)


def on_first_screen() -> list[Model]:
    """Return the models that the first screen holds the network against, `REFERENCE` first."""
    return sorted((model for model in MODELS if model.first_screen), key=lambda model: model.name != REFERENCE)


def oracles() -> list[str]:
    """Return the names of the oracles of the sample market, which are no candidates."""
    return [model.name for model in MODELS if model.role == "oracle"]


def versions_of(name: str) -> dict[Version, str]:
    """Return the neutral versions that are measured of a model and their names; all of one not in the table."""
    model = find(name)
    wanted = tuple(VERSIONS) if model is None else model.neutral
    return {version: f"{name}{shown.suffix}" for version, shown in VERSIONS.items() if version in wanted}


def split_name(name: str) -> tuple[str, Version | None]:
    """Return the model and the neutral version in a name: "ridge_pca_neutral" -> ("ridge", "pca")."""
    for version in sorted(VERSIONS, key=lambda each: -len(VERSIONS[each].suffix)):
        if name.endswith(VERSIONS[version].suffix):
            return name.removesuffix(VERSIONS[version].suffix), version
    return name, None


def fit_function(model: Model) -> Callable[[FitContext], pd.DataFrame]:
    """Return the function that fits a model; its module is imported here."""
    module, _, function = model.fit.partition(":")
    found: Callable[[FitContext], pd.DataFrame] = getattr(import_module(module, __package__), function)
    return found
