"""Schemas of the tables that cross stages; the catalog names them under `validator:`."""

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from gogooku_kedro.columns import SCORES

HORIZONS = ("1d", "5d", "10d", "20d")
_ROUNDING = 1e-6  # relative, as in the cleaning rules
_DATE = "datetime64[ns]"


class DailyBars(pa.DataFrameModel):
    """Cleaned bars of a market: one row per session and issue, sorted by date and code.

    NaN in a price means that it is unknown; a row without a close did not trade and has no prices
    and no volume at all. Prices are raw yen, volume is in shares.
    """

    date: Series[_DATE] = pa.Field()  # type: ignore[valid-type]
    code: Series[str] = pa.Field(str_length={"min_value": 1})
    open: Series[float] = pa.Field(gt=0, nullable=True)
    high: Series[float] = pa.Field(gt=0, nullable=True)
    low: Series[float] = pa.Field(gt=0, nullable=True)
    close: Series[float] = pa.Field(gt=0, nullable=True)
    volume: Series[float] = pa.Field(gt=0, nullable=True)
    turnover_value: Series[float] = pa.Field(gt=0, nullable=True)
    adj_factor: Series[float] = pa.Field(gt=0)
    limit_up: Series[bool] = pa.Field()
    limit_down: Series[bool] = pa.Field()
    sector: Series[str] = pa.Field()
    market: Series[str] = pa.Field()
    extra: Series[float] | None = pa.Field(alias="extra_.+", regex=True, nullable=True)

    class Config:
        """Columns are exactly these; a Parquet file's date unit is made nanoseconds."""

        strict = True
        coerce = True

    @pa.dataframe_check(error="date is at midnight (a session, not a time of day)")
    @classmethod
    def is_session(cls, bars: pd.DataFrame) -> bool:
        """Dates carry no time of day."""
        return bool((bars["date"] == bars["date"].dt.normalize()).all())

    @pa.dataframe_check(error="rows are sorted by date and code, and no stock-day occurs twice")
    @classmethod
    def is_sorted_and_unique(cls, bars: pd.DataFrame) -> bool:
        """Rows rise strictly in (date, code)."""
        return rises_strictly(bars, ["date", "code"])

    @pa.dataframe_check(error="low <= open, close <= high where they are present")
    @classmethod
    def is_ordered(cls, bars: pd.DataFrame) -> bool:
        """Prices of a session are in order."""
        most = bars[["open", "close", "low"]].max(axis=1)
        least = bars[["open", "close"]].min(axis=1)
        above = most > bars["high"] * (1 + _ROUNDING)
        below = least < bars["low"] * (1 - _ROUNDING)
        return not bool((above | below).any())

    @pa.dataframe_check(error="a row without a close has no open, high, low, volume or turnover")
    @classmethod
    def is_whole(cls, bars: pd.DataFrame) -> bool:
        """An issue that did not trade has no numbers of trading."""
        trading = ["open", "high", "low", "volume", "turnover_value"]
        return not bool(bars.loc[bars["close"].isna(), trading].notna().any(axis=None))


class GraphEdges(pa.DataFrameModel):
    """Directed edges source → target of the stock graph of each as-of date."""

    asof: Series[_DATE] = pa.Field()  # type: ignore[valid-type]
    source: Series[str] = pa.Field()
    target: Series[str] = pa.Field()
    correlation: Series[np.float32] = pa.Field(ge=-1.0001, le=1.0001)
    abs_correlation: Series[np.float32] = pa.Field(ge=0, le=1.0001)
    same_sector: Series[np.float32] = pa.Field(isin=[0.0, 1.0])
    is_self: Series[np.float32] = pa.Field(isin=[0.0, 1.0])
    is_correlation: Series[np.float32] = pa.Field(isin=[0.0, 1.0])
    is_sector_nearest: Series[np.float32] = pa.Field(isin=[0.0, 1.0])
    is_lead_lag: Series[np.float32] = pa.Field(isin=[0.0, 1.0])
    lead_correlation: Series[np.float32] = pa.Field(ge=-1.0001, le=1.0001)

    class Config:
        """Further edge attributes are allowed; the date unit is made nanoseconds."""

        strict = False
        coerce = True

    @pa.dataframe_check(error="no edge occurs twice on one as-of date")
    @classmethod
    def is_unique(cls, edges: pd.DataFrame) -> bool:
        """One edge per as-of date, source and target."""
        return not bool(edges.duplicated(["asof", "source", "target"]).any())

    @pa.dataframe_check(error="is_self is 1 exactly where source equals target")
    @classmethod
    def marks_self_loops(cls, edges: pd.DataFrame) -> bool:
        """Self loops are marked."""
        return bool(((edges["source"] == edges["target"]) == (edges["is_self"] == 1)).all())

    @pa.dataframe_check(error="an edge between two stocks has a type, a self loop has none")
    @classmethod
    def has_a_type(cls, edges: pd.DataFrame) -> bool:
        """Every edge says what it was found by."""
        kinds = edges[["is_correlation", "is_sector_nearest", "is_lead_lag"]].any(axis=1)
        return bool((kinds == (edges["is_self"] == 0)).all())

    @pa.dataframe_check(error="abs_correlation is the absolute value of correlation")
    @classmethod
    def is_absolute(cls, edges: pd.DataFrame) -> bool:
        """The two correlation columns agree."""
        distance = (edges["correlation"].abs() - edges["abs_correlation"]).abs()
        return bool((distance < 1e-5).all())


def _has_finite_scores(table: pd.DataFrame) -> bool:
    return bool(np.isfinite(table[list(SCORES)].to_numpy(dtype=np.float64)).all())


class Predictions(pa.DataFrameModel):
    """Scores of the valid and test sessions; high means expected to do better."""

    date: Series[_DATE] = pa.Field()  # type: ignore[valid-type]
    code: Series[str] = pa.Field()
    split: Series[str] = pa.Field(isin=["valid", "test"])
    score_1d: Series[float] = pa.Field()
    score_5d: Series[float] = pa.Field()
    score_10d: Series[float] = pa.Field()
    score_20d: Series[float] = pa.Field()

    class Config:
        """Quantiles (q05_1d, ...), and `model` in a stack of models or `seed` for seed models, may follow."""

        strict = False
        coerce = True

    @pa.dataframe_check(error="every score is finite")
    @classmethod
    def is_finite(cls, predictions: pd.DataFrame) -> bool:
        """No score is infinite."""
        return _has_finite_scores(predictions)

    @pa.dataframe_check(error="one row per date, code (and model or seed)")
    @classmethod
    def is_unique(cls, predictions: pd.DataFrame) -> bool:
        """One prediction per stock-day, and model or seed."""
        keys = ["date", "code", *(key for key in ("model", "seed") if key in predictions)]
        return not bool(predictions.duplicated(keys).any())


class ModelPredictions(pa.DataFrameModel):
    """Scores of all models, stacked; a score that a model does not have is NaN, as an oracle's of a strange stock."""

    model: Series[str] = pa.Field()
    date: Series[_DATE] = pa.Field()  # type: ignore[valid-type]
    code: Series[str] = pa.Field()
    split: Series[str] = pa.Field(isin=["valid", "test"])
    score_1d: Series[float] = pa.Field(nullable=True)
    score_5d: Series[float] = pa.Field(nullable=True)
    score_10d: Series[float] = pa.Field(nullable=True)
    score_20d: Series[float] = pa.Field(nullable=True)

    class Config:
        """Columns are exactly these; the date unit is made nanoseconds."""

        strict = True
        coerce = True

    @pa.dataframe_check(error="one row per model, date and code")
    @classmethod
    def is_unique(cls, predictions: pd.DataFrame) -> bool:
        """One prediction per model and stock-day."""
        return not bool(predictions.duplicated(["model", "date", "code"]).any())


class WalkForwardPredictions(Predictions):
    """Scores of the test parts of all folds, by model or by seed."""

    fold: Series[int] = pa.Field(ge=1)
    split: Series[str] = pa.Field(isin=["test"])

    class Config:
        """As of predictions."""

        strict = False
        coerce = True

    @pa.dataframe_check(error="every session is tested in one fold")
    @classmethod
    def is_tested_once(cls, predictions: pd.DataFrame) -> bool:
        """The test parts of the folds do not overlap."""
        return bool((predictions.groupby("date")["fold"].nunique() == 1).all())


class Ranking(pa.DataFrameModel):
    """A published ranking: the cross-section of one session, the best stock of the horizon of the list first.

    rank_<h> is 1 for the highest score; rank_change_<h> is the rank of the ranking before less the rank now (positive:
    the stock has risen), missing for a stock that was not in it. A reason names a feature, its value and what it adds
    to the score of the list's horizon.
    """

    date: Series[_DATE] = pa.Field()  # type: ignore[valid-type]
    code: Series[str] = pa.Field(str_length={"min_value": 1})
    name: Series[str] = pa.Field()
    sector: Series[str] = pa.Field()
    tradable: Series[bool] = pa.Field()
    score: Series[float] = pa.Field(alias=r"score_(1|5|10|20)d", regex=True)
    rank: Series[int] = pa.Field(alias=r"rank_(1|5|10|20)d", regex=True, ge=1)
    rank_change: Series[pd.Int64Dtype] = pa.Field(alias=r"rank_change_(1|5|10|20)d", regex=True, nullable=True)
    quantile: Series[float] = pa.Field(alias=r"q\d{2}_(1|5|10|20)d", regex=True)
    reason: Series[str] = pa.Field(alias=r"reason_[123]", regex=True)

    class Config:
        """Columns are exactly these; the date unit is made nanoseconds."""

        strict = True
        coerce = True

    @pa.dataframe_check(error="every score is finite")
    @classmethod
    def is_finite(cls, ranking: pd.DataFrame) -> bool:
        """No score is infinite."""
        return _has_finite_scores(ranking)

    @pa.dataframe_check(error="one session, and every stock once")
    @classmethod
    def is_one_cross_section(cls, ranking: pd.DataFrame) -> bool:
        """A ranking is of one session."""
        return ranking["date"].nunique() == 1 and not bool(ranking["code"].duplicated().any())


class WalkForwardDailyMetrics(pa.DataFrameModel):
    """Figures of every test session of all folds, by model and horizon; of single seeds with `seed`."""

    fold: Series[int] = pa.Field(ge=1)
    model: Series[str] = pa.Field()
    split: Series[str] = pa.Field(isin=["test"])
    horizon: Series[str] = pa.Field(isin=list(HORIZONS))
    date: Series[_DATE] = pa.Field()  # type: ignore[valid-type]
    rank_ic: Series[float] = pa.Field(ge=-1, le=1, nullable=True)
    turnover: Series[float] = pa.Field(ge=0, nullable=True)
    long_short_net: Series[float] = pa.Field(nullable=True)
    n: Series[int] = pa.Field(ge=0)

    class Config:
        """Further figures are allowed; the date unit is made nanoseconds."""

        strict = False
        coerce = True

    @pa.dataframe_check(error="one row per model (and seed), horizon and date")
    @classmethod
    def is_unique(cls, daily: pd.DataFrame) -> bool:
        """Every session is measured once."""
        keys = ["model", "horizon", "date", *(["seed"] if "seed" in daily else [])]
        return not bool(daily.duplicated(keys).any())


def rises_strictly(frame: pd.DataFrame, keys: list[str]) -> bool:
    """Return whether rows are sorted by `keys` and unique on them, whatever the index.

    Args:
        frame: Any frame with the two key columns.
        keys: Major and minor key.
    """
    major, minor = (frame[key].reset_index(drop=True) for key in keys)
    later: Any = major.iloc[1:].reset_index(drop=True), minor.iloc[1:].reset_index(drop=True)
    earlier: Any = major.iloc[:-1], minor.iloc[:-1]
    rises = (later[0] > earlier[0]) | ((later[0] == earlier[0]) & (later[1] > earlier[1]))
    return bool(rises.all())
