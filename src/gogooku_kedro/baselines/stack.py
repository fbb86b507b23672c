"""All baselines of the table fitted, and the predictions of all models in one table, model by model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import pandas as pd
import xarray as xr

from gogooku_kedro.baselines import table
from gogooku_kedro.baselines.blend import Weights, blend_frames, members_of_blends
from gogooku_kedro.baselines.neutral import neutral_frames
from gogooku_kedro.baselines.rows import FitContext
from gogooku_kedro.columns import KEYS, score_column, score_columns
from gogooku_kedro.freed_memory import give_back
from gogooku_kedro.metrics.align import Predictions, check_columns, frames_of
from gogooku_kedro.params.evaluation import FactorsParams


def baseline_frames(context: FitContext) -> Iterator[pd.DataFrame]:
    """Fit every baseline of the table and yield its predictions, one baseline after the other.

    What one has freed is given back before the next begins: the LSTM builds tensors where the bins of trees were.

    Yields:
        model, date, code, split, score_<h>d of the valid and test parts.

    Raises:
        ValueError: The predictions of a baseline lack a column; the message names the baseline.
    """
    columns = [*KEYS, *(score_column(int(horizon)) for horizon in context.labels["horizon"].values)]
    for model in table.MODELS:
        if model.fit:
            give_back()
            scores = table.fit_function(model)(context)
            check_columns(scores, columns, f"predictions of {model.name}")
            yield _model_first(scores[columns].assign(model=model.name))


def fit_baselines(context: FitContext) -> pd.DataFrame:
    """Return all of `baseline_frames` as one table."""
    return pd.concat(baseline_frames(context), ignore_index=True)


def stacked_frames(
    predictions: pd.DataFrame,
    baselines: Predictions,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    factors: FactorsParams,
    oracles: Sequence[pd.DataFrame] = (),
    blends: Weights | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the scores of network, baselines, blends, of their neutral versions and of oracles, model by model.

    Args:
        predictions: Of the network: date, code, split, score_<h>d; quantiles are not carried over.
        baselines: The same with model, as from `fit_baselines`, or in frames as from `baseline_frames`.
        graph_edges: As for `neutral_frames`.
        panel: As for `neutral_frames`.
        factors: Number, window and cadence of the market's factors.
        oracles: From `oracle_predictions`; they have no neutral versions.
        blends: From `blend_weights`; None or empty = no blends.

    Yields:
        model, date, code, split, score_<h>d.
    """
    columns, blended = ["model", *KEYS, *score_columns(predictions)], members_of_blends() if blends else set()

    def own() -> Iterator[pd.DataFrame]:
        members: list[pd.DataFrame] = []
        for frame in chain([predictions.assign(model=table.NETWORK)], frames_of(baselines)):
            yield frame[columns]
            members += [rows for name, rows in frame.groupby("model", sort=False) if name in blended]
        yield from (frame[columns] for frame in blend_frames(members, blends or {}))

    yield from own()
    versions = neutral_frames(
        own(), graph_edges, panel, factors=factors.number, window=factors.window, cadence=factors.cadence
    )
    for frame in chain(versions, oracles):
        yield frame[columns]


def stack_models(
    predictions: pd.DataFrame,
    baselines: Predictions,
    graph_edges: pd.DataFrame,
    panel: xr.Dataset,
    factors: FactorsParams,
    oracles: Sequence[pd.DataFrame] = (),
    blends: Weights | None = None,
) -> pd.DataFrame:
    """Return all of `stacked_frames` as one table."""
    frames = stacked_frames(predictions, baselines, graph_edges, panel, factors, oracles, blends)
    return pd.concat(frames, ignore_index=True)


def _model_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["model", *(name for name in frame if name != "model")]]
