"""The list of a morning: scores with ranks, their change, names, and whether a stock can be traded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import HORIZONS, horizon_name, score_column
from gogooku_kedro.daily.publication import REASONS
from gogooku_kedro.market.bar_columns import UNKNOWN


def make_ranking(
    predicted: pd.DataFrame,
    today: xr.Dataset,
    names: pd.Series,
    reasons: pd.DataFrame,
    before: pd.DataFrame | None,
    horizon: int,
) -> pd.DataFrame:
    """Return the ranking of a session as `schemas.Ranking` describes it.

    Args:
        predicted: `date, code, split`, scores and quantiles of the session, as from `predict_market`.
        today: The panel on the session: `high`, `low`, `limit_up`, `limit_down`, coordinate `sector`.
        names: Name of the company by code; a code that is not in it has the name "".
        reasons: `REASONS` by code.
        before: The ranking published before, None for none.
        horizon: Sessions; the list is in the order of its rank.
    """
    table = predicted.drop(columns="split").reset_index(drop=True)
    codes = table["code"].astype("str")
    sectors = pd.Series(today["sector"].values.astype(str), index=today["code"].values.astype(str))
    table.insert(2, "name", names.reindex(codes).fillna("").to_numpy(dtype=str))
    table.insert(3, "sector", sectors.reindex(codes).fillna(UNKNOWN).to_numpy(dtype=str))
    table.insert(4, "tradable", tradable(today).reindex(codes).fillna(False).to_numpy(dtype=bool))
    for h in HORIZONS:
        rank = table[score_column(h)].rank(ascending=False, method="min").astype(np.int64)
        table[rank_column(h)] = rank
        table[change_column(h)] = _change(codes, rank, before, rank_column(h))
    for name in REASONS:
        table[name] = reasons[name].reindex(codes).fillna("").to_numpy(dtype=str)
    table = table.sort_values([rank_column(horizon), "code"], kind="stable", ignore_index=True)
    return table[[*_order(table)]]


def tradable(today: xr.Dataset) -> pd.Series:
    """Return by code whether a stock traded on the session and was not locked at its limit."""
    codes = today["code"].values.astype(str)
    locked = (today["limit_up"].values | today["limit_down"].values) & (today["high"].values == today["low"].values)
    return pd.Series(today["traded"].values & ~locked, index=codes)


def rank_column(horizon: int) -> str:
    """Return the column of a rank: 5 -> "rank_5d"."""
    return f"rank_{horizon_name(horizon)}"


def change_column(horizon: int) -> str:
    """Return the column of the change of a rank: 5 -> "rank_change_5d"."""
    return f"rank_change_{horizon_name(horizon)}"


def _change(codes: pd.Series, rank: pd.Series, before: pd.DataFrame | None, column: str) -> pd.Series:
    if before is None:
        return pd.Series(pd.NA, index=rank.index, dtype="Int64")
    earlier = before.set_index("code")[column].astype("Int64").reindex(codes)
    return pd.Series(earlier.to_numpy(), index=rank.index, dtype="Int64") - rank


def _order(table: pd.DataFrame) -> Sequence[str]:
    """Facts, scores with ranks, quantiles, reasons."""
    facts = ["date", "code", "name", "sector", "tradable"]
    scores = [name for h in HORIZONS for name in (score_column(h), rank_column(h), change_column(h))]
    quantiles = [str(name) for name in table if name not in {*facts, *scores, *REASONS}]
    return [*facts, *scores, *quantiles, *REASONS]
