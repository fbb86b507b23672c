"""Statements and forecasts of the sample market, in the shape of J-Quants `fins/summary`.

Nothing here looks at returns: companies are drawn from the issues' fixed facts (first price, normal
volume, sector, split, listed life) and from random streams of their own. Growth, margins, surprises
and revisions are therefore independent of the planted drift and of every shock of the market, and
the oracle's bounds stay the best that anyone can reach.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gogooku_kedro.exchange.calendar import sessions
from gogooku_kedro.sample_market.companies import Companies, draw_companies
from gogooku_kedro.sample_market.settings import SampleMarketSettings, random_stream
from gogooku_kedro.sample_market.universe import Universe
from gogooku_kedro.typing import FloatArray, IntArray

_CORRECTED, _SAME_DAY = 0.015, 0.15
_TIMES = np.array(["11:30:00", "13:00:00", "14:00:00", "15:00:00", "15:30:00", "16:00:00"])
_TIME_ODDS = np.array([0.08, 0.1, 0.12, 0.45, 0.15, 0.1])
_QUARTERS = np.array(["1Q", "2Q", "3Q", "FY"])
_MILLION = 1e6

_FIGURES = ("Sales", "OP", "OdP", "NP", "EPS", "TA", "Eq", "EqAR", "BPS", "CFO", "CashEq", "DivAnn")
_FORECASTS = ("FSales", "FOP", "FOdP", "FNP", "FEPS", "FDivAnn")
_NEXT_FORECASTS = ("NxFSales", "NxFOP", "NxFOdP", "NxFNp", "NxFEPS", "NxFDivAnn")
_DECIMALS = {"EPS": 2, "BPS": 2, "EqAR": 3, "FEPS": 2, "NxFEPS": 2, "DivAnn": 1, "FDivAnn": 1, "NxFDivAnn": 1}
COLUMNS = (
    *("DiscDate", "DiscTime", "Code", "DiscNo", "DocType", "CurPerType", "CurPerSt", "CurPerEn"),
    *("CurFYSt", "CurFYEn", "NxtFYSt", "NxtFYEn"),
    *(*_FIGURES, *_FORECASTS, *_NEXT_FORECASTS, "ShOutFY", "TrShFY"),
)


@dataclass(frozen=True)
class _Documents:
    """Documents to be written: quarter and code of each, its day, and what kind it is."""

    quarter: IntArray
    code: IntArray
    day: np.ndarray
    time: np.ndarray
    results: np.ndarray
    forecast: IntArray  # which of the forecasts of its quarter: 0 with the results, 1 revised after
    corrected: np.ndarray


def statements_table(settings: SampleMarketSettings, universe: Universe) -> pd.DataFrame:
    """Return the filings of every company while it is listed, from 30 months before the market on.

    Results of 1Q, 2Q, 3Q (30 to 43 days after the quarter) and FY (35 to 50 days), cumulative within
    the fiscal year; most fiscal years end in March. Results carry the forecast of the running year,
    those of FY that of the next one; a fifth of the quarters has a document with a revised forecast
    in between or on the day of the results, and 1.5% of the results are corrected days later under
    a later DiscNo. Cash flows are stated with 2Q and FY only; banks and insurers have no OP.

    Args:
        settings: The market's settings.
        universe: Its issues.

    Returns:
        J-Quants V2 columns (`COLUMNS`), sorted by DiscDate, DiscTime and DiscNo: DiscDate is a
        date, everything else text, "" where missing; yen, shares, and yen per share.
    """
    companies = draw_companies(settings, universe)
    rng = random_stream(settings.seed, 0, "filings")
    documents = _documents(settings, universe, companies, rng)
    columns = _headings(documents, companies, universe)
    columns |= _figures(documents, companies, settings, universe, rng)
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    return table.sort_values(["DiscDate", "DiscTime", "DiscNo"], kind="stable", ignore_index=True)


def _documents(
    settings: SampleMarketSettings, universe: Universe, companies: Companies, rng: np.random.Generator
) -> _Documents:
    """Results, revised forecasts and corrections that fall into the company's listed life."""
    days = sessions(pd.Timestamp(companies.history_start), settings.end).to_numpy().astype("datetime64[D]")
    shape = companies.quarter_end.shape
    year_end = companies.fiscal_quarter == 3
    habit = rng.integers(30, 42, shape[1])
    lag = np.clip(habit + rng.integers(-2, 3, shape) + np.where(year_end, 7, 0), 30, 50)
    reported = _session_on_or_after(days, companies.quarter_end + lag)
    same_day = rng.random(shape) < _SAME_DAY
    later = _session_on_or_after(days, reported + rng.integers(5, 45, shape))
    corrected = _session_on_or_after(days, reported + rng.integers(2, 30, shape))
    time = rng.choice(_TIMES, shape, p=_TIME_ODDS)
    has_correction = rng.random(shape) < _CORRECTED
    revision = np.where(same_day, reported, later)
    after_revision = companies.revised & (corrected >= revision)
    kinds = (
        (np.ones(shape, dtype=bool), reported, True, np.zeros(shape, dtype=np.int64), False),
        (companies.revised, revision, False, np.ones(shape, dtype=np.int64), False),
        (has_correction, corrected, True, after_revision.astype(np.int64), True),
    )
    parts = []
    for happens, day, results, forecast, correction in kinds:
        quarter, code = np.nonzero(happens & _listed(settings, universe, companies, day))
        size = len(quarter)
        parts.append(
            (
                quarter,
                code,
                day[quarter, code],
                time[quarter, code],
                np.full(size, results),
                forecast[quarter, code],
                np.full(size, correction),
            )
        )
    return _Documents(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _session_on_or_after(days: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The session; NaT for a day before the first or beyond the last one."""
    position = np.searchsorted(days, np.where(np.isnat(wanted), days[0], wanted))
    outside = np.isnat(wanted) | (wanted < days[0]) | (position == len(days))
    return np.where(outside, np.datetime64("NaT", "D"), days[np.minimum(position, len(days) - 1)])


def _listed(settings: SampleMarketSettings, universe: Universe, companies: Companies, day: np.ndarray) -> np.ndarray:
    """Whether the company is listed on the day; the issues of the first session were before it too."""
    dates = settings.sessions.to_numpy().astype("datetime64[D]")
    first = np.where(universe.first == 0, companies.history_start, dates[universe.first])
    inside: np.ndarray = (day >= first) & (day <= dates[universe.last])
    return inside


def _headings(documents: _Documents, companies: Companies, universe: Universe) -> dict[str, pd.Series]:
    at = documents.quarter, documents.code
    fiscal_quarter = companies.fiscal_quarter[at]
    year_end = companies.year_end[at]
    year_start = _month_start(year_end, -11)
    annual = documents.results & (fiscal_quarter == 3)
    ifrs = companies.ifrs[documents.code]
    standard = np.where(ifrs, "IFRS", "JP")
    kind = np.char.add(np.char.add(_QUARTERS[fiscal_quarter], "FinancialStatements_Consolidated_"), standard)
    order = np.lexsort((documents.code, documents.corrected, ~documents.results, documents.time, documents.day))
    serial = np.empty(len(order), dtype=np.int64)
    serial[order] = np.arange(len(order)) % 1_000_000
    stamp = pd.Series(pd.DatetimeIndex(documents.day).strftime("%Y%m%d"))
    return {
        "DiscDate": pd.Series(documents.day.astype("datetime64[ns]")),
        "DiscTime": _text(documents.time),
        "Code": _text(universe.codes[documents.code]),
        "DiscNo": (stamp + pd.Series(serial).astype("str").str.zfill(6)).astype("str"),
        "DocType": _text(np.where(documents.results, kind, "EarnForecastRevision")),
        "CurPerType": _text(np.where(documents.results, _QUARTERS[fiscal_quarter], "FY")),
        "CurPerSt": _day_text(year_start),
        "CurPerEn": _day_text(np.where(documents.results, companies.quarter_end[at], year_end)),
        "CurFYSt": _day_text(year_start),
        "CurFYEn": _day_text(year_end),
        "NxtFYSt": _day_text(_month_start(year_end, 1)).where(annual, ""),
        "NxtFYEn": _day_text(_month_start(year_end, 13) - np.timedelta64(1, "D")).where(annual, ""),
    }


def _figures(
    documents: _Documents,
    companies: Companies,
    settings: SampleMarketSettings,
    universe: Universe,
    rng: np.random.Generator,
) -> dict[str, pd.Series]:
    at = documents.quarter, documents.code
    quarter = companies.fiscal_quarter[at]
    annual = documents.results & (quarter == 3)
    dates = settings.sessions.to_numpy().astype("datetime64[D]")
    split = np.searchsorted(dates, documents.day, side="right") - 1 >= universe.split_session[documents.code]
    shares = companies.shares[at] / np.where(split, universe.split_factor[documents.code], 1.0)
    outstanding = np.round(shares * (1 + companies.treasury[at]))
    error = np.where(documents.corrected, 1.0, 1 + 0.01 * rng.standard_normal(len(shares)))
    wrong = np.isin(_key(documents), _key(documents)[documents.corrected])
    factor = np.where(wrong, error, 1.0)  # the first version of what is corrected is a little off
    sums = {name: values[at] * factor for name, values in companies.to_date.items()}
    no_op, cash_flow = companies.no_op[documents.code], documents.results & (quarter % 2 == 1)
    values = {
        "Sales": sums["sales"],
        "OP": np.where(no_op, np.nan, sums["op"]),
        "OdP": np.where(companies.ifrs[documents.code], np.nan, sums["odp"]),
        "NP": sums["np"],
        "EPS": sums["np"] / shares,
        "TA": companies.total_assets[at],
        "Eq": companies.equity[at],
        "EqAR": companies.equity[at] / companies.total_assets[at],
        "BPS": companies.equity[at] / shares,
        "CFO": np.where(cash_flow, sums["cfo"], np.nan),
        "CashEq": np.where(cash_flow, companies.cash[at], np.nan),
        "DivAnn": np.where(annual, companies.dividend[at] / shares, np.nan),
        "ShOutFY": outstanding,
        "TrShFY": np.round(shares * companies.treasury[at]),
    }
    written = {name: _numbers(name, np.where(documents.results, value, np.nan)) for name, value in values.items()}
    forecast = {name: table[documents.forecast, at[0], at[1]] for name, table in companies.forecast.items()}
    forecast["OP"] = np.where(no_op, np.nan, forecast["OP"])
    forecast["OdP"] = np.where(companies.ifrs[documents.code], np.nan, forecast["OdP"])
    forecast["EPS"], forecast["DivAnn"] = forecast["NP"] / shares, forecast["DivAnn"] / shares
    order = ("Sales", "OP", "OdP", "NP", "EPS", "DivAnn")
    for names, wanted in ((_FORECASTS, ~annual), (_NEXT_FORECASTS, annual)):
        for name, item in zip(names, order, strict=True):
            written[name] = _numbers(name, np.where(wanted, forecast[item], np.nan))
    return written


def _key(documents: _Documents) -> np.ndarray:
    """One number per quarter and code of the results, -1 for other documents."""
    number = documents.quarter * 10_000 + documents.code
    return np.where(documents.results, number, -1)


def _numbers(name: str, values: FloatArray) -> pd.Series:
    """Whole millions of yen, whole shares, or yen per share, as text."""
    known = np.isfinite(values)
    if name in _DECIMALS:
        places = _DECIMALS[name]
        text = pd.Series(np.round(np.where(known, values, 0.0), places)).astype("str")
    else:
        unit = 1.0 if name in ("ShOutFY", "TrShFY") else _MILLION
        whole = np.round(np.where(known, values, 0.0) / unit) * unit
        text = pd.Series(whole.astype(np.int64)).astype("str")
    return text.where(known, "")


def _text(values: np.ndarray) -> pd.Series:
    return pd.Series(pd.array(values, dtype="str"))


def _month_start(month_end: np.ndarray, months: int) -> np.ndarray:
    """First day of the month `months` after that of `month_end`."""
    start: np.ndarray = (month_end.astype("datetime64[M]") + months).astype("datetime64[D]")
    return start


def _day_text(days: np.ndarray) -> pd.Series:
    return _text(np.datetime_as_string(days.astype("datetime64[D]")))
