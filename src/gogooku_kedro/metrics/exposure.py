"""What a score's decile portfolio holds: by sector, by size, stock by stock; and which sectors its rank IC is from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.groups import UNKNOWN
from gogooku_kedro.metrics.align import WidePart
from gogooku_kedro.metrics.decile_portfolios import long_short_targets, overlapping
from gogooku_kedro.metrics.rank_ic import matched, row_ranks
from gogooku_kedro.typing import FloatArray, TextArray

SIZE_SESSIONS = 60
"""Sessions whose median traded value stands for the size of a stock."""


def held_weights(part: WidePart, horizon: int) -> pd.DataFrame:
    """Return the weights of the overlapping long-short decile portfolio (date, code): +1 long, -1 short in all.

    Args:
        part: Scores of one model on one part.
        horizon: Sessions that a position is held for.
    """
    weights = overlapping(long_short_targets(row_ranks(part.scores[horizon])), horizon)
    return pd.DataFrame(weights, part.dates, part.codes)


def sector_exposure(weights: pd.DataFrame, panel: xr.Dataset) -> pd.DataFrame:
    """Return the net weight of every sector (date, sector), of the notional of one leg."""
    return weights.T.groupby(_sectors(panel, weights.columns)).sum().T


def size_exposure(weights: pd.DataFrame, panel: xr.Dataset) -> pd.DataFrame:
    """Return the mean size percentile of both legs (date, leg): 1 = most traded stock of the date, 0.5 = no exposure.

    The size is the median traded value of the last 60 sessions, ranked among the stocks that have one.
    """
    values = panel["turnover_value"].transpose("date", "code").values
    traded = pd.DataFrame(values, panel.indexes["date"], panel.indexes["code"])
    size = traded.rolling(SIZE_SESSIONS, min_periods=SIZE_SESSIONS // 2).median().rank(axis=1, pct=True)
    size = size.reindex(index=weights.index, columns=weights.columns)

    def mean(leg: pd.DataFrame) -> pd.Series[float]:
        known = leg.where(size.notna(), 0.0)
        total = known.sum(axis=1)
        return (known * size).sum(axis=1) / total.where(total > 0)

    return pd.DataFrame({"long": mean(weights.clip(lower=0)), "short": mean(-weights.clip(upper=0))})


def sector_contributions(part: WidePart, horizon: int, panel: xr.Dataset) -> pd.DataFrame:
    """Return what every sector adds to the mean rank IC: sector, rank_ic, stocks.

    A date's rank IC is the mean over its stocks of the product of both standardised ranks; `rank_ic` is the share of
    that mean that comes from the sector's stocks, averaged over the dates, so that the column sums to the rank IC.
    `stocks` is the mean number of the sector's stocks with score and label.
    """
    scores, returns = matched(part.scores[horizon], part.returns[horizon])
    product = _standardised(row_ranks(scores)) * _standardised(row_ranks(returns))
    count = np.isfinite(product).sum(axis=1, keepdims=True)
    usable = np.isfinite(product).any(axis=1)
    each = pd.DataFrame((product / np.maximum(count, 1))[usable], columns=part.codes)
    sectors = _sectors(panel, part.codes)
    found = pd.DataFrame(
        {
            "rank_ic": each.T.groupby(sectors).sum().mean(axis=1),
            "stocks": each.notna().T.groupby(sectors).sum().mean(axis=1),
        }
    )
    return found[found["stocks"] > 0].rename_axis("sector").reset_index()


def last_holdings(part: WidePart, horizon: int, panel: xr.Dataset) -> pd.DataFrame:
    """Return what is held after the last scored session, largest weight first: code, sector, weight, score."""
    weights, score = held_weights(part, horizon).iloc[-1], part.scores[horizon][-1]
    held = pd.DataFrame({"code": part.codes, "sector": _sectors(panel, part.codes), "weight": weights.to_numpy()})
    held = held.assign(score=score)
    return held[held["weight"] != 0].sort_values("weight", ascending=False, ignore_index=True)


def _standardised(ranks: FloatArray) -> FloatArray:
    """Ranks less their mean over their deviation, per date; NaN stays NaN, a date without variation becomes NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = ranks - pd.DataFrame(ranks).mean(axis=1).to_numpy()[:, None]
        standard: FloatArray = centred / pd.DataFrame(centred).std(axis=1, ddof=0).to_numpy()[:, None]
    return standard


def _sectors(panel: xr.Dataset, codes: pd.Index[str]) -> TextArray:
    names: TextArray = panel["sector"].sel(code=codes).values.astype(str)
    return np.where(names == "", UNKNOWN, names)
