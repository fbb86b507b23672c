"""Where a session stands in the week, the month and between holidays, and how new a listing is."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.rolling import rolling_count
from gogooku_kedro.features.feature import Family


def sessions_listed(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return on how many of the last `window` sessions the stock was listed; NaN where it is not."""
    listed = panel["listed"]
    return rolling_count(xr.ones_like(listed, dtype=np.float64).where(listed), window).where(listed)


def weekday_sine(panel: xr.Dataset) -> xr.DataArray:
    """Return sin(2 pi weekday / 5), Monday 0."""
    return _on_dates(panel, np.sin(2 * np.pi * _dates(panel).day_of_week / 5))


def weekday_cosine(panel: xr.Dataset) -> xr.DataArray:
    """Return cos(2 pi weekday / 5), Monday 0."""
    return _on_dates(panel, np.cos(2 * np.pi * _dates(panel).day_of_week / 5))


def days_to_month_end(panel: xr.Dataset) -> xr.DataArray:
    """Return the calendar days to the last day of the month."""
    dates = _dates(panel)
    return _on_dates(panel, np.asarray(dates.days_in_month - dates.day, dtype=np.float64))


def days_since_session(panel: xr.Dataset) -> xr.DataArray:
    """Return the calendar days since the session before; NaN on the first one."""
    days = np.full(panel.sizes["date"], np.nan)
    days[1:] = np.diff(_dates(panel).values) / np.timedelta64(1, "D")
    return _on_dates(panel, days)


def days_to_session(panel: xr.Dataset) -> xr.DataArray:
    """Return the calendar days to the next session, as the exchange's calendar has it."""
    return panel["days_to_next_session"]


def _dates(panel: xr.Dataset) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(panel["date"].values)


def _on_dates(panel: xr.Dataset, values: npt.ArrayLike) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, dtype=np.float64), {"date": panel["date"]}, ("date",))


FRENCH, ARIEL = "French (1980)", "Ariel (1987)"

_stock, _market = Family("calendar"), Family("calendar", kind="market")
FEATURES = (
    *_stock.each(
        "sessions_listed_{n}d", (250,), ("listed",), "sessions of the last {n} listed", sessions_listed, "Ritter (1991)"
    ),
    *_market.feature("weekday_sine", ("date",), 0, "sin(2 pi weekday / 5)", weekday_sine, FRENCH),
    *_market.feature("weekday_cosine", ("date",), 0, "cos(2 pi weekday / 5)", weekday_cosine, FRENCH),
    *_market.feature(
        "days_to_month_end", ("date",), 0, "calendar days to the month's last day", days_to_month_end, ARIEL
    ),
    *_market.feature(
        "days_since_session", ("date",), 1, "calendar days since the session before", days_since_session, FRENCH
    ),
    *_market.feature(
        "days_to_session",
        ("days_to_next_session",),
        0,
        "calendar days to the next session",
        days_to_session,
        "Ariel (1990)",
    ),
)
