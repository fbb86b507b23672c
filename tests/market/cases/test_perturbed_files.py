"""A clean file with something wrong: untouched returns stay, touched ones are right, missing, or it is refused."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gogooku_kedro.market import build_panel, standardise_bars
from gogooku_kedro.market.price_files import long_table
from gogooku_kedro.refusals import sentence_of

SESSIONS, STOCKS = 12, 6
DAYS = pd.bdate_range("2020-06-01", periods=SESSIONS)
CODES = [str(1301 + 11 * i) for i in range(STOCKS)]
COLUMNS = ["Date", "Code", "Open", "High", "Low", "Close", "Volume"]
PRICES = COLUMNS[2:6]
stocks, days = st.integers(0, STOCKS - 1), st.integers(0, SESSIONS - 1)
SCALES = [0.001, 0.01, 0.1, 0.2, 1 / 3, 0.5, 2 / 3, 1.5, 2, 3, 5, 10, 100, 1000]
FIELDS = [PRICES, ["Close"], ["Open"], ["High"], ["Low"], ["Open", "Close"], ["Volume"]]


def clean_file() -> pd.DataFrame:
    """Six stocks whose prices are three times those of the next one, and move by up to 3% a session."""
    random = np.random.default_rng(0)
    close = 100 * 3.0 ** np.arange(STOCKS) * np.exp(np.cumsum(random.uniform(-0.03, 0.03, (SESSIONS, STOCKS)), axis=0))
    frames = []
    for i, code in enumerate(CODES):
        open_ = close[:, i] * random.uniform(0.99, 1.01, SESSIONS)
        high = np.maximum(open_, close[:, i]) * random.uniform(1.001, 1.02, SESSIONS)
        low = np.minimum(open_, close[:, i]) * random.uniform(0.98, 0.999, SESSIONS)
        bars = {"Open": open_, "High": high, "Low": low, "Close": close[:, i]}
        frames.append(pd.DataFrame({"Date": DAYS.strftime("%Y-%m-%d"), "Code": code, **bars, "Volume": 1000.0 + i}))
    return pd.concat(frames, ignore_index=True)


CLEAN = clean_file()


class Perturbation(NamedTuple):
    """What is done to the file, and the rows (of stock and session) that it touches.

    Attributes:
        apply: From the file to the perturbed one.
        touched: Stock and session of the bars that are no longer as they were.
        refusable: Whether the file may be refused.
    """

    apply: Callable[[pd.DataFrame], pd.DataFrame]
    touched: tuple[tuple[int, int], ...] = ()
    refusable: bool = False


def row_of(table: pd.DataFrame, stock: int, day: int) -> pd.Series:
    return (table["Code"].astype(str) == CODES[stock]) & (table["Date"].astype(str) == f"{DAYS[day]:%Y-%m-%d}")


@st.composite
def dropped(draw):
    stock, first = draw(stocks), draw(days)
    last = min(first + draw(st.integers(0, 3)), SESSIONS - 1)
    gone = tuple((stock, day) for day in range(first, last + 1))

    def apply(table):
        for where in gone:
            table = table[~row_of(table, *where)]
        return table

    return Perturbation(apply, gone)


@st.composite
def duplicated(draw):
    stock, day = draw(stocks), draw(days)
    change = draw(st.sampled_from(["nothing", "volume", "close"]))

    def apply(table):
        again = table[row_of(table, stock, day)].copy()
        again["Volume"] = 7.0 if change == "volume" else again["Volume"]
        again["Close"] = again["Close"] * 1.001 if change == "close" else again["Close"]
        return pd.concat([table, again], ignore_index=True)

    return Perturbation(apply, ((stock, day),) if change == "close" else (), refusable=True)


@st.composite
def moved_to_another_session(draw):
    stock, day, to = draw(stocks), draw(days), draw(days)

    def apply(table):
        table = table.copy()
        table.loc[row_of(table, stock, day), "Date"] = f"{DAYS[to]:%Y-%m-%d}"
        return table

    return Perturbation(apply, ((stock, day), (stock, to)) if day != to else ())


@st.composite
def shifted_as_a_whole(draw):
    by = draw(st.sampled_from(["1D", "-1D", "2D", "-9h", "15h"]))

    def apply(table):
        dates = pd.to_datetime(table["Date"]) + pd.Timedelta(by)
        return table.assign(Date=dates.dt.strftime("%Y-%m-%d %H:%M:%S" if "h" in by else "%Y-%m-%d"))

    everything = tuple((stock, day) for stock in range(STOCKS) for day in range(SESSIONS))
    return Perturbation(apply, everything if "D" in by else (), refusable=True)


def rescaling(stock: int, first: int, last: int, names: list[str], scale: float) -> Perturbation:
    def apply(table):
        table = table.copy()
        for day in range(first, last + 1):
            table.loc[row_of(table, stock, day), names] *= scale
        return table

    touched = tuple((stock, day) for day in range(first, last + 1)) if "Close" in names else ()
    return Perturbation(apply, touched)


@st.composite
def rescaled(draw):
    first = draw(days)
    last = draw(st.sampled_from([first, SESSIONS - 1]))
    stock, names, scale = draw(stocks), draw(st.sampled_from(FIELDS)), draw(st.sampled_from(SCALES))
    assume(names != PRICES or can_be_told(stock, first, last, scale))
    return rescaling(stock, first, last, names, scale)


def can_be_told(stock: int, first: int, last: int, scale: float) -> bool:
    """A bar at 3/2 or 2/3 of itself is told from a real move only while its own move is small (`jump_near_part`)."""
    beside = expected_returns()[[day for day in (first, last + 1) if day < SESSIONS], stock]
    return scale not in (2 / 3, 1.5) or bool(np.nanmax(np.abs(beside)) < 0.02)


@st.composite
def relabelled(draw):
    stock, other, day = draw(stocks), draw(stocks), draw(days)
    kind = draw(st.sampled_from(["rows", "unknown"]))

    def apply(table):
        table = table.copy()
        ours, theirs = row_of(table, stock, day), row_of(table, other, day)
        table.loc[ours, "Code"] = CODES[other] if kind == "rows" else "9999"
        if kind == "rows":
            table.loc[theirs, "Code"] = CODES[stock]
        return table

    return Perturbation(apply, ((stock, day), (other, day)) if kind == "rows" else ((stock, day),))


@st.composite
def emptied_or_mistyped(draw):
    stock, day = draw(stocks), draw(days)
    name = draw(st.sampled_from(PRICES))
    value = draw(st.sampled_from(["", "-", "0", "-1", "n/a", "12,34", "x", "1e9"]))

    def apply(table):
        table = table.astype({name: object})
        table.loc[row_of(table, stock, day), name] = value
        return table

    refusable = value in ("12,34", "x")
    return Perturbation(apply, ((stock, day),) if name == "Close" or refusable else (), refusable)


@st.composite
def retyped(draw):
    form = draw(
        st.sampled_from(["text", "thousands", "yen", "integer code", "dates", "day first", "shuffled", "names"])
    )

    def apply(table):
        if form == "text":
            return table.astype("str")
        if form in ("thousands", "yen"):
            write = "{:,.9f}" if form == "thousands" else "¥{:,.9f}"
            return table.assign(
                Close=[write.format(value) if isinstance(value, float) else value for value in table["Close"]]
            )
        if form == "integer code":
            return table.assign(Code=table["Code"].astype("int64"))
        if form in ("dates", "day first"):
            dates = pd.to_datetime(table["Date"], format="mixed")
            return table.assign(Date=dates if form == "dates" else dates.dt.strftime("%d/%m/%Y"))
        if form == "shuffled":
            return table.sample(frac=1, random_state=0)
        return table.rename(columns={"Close": "終値", "Date": "日付", "Code": "Ticker"})

    return Perturbation(apply)


@st.composite
def columns_changed_places(draw):
    one, two = draw(st.sampled_from([("High", "Low"), ("High", "Close"), ("Low", "Close"), ("Volume", "Close")]))
    everything = tuple((stock, day) for stock in range(STOCKS) for day in range(SESSIONS))
    return Perturbation(lambda table: table.rename(columns={one: two, two: one}), everything, refusable=True)


def expected_returns() -> np.ndarray:
    close = CLEAN.pivot(index="Date", columns="Code", values="Close").to_numpy()
    return np.vstack([np.full(STOCKS, np.nan), close[1:] / close[:-1] - 1])


def panel_or_refusal(table: pd.DataFrame) -> xr.Dataset | ValueError:
    try:
        return build_panel(standardise_bars(long_table(table))[0])
    except ValueError as error:
        return error


def hold(perturbations: list[Perturbation]) -> None:
    table = CLEAN
    for step in perturbations:
        table = step.apply(table)
    panel = panel_or_refusal(table)
    if isinstance(panel, ValueError):
        assert sentence_of(panel) is not None, "a fault in the code, not a refusal"
        assert any(step.refusable for step in perturbations), panel
        return
    found = panel["ret_1d"].reindex(date=DAYS, code=[f"{code}0" for code in CODES]).to_numpy()
    right = expected_returns()
    touched = np.zeros(right.shape, dtype=bool)
    for stock, day in (where for step in perturbations for where in step.touched):
        touched[day : day + 2, stock] = True  # the return into the session and the one out of it
    close_to_right = np.isclose(found, right, rtol=1e-4, equal_nan=True)
    assert close_to_right[~touched].all(), "an untouched return changed"
    assert (close_to_right | np.isnan(found))[touched].all(), "a wrong number without a word"


FILE = st.one_of(
    *(dropped(), duplicated(), moved_to_another_session(), rescaled(), relabelled(), emptied_or_mistyped(), retyped())
)


def test_the_clean_file_is_read():
    hold([])


@pytest.mark.parametrize("fields", FIELDS, ids="+".join)
def test_every_scale_of_a_field(fields):
    for scale in SCALES:
        hold([rescaling(2, 5, 5, fields, scale)])


@pytest.mark.parametrize("scale", [0.8, 0.9, 1.1, 1.25])
def test_a_close_that_the_range_of_the_day_denies(scale):
    hold([rescaling(2, 5, 5, ["Close"], scale)])


@settings(max_examples=150, deadline=None)
@given(FILE)
def test_one_thing_wrong(perturbation):
    hold([perturbation])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(dropped(), duplicated(), rescaled()), min_size=2, max_size=3), retyped())
def test_several_things_wrong(perturbations, last):
    hold([*perturbations, last])


@settings(max_examples=15, deadline=None)
@given(st.one_of(shifted_as_a_whole(), columns_changed_places()))
def test_the_whole_file_wrong(perturbation):
    hold([perturbation])
