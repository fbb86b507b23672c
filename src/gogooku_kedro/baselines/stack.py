"""All baselines of the table fitted, and the predictions of all models in one table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines import table
from gogooku_kedro.baselines.neutral import neutral_versions
from gogooku_kedro.baselines.rows import FitContext
from gogooku_kedro.columns import KEYS, score_column
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.params.evaluation import FactorsParams


def fit_baselines(context: FitContext) -> pd.DataFrame:
    """Fit every baseline of the table.

    Returns:
        model, date, code, split, score_<h>d of the valid and test parts, one baseline after the other.

    Raises:
        ValueError: The predictions of a baseline lack a column; the message names the baseline.
    """
    columns = [*KEYS, *(score_column(int(horizon)) for horizon in context.labels["horizon"].values)]
    frames = []
    for model in table.MODELS:
        if model.fit:
            scores = table.fit_function(model)(context)
            check_columns(scores, columns, f"predictions of {model.name}")
            frames.append(scores[columns].assign(model=model.name))
    return _model_first(frames)


def stack_models(
    predictions: pd.DataFrame,
    baselines: pd.DataFrame,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    factors: FactorsParams,
    oracles: Sequence[pd.DataFrame] = (),
) -> pd.DataFrame:
    """Return the scores of the network, of the baselines, of their neutral versions and of oracles as one table.

    Args:
        predictions: Of the network: date, code, split, score_<h>d; quantiles are not carried over.
        baselines: The same with model, as from `fit_baselines`.
        graph_edges: As for `neutral_versions`.
        panel: As for `neutral_versions`.
        factors: Number, window and cadence of the market's factors.
        oracles: From `oracle_predictions`; they have no neutral versions.

    Returns:
        model, date, code, split, score_<h>d.
    """
    scores = pd.concat([predictions.assign(model=table.NETWORK), baselines], join="inner", ignore_index=True)
    neutral = neutral_versions(
        scores, graph_edges, panel, factors=factors.number, window=factors.window, cadence=factors.cadence
    )
    return _model_first([scores, neutral, *oracles])


def _model_first(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    stacked = pd.concat(frames, join="inner", ignore_index=True)
    return stacked[["model", *(name for name in stacked if name != "model")]]
