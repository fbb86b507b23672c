"""Scores that need no model: reversal, momentum and chance. The same score serves every horizon."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.baselines.rows import SCORED, FitContext
from gogooku_kedro.columns import score_column
from gogooku_kedro.labels.split import split_mask


def reversal_1d(context: FitContext) -> pd.DataFrame:
    """Score with minus the return of the session: -(adj_close[t] / adj_close[t-1] - 1)."""
    return same_for_all_horizons(context, -_past_return(_close(context), 1))


def reversal_5d(context: FitContext) -> pd.DataFrame:
    """Score with minus the return of five sessions: -(adj_close[t] / adj_close[t-5] - 1)."""
    return same_for_all_horizons(context, -_past_return(_close(context), 5))


def momentum_20d(context: FitContext) -> pd.DataFrame:
    """Score with the return of twenty sessions: adj_close[t] / adj_close[t-20] - 1."""
    return same_for_all_horizons(context, _past_return(_close(context), 20))


def random(context: FitContext) -> pd.DataFrame:
    """Score with a standard normal number."""
    close = _close(context)
    return same_for_all_horizons(
        context, close.copy(data=np.random.default_rng(context.settings.seed).standard_normal(close.shape))
    )


def _close(context: FitContext) -> xr.DataArray:
    return context.panel["adj_close"].transpose("date", "code").astype(np.float64)


def _past_return(close: xr.DataArray, sessions: int) -> xr.DataArray:
    return close / close.shift(date=sessions) - 1.0


def same_for_all_horizons(context: FitContext, score: xr.DataArray) -> pd.DataFrame:
    """Return the predictions that are one score whatever the horizon.

    Args:
        context: What the baseline may read.
        score: `(date, code)`; higher expects a better return, NaN has no row.

    Returns:
        date, code, split, score_<h>d: rows of valid and test in the universe.
    """
    in_universe = context.features["in_universe"].transpose("date", "code")
    scored = in_universe.sel(date=score["date"], code=score["code"]).to_numpy() & np.isfinite(score.to_numpy())
    dates, codes = pd.DatetimeIndex(score["date"].values), score["code"].values.astype(str)
    frames = []
    for part in SCORED:
        day, stock = np.nonzero(scored & split_mask(context.split, dates, part)[:, None])
        values = score.to_numpy()[day, stock].astype(np.float32)
        rows = {score_column(int(horizon)): values for horizon in context.labels["horizon"].values}
        frames.append(pd.DataFrame({"date": dates[day], "code": codes[stock], "split": part} | rows))
    return pd.concat(frames, ignore_index=True)
