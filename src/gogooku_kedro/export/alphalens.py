"""Predictions beside what came of them, in the columns that alphalens reads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import score_column, score_columns
from gogooku_kedro.metrics.align import check_columns, horizons_of

QUANTILES = 10


def alphalens_table(
    predictions: pd.DataFrame, labels: xr.Dataset, sectors: pd.Series[str], horizon: int
) -> pd.DataFrame:
    """Return the factor data of alphalens: predictions and forward returns of every stock and session.

    Args:
        predictions: date, code, split and scores; quantiles are taken along.
        labels: `ret` (date, code, horizon), fractions; NaN = no label.
        sectors: Sector by code.
        horizon: Whose score is the factor.

    Returns:
        Index `date, asset`. `1D`, `5D`, ... are forward returns by `labels.entry`, `factor` is the score of the
        horizon, `factor_quantile` its decile on the date (1 to 10; missing on dates whose scores do not make ten),
        `group` the sector; then split, scores and quantiles as predictions have them. A return that does not exist
        is NaN, and its row stays.

    Raises:
        ValueError: The predictions lack a column or hold no rows, or the horizon has no score.
    """
    check_columns(predictions, ["date", "code", "split", score_column(horizon)], "predictions")
    if predictions.empty:
        raise ValueError("predictions hold no rows; run `kedro run --pipelines=training` first")
    index = pd.MultiIndex.from_arrays(
        [pd.DatetimeIndex(predictions["date"]), predictions["code"].astype(str)], names=["date", "asset"]
    )
    table = pd.DataFrame(_returns(predictions, labels), index=index)
    table["factor"] = predictions[score_column(horizon)].to_numpy(np.float64)
    by_date = table["factor"].groupby(level="date", sort=False)
    table["factor_quantile"] = by_date.transform(_quantiles)
    table["group"] = predictions["code"].astype(str).map(sectors).to_numpy()
    more = ["split", *score_columns(predictions), *(str(name) for name in predictions if str(name).startswith("q"))]
    return table.assign(**{name: predictions[name].to_numpy() for name in more}).sort_index()


def _returns(predictions: pd.DataFrame, labels: xr.Dataset) -> dict[str, np.ndarray]:
    """Forward returns of the predictions' rows, by the names of alphalens."""
    rows = labels.indexes["date"].get_indexer(pd.DatetimeIndex(predictions["date"]))
    columns = labels.indexes["code"].astype(str).get_indexer(pd.Index(predictions["code"].astype(str)))
    known = (rows >= 0) & (columns >= 0)
    ret = labels["ret"].transpose("date", "code", "horizon").to_numpy()
    found = {}
    for k, horizon in enumerate(horizons_of(labels)):
        found[f"{horizon}D"] = np.full(len(predictions), np.nan)
        found[f"{horizon}D"][known] = ret[rows[known], columns[known], k]
    return found


def _quantiles(scores: pd.Series[float]) -> pd.Series[float]:
    edges = np.quantile(scores, np.linspace(0.0, 1.0, QUANTILES + 1))
    if len(np.unique(edges)) <= QUANTILES:
        return scores * np.nan
    return pd.Series(pd.qcut(scores, QUANTILES, labels=False), index=scores.index) + 1.0
