"""Whether predicted quantiles hold: the share of outcomes below each of them, and whether they cross.

The network's quantiles are of the Gaussian rank of what is learned (`labels.target`: the return, or with
`labels.residual` its residual) among the stocks of the universe that have a label on the date,
not of the return itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import horizon_name, horizon_sessions, quantile_column
from gogooku_kedro.metrics.align import check_columns
from gogooku_kedro.metrics.rank_ic import MIN_PAIRS
from gogooku_kedro.metrics.significance import mean_interval
from gogooku_kedro.typing import FloatArray

DAILY_QUANTILE_COLUMNS = ["split", "horizon", "date", "level", "share_below", "crossing", "n"]
CALIBRATION_COLUMNS = ["split", "horizon", "level", "share_below", "low", "high", "crossing", "days"]


def daily_quantiles(predictions: pd.DataFrame, ranks: xr.DataArray, levels: Sequence[float]) -> pd.DataFrame:
    """Return the share of outcomes below each predicted quantile on every date, long.

    Args:
        predictions: date, code, split and the columns q05_1d ... of all levels and horizons.
        ranks: (date, code, horizon), per-date Gaussian ranks of what is learned
            (`features.gaussian_rank_labels`); NaN = no label.
        levels: Probabilities in (0, 1), increasing.

    Returns:
        Columns `DAILY_QUANTILE_COLUMNS`: one row per split, horizon, session and level. `share_below`
        is the share of the date's labelled stocks whose rank lies below the quantile, `level` in
        expectation; `n` counts them. `crossing` is the share of the date's stocks any of whose
        quantiles lies below the one of the next lower level. NaN on dates with fewer than 5 stocks.

    Raises:
        ValueError: A quantile column is missing.
    """
    horizons = [int(horizon) for horizon in ranks["horizon"].values]
    check_columns(predictions, ["date", "code", "split"], "predictions")
    check_columns(predictions, [quantile_column(q, h) for h in horizons for q in levels], "predictions")
    row = ranks.indexes["date"].get_indexer(pd.DatetimeIndex(predictions["date"]))
    column = ranks.indexes["code"].get_indexer(pd.Index(predictions["code"].astype(str)))
    if (row < 0).any() or (column < 0).any():
        raise ValueError("predictions have dates or codes that the labels have not: rebuild both together")
    outcomes = ranks.transpose("date", "code", "horizon").to_numpy()[row, column]
    frames = [
        _of_horizon(predictions, outcomes[:, k].astype(np.float64), horizon, levels)
        for k, horizon in enumerate(horizons)
    ]
    return pd.concat(frames, ignore_index=True)[DAILY_QUANTILE_COLUMNS]


def quantile_calibration(daily: pd.DataFrame) -> pd.DataFrame:
    """Return, per split, horizon and level, the observed share beside the level it should be.

    Args:
        daily: Table of `daily_quantiles`.

    Returns:
        Columns `CALIBRATION_COLUMNS`: `share_below`, the mean over dates, `low` and `high`, the ends of
        its 95% interval over sessions (`mean_interval`), `crossing`, the mean over dates, and `days` with a
        share.
    """
    check_columns(daily, DAILY_QUANTILE_COLUMNS, "daily quantiles")
    rows = []
    for (split, name, level), days in daily.groupby(["split", "horizon", "level"], sort=False):
        horizon = horizon_sessions(name)
        low, high = mean_interval(days["share_below"], horizon)
        shares = (days["share_below"].mean(), low, high, days["crossing"].mean())
        rows.append((split, name, level, *shares, int(days["share_below"].notna().sum())))
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)


def _of_horizon(predictions: pd.DataFrame, outcome: FloatArray, horizon: int, levels: Sequence[float]) -> pd.DataFrame:
    names = [quantile_column(level, horizon) for level in levels]
    quantiles = predictions[names].to_numpy(np.float64)
    known = np.isfinite(outcome)[:, None] & np.isfinite(quantiles)
    below = pd.DataFrame(np.where(known, outcome[:, None] < quantiles, np.nan), columns=list(levels))
    crossing = pd.Series((np.diff(quantiles, axis=1) < 0).any(axis=1).astype(np.float64))
    keys = [predictions[name].reset_index(drop=True) for name in ("split", "date")]
    by_date = below.groupby(keys, sort=False)
    stocks = crossing.groupby(keys, sort=False).agg(["mean", "size"])
    n = by_date.count()
    dates = n.index.to_frame(index=False)
    long = dates.loc[dates.index.repeat(len(levels))].reset_index(drop=True)
    return long.assign(
        horizon=horizon_name(horizon),
        level=np.tile(levels, len(dates)),
        share_below=by_date.mean().where(n >= MIN_PAIRS).to_numpy().ravel(),
        crossing=stocks["mean"].where(stocks["size"] >= MIN_PAIRS).to_numpy().repeat(len(levels)),
        n=n.to_numpy().ravel(),
    )
