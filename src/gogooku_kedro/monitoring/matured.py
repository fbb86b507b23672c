"""Published rankings and what came of them, as it is known on a morning."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import HORIZONS, SCORES, horizon_name
from gogooku_kedro.labels.returns import forward_returns
from gogooku_kedro.metrics.align import wide_parts
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.metrics.scores import coverage
from gogooku_kedro.metrics.significance import mean_interval
from gogooku_kedro.params import LabelsParams
from gogooku_kedro.typing import FloatArray

COLUMNS = ("date", "code", *SCORES)
"""What is read of a ranking."""


def matured_days(
    rankings: pd.DataFrame,
    panel: xr.Dataset,
    in_universe: xr.DataArray,
    labelling: LabelsParams,
    morning: pd.Timestamp,
) -> pd.DataFrame:
    """Return the rank IC of every published session, as far as its labels are known after the close of `morning`.

    Labels are made of the panel up to the morning alone, so that nothing later can be in them.

    Args:
        rankings: date, code and a score per horizon; later sessions than the morning are left out.
        panel: Market panel; what it has after the morning is not read.
        in_universe: (date, code) bool, the stocks that should have a score.
        labelling: Section `labels`.
        morning: The last session that is known.

    Returns:
        date, horizon ("1d"), rank_ic (NaN = not matured, or no cross-section), coverage (share of the universe with
        a score) and stocks (with a score); a row for every published session and horizon.
    """
    known = rankings[rankings["date"] <= morning]
    columns = ["date", "horizon", "rank_ic", "coverage", "stocks"]
    if known.empty:
        return pd.DataFrame(columns=columns)
    span = slice(known["date"].min(), morning)
    returns = forward_returns(
        panel.sel(date=span),
        HORIZONS,
        labelling.entry,
        limit_entry=labelling.limit_entry,
        delisting=labelling.delisting,
    )
    published = pd.DatetimeIndex(known["date"].unique())
    frames = []
    for part in wide_parts(known.assign(split="test"), returns):
        inside = np.asarray(in_universe.sel(date=part.dates).transpose("date", "code").values)
        for horizon in HORIZONS:
            scores = part.scores[horizon]
            found = {
                "date": part.dates,
                "horizon": horizon_name(horizon),
                "rank_ic": rank_ic(scores, part.returns[horizon]),
                "coverage": coverage(scores, inside),
                "stocks": np.isfinite(scores).sum(axis=1),
            }
            frames.append(pd.DataFrame(found)[part.dates.isin(published)])
    return pd.concat(frames, ignore_index=True)[columns]


def rolling_mean(rank_ic: pd.Series[float], window: int, horizon: int) -> pd.DataFrame:
    """Return the mean of the last `window` values of a daily series with its interval: mean, low, high by date.

    Args:
        rank_ic: By date, without missing values.
        window: Sessions.
        horizon: Horizon of the labels in sessions; windows too short for it have no interval.
    """
    values = rank_ic.to_numpy(np.float64)
    rows = []
    for end in range(window, len(values) + 1):
        latest = values[end - window : end]
        rows.append((float(latest.mean()), *mean_interval(latest, horizon)))
    return pd.DataFrame(rows, columns=["mean", "low", "high"], index=rank_ic.index[window - 1 :])


def reference_days(daily: pd.DataFrame, horizon: int, before: pd.Timestamp, gap: int, fewest: int) -> FloatArray:
    """Return the daily rank IC that the backtest measured before the first ranking.

    Args:
        daily: `daily_metrics` of one model.
        horizon: In sessions.
        before: Session of the first ranking.
        gap: Sessions left out before it, whose labels were not known then.
        fewest: Below this number of test sessions those of the validation part come in front.

    Returns:
        (sessions,), finite, in the order of time.
    """
    days = daily[(daily["horizon"] == horizon_name(horizon)) & (daily["date"] < before)].sort_values("date")
    dates = np.unique(daily.loc[daily["date"] < before, "date"])
    if not len(dates) > gap:
        return np.empty(0)
    days = days[days["date"] <= dates[-1 - gap]]
    test = days[days["split"] == "test"]
    kept = test if len(test) >= fewest else days
    values = kept["rank_ic"].to_numpy(np.float64)
    finite: FloatArray = values[np.isfinite(values)]
    return finite


def scores_of(rankings: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return date, code and scores of published rankings (`schemas.Ranking`), one after the other.

    Raises:
        ValueError: There is no ranking.
    """
    kept = [ranking[[*COLUMNS]].astype({"date": "datetime64[ns]", "code": str}) for ranking in rankings]
    if not kept:
        raise ValueError("no ranking was published yet; `kedro daily` publishes one a morning")
    return pd.concat(kept, ignore_index=True)
