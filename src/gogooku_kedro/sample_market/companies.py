"""The companies behind the sample market's issues: quarters, balances and forecasts, unseen by prices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gogooku_kedro.sample_market.settings import SampleMarketSettings, random_stream
from gogooku_kedro.sample_market.universe import Universe
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray

_HISTORY_MONTHS = 30
_SIMULATED_BEFORE = 6  # quarters before the history: a fiscal year is complete when it is filed
_SIMULATED_AFTER = 6  # quarters after the market: forecasts look ahead
_NO_OP_SECTORS = ("7050", "7150")  # banks and insurers state ordinary profit only
_YEAR_END_MONTHS = np.array([3, 12, 2, 9, 6, 5, 8, 10])
_YEAR_END_ODDS = np.array([0.66, 0.12, 0.06, 0.05, 0.05, 0.02, 0.02, 0.02])
_IFRS = 0.08
_AFTER_TAX = 0.68
_TAKEN_OUT = 0.35  # share of the error that a changed forecast loses
_RESTATED = 0.3  # odds that results come with a changed forecast
_REVISED = 0.2  # odds that a revised forecast follows the results of 1Q to 3Q


@dataclass(frozen=True)
class Companies:
    """Companies of the issues; arrays are `(quarter, code)` unless said.

    Attributes:
        quarter_end: Last day of the quarter, datetime64[D].
        year_end: Last day of its fiscal year, datetime64[D].
        fiscal_quarter: 0 to 3; 3 ends the fiscal year.
        history_start: First day with filings.
        to_date: Yen by name (sales, op, odp, np, cfo), cumulative within the fiscal year.
        total_assets: Yen.
        equity: Yen.
        cash: Yen.
        dividend: Yen paid for the fiscal year, all shares together.
        shares: Outstanding without own shares, before any split.
        treasury: Own shares as a share of them.
        forecast: `(2, quarter, code)` by name (Sales, OP, OdP, NP, DivAnn): with the results of the
            quarter, and revised afterwards. Of the running fiscal year; of the next one with FY.
        revised: Whether a revised forecast is published before the next results.
        no_op: `(code,)` whether the company states no operating profit.
        ifrs: `(code,)` whether it reports under IFRS, without ordinary profit.
    """

    quarter_end: npt.NDArray[np.datetime64]
    year_end: npt.NDArray[np.datetime64]
    fiscal_quarter: IntArray
    history_start: np.datetime64
    to_date: dict[str, FloatArray]
    total_assets: FloatArray
    equity: FloatArray
    cash: FloatArray
    dividend: FloatArray
    shares: FloatArray
    treasury: FloatArray
    forecast: dict[str, FloatArray]
    revised: BoolArray
    no_op: BoolArray
    ifrs: BoolArray


def draw_companies(settings: SampleMarketSettings, universe: Universe) -> Companies:
    """Draw the companies from the issues' fixed facts and a random stream of their own.

    Args:
        settings: The market's settings.
        universe: Its issues; only first price, normal volume and sector are used here.
    """
    rng = random_stream(settings.seed, 0, "companies")
    quarter_end, year_end, fiscal_quarter, history_start = _calendar(settings, rng)
    shape = quarter_end.shape
    shares = np.exp(universe.log_shares + rng.normal(5.6, 0.6, shape[1]))  # 270 sessions of volume
    value = shares * universe.first_price
    flows = _quarters(value, universe.volatility, shape, rng)
    to_date = {name: _cumulative(flow, fiscal_quarter) for name, flow in flows.items()}
    annual = {name: _full_year(values, fiscal_quarter) for name, values in to_date.items()}
    payout = np.clip(rng.normal(0.32, 0.12, shape[1]), 0.0, 0.9)
    dividend = payout * np.maximum(annual["np"], 0.1 * np.abs(annual["np"]))
    sales = 4 * flows["sales"]
    equity = value * np.exp(rng.normal(-0.1, 0.45, shape[1])) + np.cumsum(
        (1 - payout) * flows["np"] + 0.004 * value * rng.standard_normal(shape), axis=0
    )
    equity = np.maximum(equity, 0.05 * value)
    debt = sales.mean(axis=0) * np.exp(rng.normal(-0.4, 0.5, shape[1]))
    total_assets = equity + debt * np.exp(np.cumsum(0.03 * rng.standard_normal(shape), axis=0))
    cash = total_assets * np.clip(rng.normal(0.17, 0.06, shape[1]) + 0.01 * rng.standard_normal(shape), 0.01, 1)
    revised = (rng.random(shape) < _REVISED) & (fiscal_quarter != 3)
    issued = np.cumsum(np.where(rng.random(shape) < 0.05, rng.normal(0.01, 0.04, shape), 0.0), axis=0)
    buyback = np.cumsum(0.002 * rng.exponential(size=shape) * (rng.random(shape) < 0.3), axis=0)
    return Companies(
        quarter_end=quarter_end,
        year_end=year_end,
        fiscal_quarter=fiscal_quarter,
        history_start=history_start,
        to_date=to_date,
        total_assets=total_assets,
        equity=equity,
        cash=cash,
        dividend=dividend,
        shares=shares * np.exp(np.clip(issued, -0.3, 0.5)) / (1 + buyback),
        treasury=0.01 + buyback,
        forecast=_forecasts(annual, dividend, fiscal_quarter, revised, rng),
        revised=revised,
        no_op=np.isin(universe.sector, _NO_OP_SECTORS),
        ifrs=np.less(rng.random(shape[1]), _IFRS),
    )


def _calendar(
    settings: SampleMarketSettings, rng: np.random.Generator
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.datetime64], IntArray, np.datetime64]:
    """Ends of quarter and of fiscal year, number of the quarter, and the first day with filings."""
    start = np.datetime64(settings.start, "M")
    history = start - _HISTORY_MONTHS
    first = (history - 3 * _SIMULATED_BEFORE).astype(np.int64) // 3 * 3
    last = np.datetime64(settings.end, "M").astype(np.int64) + 3 * _SIMULATED_AFTER
    year_end_month = rng.choice(_YEAR_END_MONTHS, settings.n_codes, p=_YEAR_END_ODDS)
    month = np.arange(first, last, 3)[:, None] + (year_end_month - 1) % 3  # 1970-01 is month 0
    fiscal_quarter = ((month - year_end_month + 1) % 12 // 3 - 1) % 4
    year_end = month + 3 * (3 - fiscal_quarter)
    ends = [(m + 1).astype("datetime64[M]").astype("datetime64[D]") - 1 for m in (month, year_end)]
    return ends[0], ends[1], fiscal_quarter.astype(np.int64), history.astype("datetime64[D]")


def _quarters(
    value: FloatArray, volatility: FloatArray, shape: tuple[int, int], rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Sales and profits of each single quarter, yen."""
    n = shape[1]
    level = value * np.exp(rng.normal(-0.1, 0.6, n)) / 4
    trend = rng.normal(0.008, 0.012, n)
    season = 0.06 * rng.standard_normal((4, n))
    noise = 0.02 + 0.02 * rng.random(n)
    growth = np.cumsum(trend + noise * rng.standard_normal(shape), axis=0)
    quarter = np.arange(shape[0]) % 4
    sales = level * np.exp(growth + season[quarter])
    margin = rng.normal(0.075, 0.045, n) + np.cumsum(0.004 * rng.standard_normal(shape), axis=0)
    op = sales * (margin + 0.012 * rng.standard_normal(shape))
    odp = op + sales * 0.004 * rng.standard_normal(shape)
    special = np.where(rng.random(shape) < 0.04, -0.06 * sales * rng.random(shape), 0.0)
    special += 0.006 * sales * rng.standard_normal(shape)
    net = (_AFTER_TAX + 0.08 * rng.standard_normal(n)) * odp + special
    cfo = net + sales * (0.035 + 0.03 * rng.standard_normal(shape))
    return {"sales": sales, "op": op, "odp": odp, "np": net, "cfo": cfo}


def _cumulative(flow: FloatArray, fiscal_quarter: IntArray) -> FloatArray:
    """Sum since the fiscal year began."""
    total = np.vstack([np.zeros(flow.shape[1]), np.cumsum(flow, axis=0)])
    row = np.arange(len(flow))[:, None]
    before = np.maximum(row - fiscal_quarter, 0)
    to_date: FloatArray = total[1:] - np.take_along_axis(total, before, axis=0)
    return to_date


def _full_year(to_date: FloatArray, fiscal_quarter: IntArray) -> FloatArray:
    """Figure of the whole fiscal year that each quarter belongs to."""
    row = np.arange(len(to_date))[:, None]
    end = np.minimum(row + 3 - fiscal_quarter, len(to_date) - 1)
    return np.take_along_axis(to_date, end, axis=0)


def _forecasts(
    annual: dict[str, FloatArray],
    dividend: FloatArray,
    fiscal_quarter: IntArray,
    revised: BoolArray,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Forecasts of sales and of profit margins that err, and are now and then corrected halfway."""
    quarters, n = fiscal_quarter.shape
    row = np.arange(quarters)[:, None]
    ahead = np.where(fiscal_quarter == 3, np.minimum(row + 4, quarters - 1), row)
    truth = {name: np.take_along_axis(values, ahead, axis=0) for name, values in annual.items()}
    paid = np.take_along_axis(dividend, ahead, axis=0)
    errors = _forecast_errors(fiscal_quarter, revised, rng)
    sales = truth["sales"] * np.exp(errors["sales"])
    slip, other = sales * errors["margin"], sales * errors["other"]
    habit = np.exp(0.1 * rng.standard_normal(n))
    return {
        "Sales": sales,
        "OP": truth["op"] + slip,
        "OdP": truth["odp"] + slip,
        "NP": truth["np"] + _AFTER_TAX * slip + other,
        "DivAnn": paid * habit * np.exp(errors["sales"]),
    }


def _forecast_errors(fiscal_quarter: IntArray, revised: BoolArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Errors `(2, quarter, code)`: drawn with FY for the next year, then taken out step by step."""
    shape = fiscal_quarter.shape
    changes = rng.random(shape) < _RESTATED
    errors = {}
    for name, size in (("sales", 0.05), ("margin", 0.012), ("other", 0.004)):
        fresh = size * rng.standard_normal(shape)
        errors[name] = np.empty((2, *shape))
        left = fresh[0]
        for quarter in range(shape[0]):  # a recursion: a forecast starts from the last one
            restated = np.where(changes[quarter], (1 - _TAKEN_OUT) * left, left)
            with_results = np.where(fiscal_quarter[quarter] == 3, fresh[quarter], restated)
            afterwards = (1 - _TAKEN_OUT) * with_results
            errors[name][:, quarter] = with_results, afterwards
            left = np.where(revised[quarter], afterwards, with_results)
    return errors
