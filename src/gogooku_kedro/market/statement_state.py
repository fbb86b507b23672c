"""What was known about each company after each of its filings, to the last correction."""

from dataclasses import dataclass

import numpy as np

from gogooku_kedro.market.asof import ABSENT, KnownRows, figure, highest_so_far, number
from gogooku_kedro.market.statements import YEAR, Filings
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray

_YEAR_OF_DAYS = 364  # a whole number of weeks: companies report on the same weekday
_COUNTED_DAYS = 365


@dataclass(frozen=True)
class State:
    """What each filing leaves known: one value per filing and name, in the order of the filings.

    Attributes:
        figures: Out of the results; they age with `reported`.
        forecasts: Out of the forecasts; they age with `forecast`.
        reported: Position of the session on which the latest period first became usable.
        forecast: Position of the session on which the last forecast became usable.
        revised: Position of the session on which the last changed forecast became usable.
        expected_day: Day (since 1970) on which the next results are due by last year's date.

    `reported` to `expected_day` are NaN where there is none.
    """

    figures: dict[str, FloatArray]
    forecasts: dict[str, FloatArray]
    reported: FloatArray
    forecast: FloatArray
    revised: FloatArray
    expected_day: FloatArray


def known_state(filings: Filings) -> State:
    """Return what was known after each filing.

    A correction replaces the figures of its period from its own availability on. The latest period
    is the one with the latest fiscal year and quarter reported so far: a correction of an older
    period does not bring it back. The forecast is that of the running fiscal year, the next one
    once a year's results are out; a document with any forecast of a year replaces all of it.

    Args:
        filings: Result of `parse_statements`.
    """
    reports, guidance = _Reports(filings), _Guidance(filings)
    latest = highest_so_far(filings.period, filings.issue)
    target = _running_year(filings, latest)
    figures = reports.profit_and_loss(latest) | reports.balance(latest) | reports.cash_flow()
    figures |= guidance.of_reported_years(reports, latest)
    first = reports.first_row(latest)
    due = reports.first_row(_next_period(latest) - YEAR)
    return State(
        figures=figures,
        forecasts=guidance.of_year(target),
        reported=figure(filings.available.astype(np.float64), first),
        forecast=figure(filings.available.astype(np.float64), guidance.last_row),
        revised=figure(filings.available.astype(np.float64), guidance.last_changed_row),
        expected_day=figure(filings.day.astype(np.float64), due) + _YEAR_OF_DAYS,
    )


def _running_year(filings: Filings, latest: IntArray) -> IntArray:
    stated = highest_so_far(np.where(_any_forecast(filings, 0), filings.year, ABSENT), filings.issue)
    after_results = np.where(latest % 4 == 3, latest // 4 + 12, latest // 4)
    return np.where(latest >= 0, after_results, stated)


def _next_period(period: IntArray) -> IntArray:
    following = np.where(period % 4 == 3, period + YEAR - 3, period + 1)
    return np.where(period >= 0, following, ABSENT)


def _any_forecast(filings: Filings, which: int) -> BoolArray:
    values = np.stack([pair[:, which] for pair in filings.forecasts.values()])
    stated: BoolArray = np.any(~np.isnan(values), axis=0)
    return stated


class _Reports:
    """Figures of the results, looked up by period as they were known after each filing."""

    def __init__(self, filings: Filings) -> None:
        self._filings = filings
        self._rows = np.flatnonzero(filings.period >= 0)
        self._known = KnownRows(filings.issue[self._rows], filings.period[self._rows], self._rows)
        self._bound = np.arange(len(filings), dtype=np.int64)

    def row(self, period: IntArray) -> IntArray:
        """Last filing of each period known so far, -1 for none."""
        return number(self._rows, self._known.last(self._filings.issue, period, self._bound))

    def first_row(self, period: IntArray) -> IntArray:
        """First filing of each period, -1 when it has not been reported so far."""
        return number(self._rows, self._known.first(self._filings.issue, period, self._bound))

    def value(self, name: str, period: IntArray) -> FloatArray:
        """Cumulative figure of each period."""
        return figure(self._filings.figures[name], self.row(period))

    def twelve_months(self, name: str, period: IntArray) -> FloatArray:
        """Sum of the twelve months that end with the period: year before + to date - a year ago."""
        to_date, before = self.value(name, period), self.value(name, _year_before(period))
        return np.where(period % 4 == 3, to_date, before + to_date - self.value(name, period - YEAR))

    def quarter(self, name: str, period: IntArray) -> FloatArray:
        """Figure of the quarter alone."""
        to_date, before = self.value(name, period), self.value(name, period - 1)
        return np.where(period % 4 == 0, to_date, to_date - before)

    def profit_and_loss(self, latest: IntArray) -> dict[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        for name in ("sales", "op", "np"):
            found[name] = self.value(name, latest)
            found[f"{name}_year_ago"] = self.value(name, latest - YEAR)
            found[f"{name}_ttm"] = self.twelve_months(name, latest)
            found[f"{name}_ttm_year_ago"] = self.twelve_months(name, latest - YEAR)
        for name in ("sales", "np"):
            found[f"{name}_quarter"] = self.quarter(name, latest)
            found[f"{name}_quarter_year_ago"] = self.quarter(name, latest - YEAR)
        return found

    def balance(self, latest: IntArray) -> dict[str, FloatArray]:
        counted = self.latest_with("shares")
        return {
            "total_assets": self.value("total_assets", latest),
            "total_assets_year_ago": self.value("total_assets", latest - YEAR),
            "equity": self.value("equity", latest),
            "cash": self.value("cash", self.latest_with("cash")),
            "adj_shares": self.value("shares", counted),
            "adj_shares_year_ago": self.value("shares", counted - YEAR),
        }

    def cash_flow(self) -> dict[str, FloatArray]:
        stated = self.latest_with("cfo")
        return {
            "cfo_ttm": self.twelve_months("cfo", stated),
            "np_ttm_of_cfo": self.twelve_months("np", stated),
        }

    def latest_with(self, name: str) -> IntArray:
        """Latest period so far whose results state the figure."""
        stated = ~np.isnan(self._filings.figures[name])
        return highest_so_far(np.where(stated, self._filings.period, ABSENT), self._filings.issue)


def _year_before(period: IntArray) -> IntArray:
    """The fiscal year that ended before the period's own year."""
    return np.where(period >= 0, (period // 4 - 12) * 4 + 3, ABSENT)


class _Guidance:
    """Forecasts of the companies, looked up by fiscal year as they were known after each filing."""

    def __init__(self, filings: Filings) -> None:
        self._filings = filings
        stated = [np.flatnonzero(_any_forecast(filings, which)) for which in (0, 1)]
        self._row = np.concatenate(stated)
        target = np.concatenate([filings.year[stated[0]], filings.next_year[stated[1]]])
        self._values = {
            name: np.concatenate([pair[stated[which], which] for which in (0, 1)])
            for name, pair in filings.forecasts.items()
        }
        kept = np.flatnonzero(target >= 0)
        self._row, target = self._row[kept], target[kept]
        self._values = {name: values[kept] for name, values in self._values.items()}
        self._known = KnownRows(filings.issue[self._row], target, self._row)
        self._bound = np.arange(len(filings), dtype=np.int64)
        self._direction = self._directions(target)
        self.last_row = self._latest(np.bincount(self._row, minlength=len(filings)) > 0)
        self.last_changed_row = self._latest(self._direction != 0)

    def of_year(self, target: IntArray) -> dict[str, FloatArray]:
        """Forecast of each target year: the last one, the one before it and the first one."""
        span = self._known.span(self._filings.issue, target, self._bound)
        now, first = self._known.at(span.last), self._known.at(span.first)
        previous = self._known.at(np.maximum(span.last - 1, span.first))
        found = {f"forecast_{name}": figure(values, now) for name, values in self._values.items()}
        for name, values in self._values.items():
            found[f"forecast_{name}_previous"] = figure(values, previous)
        found["forecast_op_initial"] = figure(self._values["op"], first)
        found["adj_forecast_dividend"] = self._dividend(target)
        found["revision_balance"] = self._balance()
        return found

    def of_reported_years(self, reports: _Reports, latest: IntArray) -> dict[str, FloatArray]:
        """Forecasts of years in which results are out, and the full years to hold them against."""
        last_year = highest_so_far(
            np.where(self._filings.period % 4 == 3, self._filings.period, ABSENT), self._filings.issue
        )
        found = {f"fy_{name}": reports.value(name, last_year) for name in ("sales", "op", "np")}
        found |= {f"previous_fy_{n}": reports.value(n, _year_before(latest)) for n in ("sales", "op")}
        own, full = self._before_results(reports, latest), self._before_results(reports, last_year)
        found |= {f"own_forecast_{name}": figure(self._values[name], own) for name in ("sales", "op")}
        found |= {f"fy_forecast_{name}": figure(self._values[name], full) for name in ("op", "np")}
        return found

    def _before_results(self, reports: _Reports, period: IntArray) -> IntArray:
        """Last forecast of the period's fiscal year, as it stood before that year's results."""
        year = np.where(period >= 0, period // 4, ABSENT)
        results = reports.first_row(np.where(year >= 0, 4 * year + 3, ABSENT))
        bound = np.where(results >= 0, results - 1, self._bound)
        return self._known.last(self._filings.issue, year, bound)

    def _dividend(self, target: IntArray) -> FloatArray:
        stated = [np.flatnonzero(~np.isnan(self._filings.dividends[:, which])) for which in (0, 1)]
        row = np.concatenate(stated)
        year = np.concatenate([self._filings.year[stated[0]], self._filings.next_year[stated[1]]])
        values = np.concatenate([self._filings.dividends[stated[which], which] for which in (0, 1)])
        kept = np.flatnonzero(year >= 0)
        known = KnownRows(self._filings.issue[row[kept]], year[kept], row[kept])
        return figure(values[kept], known.last(self._filings.issue, target, self._bound))

    def _directions(self, target: IntArray) -> IntArray:
        """+1, -1 or 0 per filing: operating profit (where blank: net profit) forecast up or down."""
        span = self._known.span(self._filings.issue[self._row], target, self._row)
        previous = self._known.at(np.where(span.last > span.first, span.last - 1, ABSENT))
        op, net = (self._values[name] - figure(self._values[name], previous) for name in ("op", "np"))
        sign = np.sign(np.nan_to_num(np.where(np.isnan(op), net, op)))
        total = np.bincount(self._row, sign, minlength=len(self._filings))
        return np.sign(total).astype(np.int64)

    def _balance(self) -> FloatArray:
        """Forecasts raised minus forecasts lowered in the 365 days up to the filing."""
        filings, total = self._filings, np.cumsum(self._direction)
        scale = int(filings.day.max(initial=0)) + 1
        day = filings.issue * scale + filings.day
        since = np.searchsorted(day, day - _COUNTED_DAYS, side="right")
        before = np.where(since > 0, total[np.maximum(since - 1, 0)], 0)
        balance: FloatArray = (total - before).astype(np.float64)
        return balance

    def _latest(self, flag: BoolArray) -> IntArray:
        return highest_so_far(np.where(flag, self._bound, ABSENT), self._filings.issue)
