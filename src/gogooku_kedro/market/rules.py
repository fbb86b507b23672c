"""Rules for impossible stock-days: what is kept of each, and what is counted."""

import numpy as np
import pandas as pd

from gogooku_kedro.market.adjustment import split_like
from gogooku_kedro.market.bar_columns import PRICES
from gogooku_kedro.market.quality import IssueLog
from gogooku_kedro.typing import BoolArray, FloatArray

_ROUNDING = 1e-6  # relative: prices that went through float32 are not out of order
_MOST_CONFLICTS = 0.01
_SAME_SHAPE = 0.0005  # of price over close: one bar in two scales
_ROUNDED_SHAPE = 0.005  # the same where the scales are far apart and the prices rounded
_OTHER_SCALE = 0.05
_STEADY_SCALE = 0.002  # of the log ratio from one session to the next
_STEADY_SHARE = 0.8
_CROSS_SECTION = 5  # stock-days of a session that make one
_CLOSE_OUTSIDE = 1.03  # of the high or the low: an official price differs from the last trade by less
_OUT_OF_ORDER = 0.5  # of the rows: no data error, but columns that are not what they are called
_FIRST_SESSIONS = 20  # show the format of the columns
_FEWEST_ROWS = 20


def drop_duplicates(bars: pd.DataFrame, log: IssueLog, *, source: str) -> pd.DataFrame:
    """Return bars with one row per date and code.

    Repetitions of a whole row are dropped. Of rows with the same prices the last is kept (a volume
    stated again), and so it is of rows with the same prices in another scale (a history restated
    after a split). Other rows of one stock-day are all distrusted: the stock-day stays as one row
    without prices, with the adjustment factor of the first.

    Args:
        bars: Parsed bars sorted by date and code, in file order within a stock-day.
        log: Where to count.
        source: File or table name for messages.

    Raises:
        ValueError: More than 1% of the rows conflict: the code column is hardly the issue's key; or
            most of a session does, which would be lost.
    """
    keys = ["date", "code"]
    repeated = bars.duplicated(keys, keep=False).to_numpy()
    exact = np.zeros(len(bars), dtype=bool)
    exact[repeated] = bars[repeated].duplicated().to_numpy()
    log.record("exact_duplicate", bars, exact)
    bars = _keep_last(bars[~exact].reset_index(drop=True), log, keys)
    conflict = bars.duplicated(keys, keep=False).to_numpy()
    log.record("conflicting_duplicate", bars, conflict)
    if conflict.sum() > max(_MOST_CONFLICTS * len(bars), 20):
        shown = bars.loc[conflict, keys].head(4).to_dict("records")
        raise ValueError(
            f"{source}: {int(conflict.sum())} rows share date and code with a different row, for "
            f"example {shown}. Map a column that is unique per issue to 'code'."
        )
    _refuse_lost_session(bars, conflict, source)
    values = [name for name in (*PRICES, "volume", "turnover_value", "adj_close") if name in bars]
    bars.loc[conflict, values] = np.nan
    return bars[~bars.duplicated(keys).to_numpy()].reset_index(drop=True)


def _keep_last(bars: pd.DataFrame, log: IssueLog, keys: list[str]) -> pd.DataFrame:
    """Return bars without earlier rows that state the same bar, in the same or another scale."""
    rows = bars[bars.duplicated(keys, keep=False)]
    final = rows.drop_duplicates(keys, keep="last")
    last = rows[keys].merge(final[[*keys, *PRICES]], on=keys, how="left")[list(PRICES)].to_numpy()
    own = rows[list(PRICES)].to_numpy()
    same = ((own == last) | (np.isnan(own) & np.isnan(last))).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = np.abs((own / own[:, 3:]) / (last / last[:, 3:]) - 1).max(axis=1)
        far = np.abs(own[:, 3] / last[:, 3] - 1) > _OTHER_SCALE
        scaled = (shape < np.where(far, _ROUNDED_SHAPE, _SAME_SHAPE)) & ~same
    scaled &= _same_scale(rows, scaled, own[:, 3] / last[:, 3])
    flat = own.max(axis=1) == own.min(axis=1)  # one price has no shape: the issue's other rows tell
    scaled &= ~flat | rows["code"].isin(rows["code"][scaled & ~flat]).to_numpy()
    earlier = rows.duplicated(keys, keep="last").to_numpy()
    agree = pd.Series(same | scaled, index=rows.index).groupby([rows[key] for key in keys]).transform("all").to_numpy()
    for name, kind in (("repeated_bar", same), ("restated_bar", scaled)):
        where = np.zeros(len(bars), dtype=bool)
        where[rows.index[earlier & agree & kind]] = True
        log.record(name, bars, where)
    kept: pd.DataFrame = bars.drop(index=rows.index[earlier & agree]).reset_index(drop=True)
    return kept


def _same_scale(rows: pd.DataFrame, scaled: BoolArray, scale: FloatArray) -> BoolArray:
    """Return the rows of issues whose two scales keep their ratio, as no two issues under one code do."""
    copy = rows.groupby(["date", "code"]).cumcount()
    known = pd.DataFrame({"code": rows["code"], "copy": copy, "date": rows["date"], "scale": np.log(scale)})[scaled]
    known = known.sort_values(["code", "copy", "date"])
    step = known.groupby(["code", "copy"])["scale"].diff().abs()
    steady = (step < _STEADY_SCALE).astype("float64").mask(step.isna()).groupby(known["code"]).mean()
    first = known.groupby("code")["scale"].first()
    alone = split_like(np.exp(first.to_numpy(dtype=np.float64)), _ROUNDED_SHAPE)  # one row has no step
    kept = steady.fillna(pd.Series(alone.astype(np.float64), index=first.index)) >= _STEADY_SHARE
    result: BoolArray = rows["code"].isin(kept.index[kept]).to_numpy()
    return result


def _refuse_lost_session(bars: pd.DataFrame, conflict: BoolArray, source: str) -> None:
    keys = ["date", "code"]
    lost = bars[conflict].drop_duplicates(keys).groupby("date").size()
    whole = bars[bars["date"].isin(lost.index)].drop_duplicates(keys).groupby("date").size()
    gone = lost[(lost >= _CROSS_SECTION) & (2 * lost > whole)]
    if len(gone):
        day = gone.index[0]
        shown = bars.loc[conflict & (bars["date"] == day).to_numpy(), [*keys, "close"]].head(4)
        rows = ", ".join(f"{row.code} close {row.close:g}" for row in shown.itertuples())
        raise ValueError(
            f"{source}: on {day:%Y-%m-%d} {gone.iloc[0]} of {whole[day]} stocks have rows with different prices "
            f"({rows}); without them the session would be lost. Keep one row per code and session."
        )


def apply_price_rules(bars: pd.DataFrame, log: IssueLog, *, max_move: float, source: str) -> pd.DataFrame:
    """Return bars with every impossible value missing, nothing filled; each case is counted.

    Counts are of the values as the source has them, so one row may count under several names.
    The written rules are `issue_rules.RULES`.

    Args:
        bars: Parsed bars, one row per date and code.
        log: Where to count.
        max_move: Largest credible distance of open, high and low from the close, a fraction.
        source: File or table name for messages.

    Returns:
        The same rows; NaN in all of open, high, low, close, volume means: did not trade.

    Raises:
        ValueError: Open or close are above the high or below the low in most rows of the first sessions.
    """
    raw = bars
    _refuse_mixed_columns(raw, source)
    bars = bars.copy()
    untraded = _record_trading(raw, log) | _record_prices(raw, log)
    o, h, low, c = (bars[name].to_numpy(copy=True) for name in PRICES)
    o[~(o > 0)] = np.nan
    h[~(h > 0)] = np.nan
    low[~(low > 0)] = np.nan
    crossed = _above(low, h)
    h[crossed | _above(c, h)] = np.nan
    low[crossed | _above(low, c)] = np.nan
    o[_above(o, h) | _above(low, o)] = np.nan
    for name, price in zip(PRICES, (o, h, low, c), strict=True):
        price[untraded] = np.nan
        bars[name] = price
    for name in ("volume", "turnover_value"):
        amount = bars[name].to_numpy(copy=True)
        amount[untraded | ~(amount > 0)] = np.nan
        bars[name] = amount
    with np.errstate(invalid="ignore"):
        far = [np.abs(price / c - 1) > max_move for price in (o, h, low)]
    log.record("far_from_close", bars, np.logical_or.reduce(far))
    return bars


def _refuse_mixed_columns(bars: pd.DataFrame, source: str) -> None:
    o, h, low, c = (bars[name].where(bars[name] > 0).to_numpy() for name in PRICES)
    dates = bars["date"].to_numpy()
    whole = ~np.isnan(o + h + low + c) & (dates <= np.unique(dates)[:_FIRST_SESSIONS][-1])
    wrong = whole & (_above(low, h) | _above(np.fmax(o, c), h) | _above(low, np.fmin(o, c)))
    if wrong.sum() <= max(_OUT_OF_ORDER * whole.sum(), _FEWEST_ROWS):
        return
    first = bars[wrong].iloc[0]
    shown = ", ".join(f"{name} {first[name]:g}" for name in PRICES)
    raise ValueError(
        f"{source}: in {int(wrong.sum())} of {int(whole.sum())} rows open or close are not between low and high, for "
        f"example {first['date']:%Y-%m-%d} {first['code']}: {shown}; the columns of prices are probably mixed up. "
        "Write the map in the catalog entry, their name to ours: columns: {'THEIR_NAME': high, ...}"
    )


def _record_trading(raw: pd.DataFrame, log: IssueLog) -> BoolArray:
    o, h, low, c = (raw[name].to_numpy() for name in PRICES)
    volume = raw["volume"].to_numpy()
    nothing = np.isnan(o) & np.isnan(h) & np.isnan(low) & np.isnan(c)
    ranged = (low > 0) & _above(h, low)
    log.record("no_prices", raw, nothing)
    log.record("close_missing", raw, np.isnan(c) & ~nothing)
    log.record("close_not_positive", raw, c <= 0)
    log.record("zero_volume", raw, volume == 0)
    log.record("zero_volume_with_range", raw, (volume == 0) & ranged & (c > 0))
    log.record("volume_missing", raw, np.isnan(volume) & (c > 0))
    log.record("negative_volume", raw, volume < 0)
    untraded: BoolArray = ~(c > 0) | ((volume == 0) & ~ranged)
    return untraded


def _record_prices(raw: pd.DataFrame, log: IssueLog) -> BoolArray:
    """Count prices out of order and return the rows whose close is not believed."""
    o, h, low, c = (raw[name].to_numpy() for name in PRICES)
    log.record("open_not_positive", raw, o <= 0)
    log.record("high_not_positive", raw, h <= 0)
    log.record("low_not_positive", raw, low <= 0)
    log.record("high_below_low", raw, _above(low, h))
    log.record("close_above_high", raw, _above(c, h))
    log.record("close_below_low", raw, _above(low, c))
    log.record("open_above_high", raw, _above(o, h))
    log.record("open_below_low", raw, (o > 0) & _above(low, o))
    far = ((h > 0) & (c > _CLOSE_OUTSIDE * h)) | ((c > 0) & (low > _CLOSE_OUTSIDE * c))
    distrusted: BoolArray = far & ~_above(low, h)
    log.record("close_far_outside", raw, distrusted)
    return distrusted


def _above(upper: FloatArray, lower: FloatArray) -> BoolArray:
    above: BoolArray = upper > lower + _ROUNDING * np.abs(lower)
    return above
