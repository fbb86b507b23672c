"""Wide tables of a panel, and statistics of explicit windows, from which the oracles are written.

Nothing here comes from the library: pandas where it has the statistic, else a loop over the windows.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

TAIL = 40  # last sessions of the panel that are compared

Table = pd.DataFrame | pd.Series


class Frames:
    """A panel's variables as float64 tables: sessions down, codes across; a `(date,)` one as a series."""

    def __init__(self, panel: xr.Dataset) -> None:
        self.dates = pd.DatetimeIndex(panel["date"].values)
        self.sectors = panel["sector"].values.astype(str).tolist()
        for name, values in panel.data_vars.items():
            by_date = values.dims == ("date",)
            table = pd.Series(values.values) if by_date else pd.DataFrame(values.values)
            setattr(self, str(name), table.astype(np.float64))


def need(window: int) -> int:
    """Four fifths of the window, rounded up."""
    return -(-4 * window // 5)


def rolling(table: Table, window: int):
    """The pandas window that wants four fifths of its sessions."""
    return table.rolling(window, min_periods=need(window))


def over(
    window: int,
    function: Callable[..., float],
    *tables: Table,
    tail: int = TAIL,
    keep_absent: bool = False,
) -> pd.DataFrame:
    """Apply `function` to every stock's last `window` sessions, on the last `tail` sessions.

    The function gets one array per table (the oldest session first): the sessions on which all of
    them are present, or with `keep_absent` every session of the window, NaN where absent. Fewer than
    four fifths of them give NaN; with `keep_absent` only the first table counts.
    """
    frame = next(t for t in tables if isinstance(t, pd.DataFrame))
    n_dates, n_codes = frame.shape
    values = [
        np.repeat(t.to_numpy()[:, None], n_codes, 1) if isinstance(t, pd.Series) else t.to_numpy() for t in tables
    ]
    result = np.full(frame.shape, np.nan)
    for end in range(max(n_dates - tail, window - 1), n_dates):
        for code in range(n_codes):
            parts = [v[end - window + 1 : end + 1, code] for v in values]
            present = ~np.isnan(parts[0] if keep_absent else np.sum(parts, axis=0))
            if present.sum() >= need(window):
                result[end, code] = function(*parts) if keep_absent else function(*(p[present] for p in parts))
    return pd.DataFrame(result)


def over_dates(window: int, function: Callable[..., float], series: pd.Series) -> pd.Series:
    """`over` for one series of dates."""
    return over(window, function, series.to_frame())[0]


def faded_mean(decay: float) -> Callable[[np.ndarray], float]:
    """The mean with weights decay^age of the present values of a window, written out."""

    def mean(values: np.ndarray) -> float:
        total = weights = 0.0
        for age, value in enumerate(values[::-1]):
            if not np.isnan(value):
                total, weights = total + decay**age * value, weights + decay**age
        return total / weights

    return mean


def ema(table: Table, span: int, window: int, tail: int = TAIL) -> pd.DataFrame:
    """The exponential moving average of a span, over the last `window` sessions."""
    return over(window, faded_mean(1 - 2 / (span + 1)), table, tail=tail, keep_absent=True)


def half_life_mean(table: Table, half_life: int, window: int = 60) -> pd.DataFrame:
    """The exponential mean of a half-life, over the last `window` sessions."""
    return over(window, faded_mean(0.5 ** (1 / half_life)), table, keep_absent=True)


def slope(y: np.ndarray, x: np.ndarray) -> float:
    return np.polyfit(x, y, 1)[0]


def intercept(y: np.ndarray, x: np.ndarray) -> float:
    return np.polyfit(x, y, 1)[1]


def correlation(y: np.ndarray, x: np.ndarray) -> float:
    return np.corrcoef(y, x)[0, 1]


def residual_deviation(y: np.ndarray, x: np.ndarray) -> float:
    """The standard error of the regression, n - 2 degrees of freedom."""
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    return np.sqrt((residual**2).sum() / (len(y) - 2))


def others_mean(frames: Frames, table: pd.DataFrame, weights: pd.DataFrame | None = None) -> pd.DataFrame:
    """For every stock the mean of the other stocks of its sector that are present."""
    result = {}
    for code, sector in enumerate(frames.sectors):
        others = [c for c, s in enumerate(frames.sectors) if s == sector and c != code and s != "n/a"]
        if weights is None:
            result[code] = table[others].mean(axis=1)
        else:
            weight = weights[others].where(table[others].notna())
            result[code] = (table[others] * weight).sum(axis=1, min_count=1) / weight.sum(axis=1, min_count=1)
    return pd.DataFrame(result)
