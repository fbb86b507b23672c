"""Scores that need no model: reversal, momentum and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gogooku_kedro.columns import score_column
from gogooku_kedro.labels.split import Part, split_mask
from gogooku_kedro.typing import BoolArray

SplitDates = Mapping[str, Sequence[str] | int]


def rule_baselines(
    panel: xr.Dataset,
    in_universe: xr.DataArray,
    split: SplitDates,
    horizons: Sequence[int],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the predictions of reversal_1d, reversal_5d, momentum_20d and random.

    reversal_n = -(adj_close[t] / adj_close[t-n] - 1), momentum_20d = adj_close[t] /
    adj_close[t-20] - 1, n in sessions; random is standard normal. The same score serves every
    horizon. A row dated t uses closes up to t.

    Args:
        panel: `adj_close` (date, code), NaN where not traded.
        in_universe: (date, code) bool, the stocks to score.
        split: {"train": [from, to], "valid": ..., "test": ...}.
        horizons: In sessions.
        seed: Seed of the random score.

    Returns:
        date, code, split, score_<h>d (float32), model, for the members of valid and test; stock
        days without the past close have no row.
    """
    close = panel["adj_close"].transpose("date", "code").astype(np.float64)
    chosen = in_universe.transpose("date", "code").sel(date=close["date"], code=close["code"])
    chance = np.random.default_rng(seed).standard_normal(close.shape)
    scores = {
        "reversal_1d": -_past_return(close, 1),
        "reversal_5d": -_past_return(close, 5),
        "momentum_20d": _past_return(close, 20),
        "random": close.copy(data=chance),
    }
    scored: tuple[Part, ...] = ("valid", "test")
    masks = {part: split_mask(split, close["date"].values, part) for part in scored}
    frames = [
        prediction_rows(
            score.to_numpy(),
            kept=chosen.to_numpy() & masks[part][:, None],
            like=close,
            part=part,
            model=model,
            horizons=horizons,
        )
        for model, score in scores.items()
        for part in scored
    ]
    return pd.concat(frames, ignore_index=True)


def prediction_rows(
    score: NDArray[np.floating],
    *,
    kept: BoolArray,
    like: xr.DataArray,
    part: str,
    model: str,
    horizons: Sequence[int],
) -> pd.DataFrame:
    """Return one score (date, code) as prediction rows, the same for every horizon.

    Args:
        score: (date, code); stock days without a finite score have no row.
        kept: (date, code) bool, stock days of the part.
        like: Array whose `date` and `code` coordinates name the rows.
        part: Value of the column `split`.
        model: Value of the column `model`.
        horizons: In sessions.
    """
    day, stock = np.nonzero(kept & np.isfinite(score))
    rows = pd.DataFrame(
        {
            "date": pd.DatetimeIndex(like["date"].values)[day],
            "code": like["code"].values.astype(str)[stock],
            "split": part,
        }
    )
    for horizon in horizons:
        rows[score_column(horizon)] = score[day, stock].astype(np.float32)
    rows["model"] = model
    return rows


def _past_return(close: xr.DataArray, sessions: int) -> xr.DataArray:
    return close / close.shift(date=sessions) - 1.0
