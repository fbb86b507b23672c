"""Traded value of a source, held against close x volume."""

import numpy as np
import pandas as pd

from gogooku_kedro.typing import FloatArray

_SESSIONS = 20  # first sessions with a value: what they show is the format of the column
_PLAUSIBLE = 0.5  # of close x volume: a value is made of the day's prices
_STEADY = 0.1  # spread of the log10 ratio of values in another unit


def traded_value(bars: pd.DataFrame, notes: list[str], *, stated: bool) -> FloatArray:
    """Return the traded value of each row in the currency of the prices, NaN where unknown.

    A stated value is taken when it is near close x volume, and multiplied when it is that in another
    unit (thousands, millions, or volume in lots). What is neither, such as a rate of turnover, is no
    value and close x volume takes its place. The first sessions decide for the whole column.

    Args:
        bars: Bars after the price rules, sorted by date.
        notes: Gets a sentence when the stated value is not taken as it stands.
        stated: Whether the source has such a column; whether later rows hold any value must not matter.
    """
    own: FloatArray = (bars["close"] * bars["volume"]).to_numpy()
    if not stated:
        notes.append("turnover_value: close x volume; the source has none")
        return own
    value: FloatArray = bars["turnover_value"].to_numpy()
    known = np.flatnonzero((own > 0) & (value > 0))
    if not len(known):
        return value
    dates = bars["date"].to_numpy()[known]
    session = np.unique(dates)[:_SESSIONS][-1]
    known = known[dates <= session]
    ratio = np.log10(value[known] / own[known])
    middle = float(np.median(ratio))
    if abs(middle) <= abs(np.log10(_PLAUSIBLE)):
        return value
    unit = round(middle)
    spread = float(np.subtract(*np.percentile(ratio, [75, 25])))
    if spread < _STEADY and abs(middle - unit) < _STEADY:
        notes.append(f"turnover_value: 10^{unit} of close x volume in this source; multiplied by 10^{-unit}")
        return value * 10.0**-unit
    notes.append(
        f"turnover_value: the column is about {10**middle:.2g} of close x volume, a rate and no value; "
        "close x volume is used"
    )
    return own
