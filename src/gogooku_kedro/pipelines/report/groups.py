"""Which figure stands under which heading of the report, and which are left out as being of other data.

Library code is imported inside the function, so that listing pipelines stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from gogooku_kedro.report.page import FigureGroup

RANKING = ("cumulative_rank_ic", "monthly_rank_ic", "decile_returns", "calibration_plot")
PORTFOLIO = ("portfolio_equity", "portfolio_drawdown", "portfolio_turnover")
GRAPH = ("graph_monitoring", "degree_histogram")
TRAINING = ("loss_curves",)
OWN = (*RANKING, *PORTFOLIO, *GRAPH, *TRAINING)
"""Figures of every run."""

BESIDE = {
    "ablation": ("gat_effect_difference", "gat_effect_variants"),
    "explanation": ("attention_network", "weights_by_month", "importance_bars"),
    "walk_forward": ("walk_forward_rank_ic",),
}
"""Pipeline beside the default one -> its figures."""

FIGURES = (*OWN, *(name for names in BESIDE.values() for name in names))


def figure_groups(
    run: Mapping[str, Any],
    figures: Mapping[str, go.Figure | None],
    found: Mapping[str, Mapping[str, Any] | None],
) -> list[FigureGroup]:
    """Return the figures of the report by heading.

    Args:
        run: `run` of metrics.json.
        figures: By name of `FIGURES`; None for one that was not made.
        found: Pipeline of `BESIDE` -> what it wrote with its `run`; None where it was not run.
    """
    from gogooku_kedro.report import provenance  # noqa: PLC0415
    from gogooku_kedro.report.page import FigureGroup  # noqa: PLC0415
    from gogooku_kedro.report.tables import fold_table  # noqa: PLC0415

    def own(title: str, names: tuple[str, ...]) -> FigureGroup:
        return FigureGroup(title, [figures[name] for name in names])

    def beside(title: str, pipeline: str) -> FigureGroup:
        artefact = found[pipeline]
        state = provenance.origin(artefact, run)
        remark = provenance.remark(pipeline, state, artefact, run)
        if artefact is None or not provenance.usable(state):
            return FigureGroup(title, [], remark)
        tables = fold_table(artefact) if pipeline == "walk_forward" else []
        return FigureGroup(title, [figures[name] for name in BESIDE[pipeline]], remark, tables)

    return [
        own("Ranking", RANKING),
        own("Portfolio", PORTFOLIO),
        own("Graph network", GRAPH),
        beside("Graph network on and off", "ablation"),
        beside("What the model learned", "explanation"),
        beside("Walk-forward", "walk_forward"),
        own("Training", TRAINING),
    ]
