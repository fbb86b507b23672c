"""Portfolios of every model held session by session, under the rules of ``evaluation.portfolio``."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import xarray as xr
from kedro.pipeline import node
from kedro.pipeline.node import Node

from gogooku_kedro.backtest import portfolios as portfolios_lib
from gogooku_kedro.backtest import summary as summary_lib
from gogooku_kedro.baselines import oracle as oracle_lib
from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.params import EvaluationParams
from gogooku_kedro.params.labels import LabelsParams
from gogooku_kedro.report.figures import portfolio as portfolio_lib


def measure_portfolios(
    predictions: pd.DataFrame,
    oracle_scores: pd.DataFrame,
    panel: xr.Dataset,
    events: xr.Dataset,
    labels: xr.Dataset,
    split: dict[str, Any],
    labelling: LabelsParams,
    params: EvaluationParams,
    *others: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, Any], go.Figure, go.Figure]:
    """Hold the portfolios of the model and of all others, day by day; measure and draw them.

    The ``others`` are prediction tables with a column ``model``.
    """
    oracle = oracle_lib.oracle_predictions(oracle_scores, predictions, split, HORIZONS, labelling.entry)
    stacked = pd.concat([predictions.assign(model="model"), *others, *oracle], join="inner", ignore_index=True)
    rules, entry = params.portfolio, labelling.entry
    costs = sorted({*rules.costs_bps, params.cost_bps})
    returns = portfolios_lib.backtest_portfolios(stacked, labels, panel, events, entry, rules, costs)
    measured = summary_lib.summarise_portfolios(
        returns, params.sessions_per_year, replications=params.bootstrap_samples, seed=params.seed
    )
    rules_here = {"rules": portfolios_lib.describe_portfolios(panel, events, entry, rules)}
    figures = (
        draw(returns, params.cost_bps) for draw in (portfolio_lib.portfolio_equity, portfolio_lib.portfolio_drawdown)
    )
    return returns, rules_here | measured, *figures


def portfolios_node(scored: Sequence[str]) -> Node:
    """The node ``measure_portfolios`` over the prediction tables of the stage.

    Args:
        scored: Datasets with scores: ``predictions``, ``oracle_scores``, and tables with a column ``model``.
    """
    others = [name for name in scored if name not in ("predictions", "oracle_scores")]
    market = ["panel", "events", "labels", "split", "params:labels", "params:evaluation"]
    outputs = ["portfolio_returns", "portfolio_metrics", "portfolio_equity", "portfolio_drawdown"]
    inputs = ["predictions", "oracle_scores", *market, *others]
    return node(measure_portfolios, inputs, outputs, name="measure_portfolios")
