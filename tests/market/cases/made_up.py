"""A market small enough to check by hand, in the shapes of real exports."""

import pandas as pd

CODES = ("1301", "1338", "1375", "1412", "1449", "1486")
DAYS = pd.bdate_range("2020-06-01", periods=10)  # Monday to Friday, twice
SPLIT_DAY = 5  # Monday 2020-06-08
PRICES = ["Open", "High", "Low", "Close"]


def bars(codes=CODES, days=DAYS):
    """Closes of 1000, 1010, 1020, ... and 2000, 2010, ...: stock i gains 10 yen a session."""
    rows = [
        (f"{day:%Y-%m-%d}", code, close, close + 5, close - 5, close, 1000)
        for t, day in enumerate(days)
        for i, code in enumerate(codes)
        for close in [1000.0 * (i + 1) + 10 * t]
    ]
    return pd.DataFrame(rows, columns=["Date", "Code", *PRICES, "Volume"])


def split_bars(code="1412", ratio=2.0):
    """The same with `ratio` new shares for one of `code` on the sixth session."""
    table = bars()
    late = (table["Code"] == code) & (table["Date"] >= f"{DAYS[SPLIT_DAY]:%Y-%m-%d}")
    table.loc[late, PRICES] /= ratio
    return table


def at(table, code, session):
    """The row of a code on a session."""
    return (table["Code"] == code) & (table["Date"] == f"{DAYS[session]:%Y-%m-%d}")
