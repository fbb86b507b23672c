"""Statements, investor flows and margin balances on the panel's grid, as they were known."""

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gogooku_kedro.market.asof import SessionAxis, latest_rows
from gogooku_kedro.market.event_tables import absent_table
from gogooku_kedro.market.investor_flows import investor_flow_series
from gogooku_kedro.market.margin_balances import known_margin_balances
from gogooku_kedro.market.statement_state import known_state
from gogooku_kedro.market.statements import parse_statements
from gogooku_kedro.typing import Float32Array, FloatArray

STATEMENT_MAX_AGE = 200
"""Sessions after which results or forecasts count as unknown."""

MARGIN_MAX_AGE = 15
"""Sessions after which a margin balance counts as unknown."""

Single = Float32Array


def build_events(
    panel: xr.Dataset,
    statements: pd.DataFrame | None = None,
    investor_flows: pd.DataFrame | None = None,
    margin_balances: pd.DataFrame | None = None,
) -> xr.Dataset:
    """Put the event tables on the panel's sessions and issues, each value as it was known then.

    An event dated D is usable from the next session: on rows with date > D, whatever its time of
    day. Values at t depend on event rows usable at t and on prices up to t only, bit for bit.
    Before the panel's first session weekdays stand for sessions.

    Args:
        panel: Market panel with close, adj_close, volume and adj_volume.
        statements: J-Quants V2 `fins/summary`; see `statements.parse_statements` and
            `statement_state.known_state`.
        investor_flows: J-Quants V2 investor-types; see `investor_flows.investor_flow_series`.
        margin_balances: J-Quants V2 margin-interest; see `margin_balances.known_margin_balances`.

    Returns:
        float32 variables on the panel's coordinates; none for a table that is None or has no rows.

        `(date, code)`, yen unless said: stmt_{sales,op,np} (fiscal year to date),
        stmt_*_year_ago (same period), stmt_*_ttm, stmt_*_ttm_year_ago (twelve months),
        stmt_{sales,np}_quarter, stmt_*_quarter_year_ago, stmt_total_assets,
        stmt_total_assets_year_ago, stmt_equity, stmt_cash, stmt_cfo_ttm and stmt_np_ttm_of_cfo (the
        same twelve months), stmt_adj_shares, stmt_adj_shares_year_ago (adjusted shares: times
        adj_close is the market value), stmt_fy_{sales,op,np} (last full year),
        stmt_fy_forecast_{op,np} (its last forecast), stmt_previous_fy_{sales,op} (year before the
        latest period's), stmt_own_forecast_{sales,op} (forecast of the latest period's year, the
        last one before its results), stmt_sessions_since (0 on the first session that can use the
        latest period), stmt_weekdays_to_next (next results by last year's date; negative when
        overdue). NaN when the latest period is more than 200 sessions old.
        stmt_forecast_{sales,op,np} (running year), stmt_forecast_*_previous,
        stmt_forecast_op_initial, stmt_adj_forecast_dividend (yen per adjusted share),
        stmt_revision_balance (raised minus lowered forecasts in a year),
        stmt_revision_sessions_since. NaN when the last forecast is more than 200 sessions old.
        margin_{long,short}, margin_{long,short}_standardised, margin_{long,short}_{1,4,13}w
        (adjusted shares, comparable with adj_volume) and, where the table has IssType, margin_loanable
        (1: can be sold short, 0: cannot); NaN when more than 15 sessions old.
        `(date,)`: flow_* of `investor_flow_series`; margin_sessions_since (of the latest
        publication about any issue).

    Raises:
        ValueError: A column of a table is missing or cannot be read, or none of its issues is in
            the panel.
    """
    axis = SessionAxis(pd.DatetimeIndex(panel.indexes["date"]))
    variables: dict[str, tuple[tuple[str, ...], Single]] = {}
    if statements is not None and not absent_table(statements):
        variables |= _by_stock(_statement_grids(panel, axis, statements))
    if investor_flows is not None and not absent_table(investor_flows):
        series = investor_flow_series(investor_flows, axis)
        variables |= {name: (("date",), values.astype(np.float32)) for name, values in series.items()}
    if margin_balances is not None and not absent_table(margin_balances):
        grids, since = _margin_grids(panel, axis, margin_balances)
        variables |= _by_stock(grids) | {"margin_sessions_since": (("date",), since)}
    coords = {"date": panel["date"].values, "code": panel["code"].values}
    return xr.Dataset(variables, coords)


def _by_stock(grids: dict[str, Single]) -> dict[str, tuple[tuple[str, ...], Single]]:
    return {name: (("date", "code"), values) for name, values in grids.items()}


class _Latest:
    """The last usable row of each (date, code), and values laid out by it."""

    def __init__(self, rows: NDArray[np.int32]) -> None:
        self._rows, self._absent = np.maximum(rows, 0), rows < 0

    def spread(self, values: FloatArray) -> Single:
        """Return the value of each cell's row, NaN where it has none."""
        if len(values) == 0:
            return np.full(self._rows.shape, np.nan, dtype=np.float32)
        grid = values.astype(np.float32)[self._rows]
        grid[self._absent] = np.nan
        return grid

    def age(self, since: FloatArray) -> Single:
        """Return the sessions since a position, NaN where there is none."""
        session = np.arange(len(self._rows), dtype=np.float32)[:, None]
        elapsed: Single = session - self.spread(since)
        return elapsed


def _statement_grids(panel: xr.Dataset, axis: SessionAxis, statements: pd.DataFrame) -> dict[str, Single]:
    filings = parse_statements(statements, panel, axis)
    state = known_state(filings)
    shape = (panel.sizes["date"], panel.sizes["code"])
    latest = _Latest(latest_rows(filings.available, filings.issue, shape))
    figures = {f"stmt_{name}": latest.spread(values) for name, values in state.figures.items()}
    figures["stmt_sessions_since"] = latest.age(state.reported)
    due = latest.spread(_weekday_of(state.expected_day))
    figures["stmt_weekdays_to_next"] = due - axis.weekdays.astype(np.float32)[:, None]
    forecasts = {f"stmt_{name}": latest.spread(values) for name, values in state.forecasts.items()}
    forecasts["stmt_revision_sessions_since"] = latest.age(state.revised)
    _forget(figures, latest.age(state.reported), STATEMENT_MAX_AGE)
    _forget(forecasts, latest.age(state.forecast), STATEMENT_MAX_AGE)
    return figures | forecasts


def _margin_grids(
    panel: xr.Dataset, axis: SessionAxis, margin_balances: pd.DataFrame
) -> tuple[dict[str, Single], Single]:
    state = known_margin_balances(margin_balances, panel, axis)
    shape = (panel.sizes["date"], panel.sizes["code"])
    latest = _Latest(latest_rows(state.available, state.issue, shape))
    grids = {f"margin_{name}": latest.spread(values) for name, values in state.values.items()}
    age = latest.age(state.latest)
    _forget(grids, age, MARGIN_MAX_AGE)
    youngest = np.fmin.reduce(age, axis=1, initial=np.float32(np.inf))
    return grids, np.where(youngest <= MARGIN_MAX_AGE, youngest, np.float32(np.nan))


def _forget(grids: dict[str, Single], age: Single, max_age: int) -> None:
    """Blank in place what is older than `max_age` sessions or has no age."""
    stale = ~(age <= max_age)
    for values in grids.values():
        values[stale] = np.nan


def _weekday_of(day: FloatArray) -> FloatArray:
    """Running number of the weekday of each day since 1970, NaN for NaN."""
    known = ~np.isnan(day)
    days = np.where(known, day, 0).astype(np.int64).astype("datetime64[D]")
    return np.where(known, np.busday_count(np.datetime64("1970-01-01"), days), np.nan)
