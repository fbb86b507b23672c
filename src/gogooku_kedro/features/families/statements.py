"""Fundamentals from statements and guidance: growth, margins, surprises, revisions, value, accruals.

All figures are those known on the session (`market/events.py`). A ratio is NaN where a figure is
unknown and where its denominator is not positive: growth out of a loss or a yield on no value says
nothing. Numerators may be negative.
"""

from functools import partial

import xarray as xr

from gogooku_kedro.arrays.elementwise import log
from gogooku_kedro.features.feature import Family, Feature, shared

SHARES = "stmt_adj_shares"
VALUE = ("adj_close", SHARES)
JQUANTS = "J-Quants fins/summary"


@shared
def market_value(panel: xr.Dataset) -> xr.DataArray:
    """Return the market value in yen: adjusted close times adjusted shares.

    It equals today's raw close times the shares outstanding of the latest statement, carried
    through the splits since its disclosure.
    """
    return panel["adj_close"] * panel[SHARES]


def growth(panel: xr.Dataset, now: str, before: str) -> xr.DataArray:
    """Return now / before - 1, NaN unless the figure before is positive."""
    return share(panel, now, before) - 1


def share(panel: xr.Dataset, part: str, whole: str) -> xr.DataArray:
    """Return part / whole, NaN unless the whole is positive."""
    return panel[part] / _positive(panel[whole])


def to_price(panel: xr.Dataset, part: str) -> xr.DataArray:
    """Return a figure over the market value, NaN unless that is positive."""
    return panel[part] / _positive(market_value(panel))


def change_to_price(panel: xr.Dataset, now: str, before: str) -> xr.DataArray:
    """Return (now - before) over the market value."""
    return (panel[now] - panel[before]) / _positive(market_value(panel))


def margin_change(panel: xr.Dataset, profit: str, sales: str, profit_before: str, sales_before: str) -> xr.DataArray:
    """Return profit / sales minus the same ratio before."""
    return share(panel, profit, sales) - share(panel, profit_before, sales_before)


def progress(panel: xr.Dataset, name: str) -> xr.DataArray:
    """Return the part of the year's forecast reached, minus the part reached a year ago.

    To date / forecast of the year - to date a year ago / actual of that year. With a full year's
    results it is actual / last forecast - 1.
    """
    reached = share(panel, f"stmt_{name}", f"stmt_own_forecast_{name}")
    return reached - share(panel, f"stmt_{name}_year_ago", f"stmt_previous_fy_{name}")


def full_year_surprise(panel: xr.Dataset) -> xr.DataArray:
    """Return (operating profit of the last full year - its last forecast) / sales of that year."""
    return (panel["stmt_fy_op"] - panel["stmt_fy_forecast_op"]) / _positive(panel["stmt_fy_sales"])


def accruals(panel: xr.Dataset) -> xr.DataArray:
    """Return (net profit - operating cash flow of the same twelve months) / total assets."""
    excess = panel["stmt_np_ttm_of_cfo"] - panel["stmt_cfo_ttm"]
    return excess / _positive(panel["stmt_total_assets"])


def net_share_issuance(panel: xr.Dataset) -> xr.DataArray:
    """Return log(shares / shares a year ago), splits taken out."""
    return log(share(panel, SHARES, f"{SHARES}_year_ago"))


def dividend_yield(panel: xr.Dataset) -> xr.DataArray:
    """Return the forecast dividend of the year over the price, both per adjusted share."""
    return share(panel, "stmt_adj_forecast_dividend", "adj_close")


def forecast_payout(panel: xr.Dataset) -> xr.DataArray:
    """Return the forecast dividend of all shares over the forecast net profit."""
    paid = panel["stmt_adj_forecast_dividend"] * panel[SHARES]
    return paid / _positive(panel["stmt_forecast_np"])


def _positive(values: xr.DataArray) -> xr.DataArray:
    return values.where(values > 0)


def _log_market_value(panel: xr.Dataset) -> xr.DataArray:
    return log(market_value(panel))


_family = Family("statements")
_feature = _family.feature


def _of(names: str) -> tuple[str, ...]:
    return tuple(f"stmt_{name}" for name in names.split())


def _growth(name: str, now: str, before: str, source: str = JQUANTS) -> tuple[Feature, ...]:
    needs = _of(f"{now} {before}")
    function = partial(growth, now=needs[0], before=needs[1])
    return _feature(name, needs, 0, f"{now} / {before} - 1", function, source)


def _share(name: str, part: str, whole: str, source: str = JQUANTS) -> tuple[Feature, ...]:
    needs = _of(f"{part} {whole}")
    function = partial(share, part=needs[0], whole=needs[1])
    return _feature(name, needs, 0, f"{part} / {whole}", function, source)


def _yield(name: str, part: str, source: str = JQUANTS) -> tuple[Feature, ...]:
    (need,) = _of(part)
    function = partial(to_price, part=need)
    return _feature(name, (*VALUE, need), 0, f"{part} / market value", function, source)


def _change(name: str, now: str, before: str, source: str = JQUANTS) -> tuple[Feature, ...]:
    needs = _of(f"{now} {before}")
    function = partial(change_to_price, now=needs[0], before=needs[1])
    return _feature(name, (*VALUE, *needs), 0, f"({now} - {before}) / market value", function, source)


def _margins(name: str, needs: tuple[str, ...], formula: str, source: str) -> tuple[Feature, ...]:
    profit, sales, profit_before, sales_before = needs
    function = partial(
        margin_change, profit=profit, sales=sales, profit_before=profit_before, sales_before=sales_before
    )
    return _feature(name, needs, 0, formula, function, source)


def _progress(name: str, of: str) -> tuple[Feature, ...]:
    needs = _of(f"{of} own_forecast_{of} {of}_year_ago previous_fy_{of}")
    formula = f"{of} to date / forecast of the year - the same a year ago with that year's actual"
    return _feature(name, needs, 0, formula, partial(progress, name=of), JQUANTS)


def _plain(name: str, variable: str, formula: str) -> tuple[Feature, ...]:
    return _family.variable(name, f"stmt_{variable}", formula, JQUANTS)


FEATURES = (
    *_growth("sales_growth", "sales", "sales_year_ago", "Lakonishok, Shleifer, Vishny (1994)"),
    *_growth("op_growth", "op", "op_year_ago"),
    *_growth("np_growth", "np", "np_year_ago", "Ball, Brown (1968)"),
    *_growth("sales_ttm_growth", "sales_ttm", "sales_ttm_year_ago", "Lakonishok, Shleifer, Vishny (1994)"),
    *_growth("op_ttm_growth", "op_ttm", "op_ttm_year_ago"),
    *_growth("np_ttm_growth", "np_ttm", "np_ttm_year_ago"),
    *_growth("sales_quarter_growth", "sales_quarter", "sales_quarter_year_ago", "Jegadeesh, Livnat (2006)"),
    *_growth("asset_growth", "total_assets", "total_assets_year_ago", "Cooper, Gulen, Schill (2008)"),
    *_share("op_margin", "op_ttm", "sales_ttm", "Soliman (2008)"),
    *_share("net_margin", "np_ttm", "sales_ttm", "Soliman (2008)"),
    *_margins(
        "op_margin_change",
        _of("op sales op_year_ago sales_year_ago"),
        "op / sales - op_year_ago / sales_year_ago",
        "Piotroski (2000)",
    ),
    *_share("return_on_equity", "np_ttm", "equity", "Haugen, Baker (1996)"),
    *_share("return_on_assets", "np_ttm", "total_assets", "Piotroski (2000)"),
    *_share("asset_turnover", "sales_ttm", "total_assets", "Soliman (2008)"),
    *_share("equity_ratio", "equity", "total_assets"),
    *_share("cash_ratio", "cash", "total_assets", "Palazzo (2012)"),
    *_feature(
        "accruals",
        _of("np_ttm_of_cfo cfo_ttm total_assets"),
        0,
        "(net profit - operating cash flow over the same twelve months) / total assets",
        accruals,
        "Sloan (1996)",
    ),
    *_change("earnings_surprise", "np_quarter", "np_quarter_year_ago", "Livnat, Mendenhall (2006)"),
    *_progress("sales_progress", "sales"),
    *_progress("op_progress", "op"),
    *_feature(
        "fy_op_surprise",
        _of("fy_op fy_forecast_op fy_sales"),
        0,
        "(fy_op - fy_forecast_op) / fy_sales",
        full_year_surprise,
        JQUANTS,
    ),
    *_change("fy_np_surprise", "fy_np", "fy_forecast_np"),
    *_growth("sales_forecast_revision", "forecast_sales", "forecast_sales_previous"),
    *_growth("op_forecast_revision", "forecast_op", "forecast_op_previous", "Stickel (1991)"),
    *_growth("op_forecast_revision_year", "forecast_op", "forecast_op_initial"),
    *_change("np_forecast_revision", "forecast_np", "forecast_np_previous", "Chan, Jegadeesh, Lakonishok (1996)"),
    *_plain("forecast_revision_balance", "revision_balance", "forecasts raised - lowered within a year"),
    *_growth("sales_forecast_growth", "forecast_sales", "fy_sales"),
    *_growth("op_forecast_growth", "forecast_op", "fy_op"),
    *_margins(
        "forecast_margin_change",
        _of("forecast_op forecast_sales fy_op fy_sales"),
        "forecast_op / forecast_sales - fy_op / fy_sales",
        JQUANTS,
    ),
    *_yield("earnings_yield", "np_ttm", "Basu (1977)"),
    *_yield("book_to_price", "equity", "Rosenberg, Reid, Lanstein (1985)"),
    *_yield("sales_to_price", "sales_ttm", "Barbee, Mukherji, Raines (1996)"),
    *_yield("cash_flow_yield", "cfo_ttm", "Lakonishok, Shleifer, Vishny (1994)"),
    *_yield("forecast_earnings_yield", "forecast_np"),
    *_feature(
        "dividend_yield",
        ("stmt_adj_forecast_dividend", "adj_close"),
        0,
        "forecast dividend / price",
        dividend_yield,
        "Litzenberger, Ramaswamy (1979)",
    ),
    *_feature(
        "forecast_payout",
        ("stmt_adj_forecast_dividend", SHARES, "stmt_forecast_np"),
        0,
        "forecast dividend of all shares / forecast_np",
        forecast_payout,
        JQUANTS,
    ),
    *_feature("log_market_value", VALUE, 0, "log of the market value", _log_market_value, "Banz (1981)"),
    *_feature(
        "net_share_issuance",
        (SHARES, f"{SHARES}_year_ago"),
        0,
        "log(shares / shares a year ago)",
        net_share_issuance,
        "Pontiff, Woodgate (2008)",
    ),
    *_plain("sessions_since_statement", "sessions_since", "sessions since the latest period's results"),
    *_plain("weekdays_to_statement", "weekdays_to_next", "weekdays to the next results by last year's date"),
    *_plain("sessions_since_revision", "revision_sessions_since", "sessions since the last changed forecast"),
)
