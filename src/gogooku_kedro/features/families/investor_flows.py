"""Who buys and who sells the market each week, and how a stock moves with them.

Series are those of the latest week known on the session (`market/events.py`). A net ratio is buying
minus selling over buying plus selling, in [-1, 1]; NaN where a class did not trade. Windows count
sessions, so a week weighs as many sessions as it was the latest one.
"""

from functools import partial

import xarray as xr

from gogooku_kedro.arrays.rolling import Regression, rolling_mean, rolling_regression, rolling_std
from gogooku_kedro.features.feature import Family, Feature, shared

Z_WINDOW = 60  # sessions, about 12 weeks
BETA_WINDOW = 120
PRICED = ("foreign", "individual", "trust_bank")
"""Classes whose flows a stock is regressed on."""

JQUANTS = "J-Quants equities/investor-types"
FROOT = "Froot, O'Connell, Seasholes (2001)"


def net_ratio(panel: xr.Dataset, of: str) -> xr.DataArray:
    """Return the net ratio of a class, `(date,)`."""
    return _over(panel, f"flow_{of}_balance", f"flow_{of}_turnover")


def net_z(panel: xr.Dataset, of: str, window: int) -> xr.DataArray:
    """Return the net ratio minus its mean over `window`, in standard deviations of that window."""
    ratio = net_ratio(panel, of)
    spread = rolling_std(ratio, window)
    return (ratio - rolling_mean(ratio, window)) / spread.where(spread > 0)


def mean_net_ratio(panel: xr.Dataset, of: str, window: int) -> xr.DataArray:
    """Return the mean net ratio of the last `window` sessions."""
    return rolling_mean(net_ratio(panel, of), window)


def small_foreign_gap(panel: xr.Dataset) -> xr.DataArray:
    """Return the foreign net ratio outside the section of the large companies minus that inside."""
    return net_ratio(panel, "small_foreign") - net_ratio(panel, "large_foreign")


@shared
def flow_regression(panel: xr.Dataset, of: str, window: int) -> Regression:
    """Regress one-day returns on the net ratio known on the session over `window` sessions.

    The ratio is that of a past week, so that the slope says how the stock has followed the class.
    """
    return rolling_regression(panel["ret_1d"], net_ratio(panel, of), window)


def flow_beta(panel: xr.Dataset, of: str, window: int) -> xr.DataArray:
    """Return the slope of `flow_regression`."""
    return flow_regression(panel, of=of, window=window).beta


def flow_correlation(panel: xr.Dataset, of: str, window: int) -> xr.DataArray:
    """Return the correlation of `flow_regression`."""
    return flow_regression(panel, of=of, window=window).correlation


def flow_exposure(panel: xr.Dataset, window: int) -> xr.DataArray:
    """Return the sum over the classes of correlation times the latest 60-session z of the class.

    High where the flows of these weeks are those after which the stock has risen. A single class
    would rank the stocks like its correlation does.
    """
    parts = [flow_correlation(panel, of=of, window=window) * net_z(panel, of, Z_WINDOW) for of in PRICED]
    total: xr.DataArray = parts[0] + parts[1] + parts[2]
    return total


def _over(panel: xr.Dataset, part: str, whole: str) -> xr.DataArray:
    return panel[part] / panel[whole].where(panel[whole] > 0)


_market = Family("investor_flows", kind="market")
_stock = Family("investor_flows")


def _needs(*classes: str) -> tuple[str, ...]:
    return tuple(f"flow_{of}_{part}" for of in classes for part in ("balance", "turnover"))


def _ratio(of: str) -> tuple[Feature, ...]:
    return _market.feature(
        f"{of}_net_ratio", _needs(of), 0, "(buying - selling) / (buying + selling)", partial(net_ratio, of=of), FROOT
    )


def _z(of: str) -> tuple[Feature, ...]:
    formula = "(net ratio - mean over {n}) / std over {n}"
    return _market.each(f"{of}_net_z_{{n}}d", (Z_WINDOW,), _needs(of), formula, partial(net_z, of=of), JQUANTS)


def _mean(of: str) -> tuple[Feature, ...]:
    return _market.each(
        f"{of}_net_mean_{{n}}d",
        (20,),
        _needs(of),
        "mean over {n} of the net ratio",
        partial(mean_net_ratio, of=of),
        FROOT,
    )


def _beta(of: str) -> tuple[Feature, ...]:
    return _stock.each(
        f"{of}_flow_beta_{{n}}d",
        (BETA_WINDOW,),
        ("ret_1d", *_needs(of)),
        f"slope over {{n}} of return_1d on the {of} net ratio",
        partial(flow_beta, of=of),
        FROOT,
    )


def _participation(of: str) -> tuple[Feature, ...]:
    needs = (f"flow_{of}_turnover", "flow_total_turnover")
    function = partial(_over, part=needs[0], whole=needs[1])
    return _market.feature(f"{of}_participation", needs, 0, f"{of} turnover / total turnover", function, JQUANTS)


FEATURES = (
    *_ratio("foreign"),
    *_ratio("individual"),
    *_ratio("trust_bank"),
    *_ratio("investment_trust"),
    *_ratio("business"),
    *_ratio("proprietary"),
    *_z("foreign"),
    *_z("individual"),
    *_z("trust_bank"),
    *_mean("foreign"),
    *_mean("individual"),
    *_participation("foreign"),
    *_participation("individual"),
    *_market.feature(
        "small_foreign_gap",
        _needs("small_foreign", "large_foreign"),
        0,
        "foreign net ratio outside - inside the 1st Section or Prime",
        small_foreign_gap,
        JQUANTS,
    ),
    *_market.variable(
        "flow_breadth", "flow_breadth", "share of the investor classes that buy more than they sell", JQUANTS
    ),
    *_market.feature(
        "flow_imbalance",
        ("flow_imbalance", "flow_total_turnover"),
        0,
        "sum of |balance| over the classes / total turnover",
        partial(_over, part="flow_imbalance", whole="flow_total_turnover"),
        JQUANTS,
    ),
    *_market.variable(
        "sessions_since_flows", "flow_sessions_since", "sessions since the latest week's publication", JQUANTS
    ),
    *_beta("foreign"),
    *_beta("individual"),
    *_beta("trust_bank"),
    *_stock.each(
        "foreign_flow_correlation_{n}d",
        (60,),
        ("ret_1d", *_needs("foreign")),
        "correlation over {n} of return_1d and the foreign net ratio",
        partial(flow_correlation, of="foreign"),
        FROOT,
    ),
    *_stock.each(
        "flow_exposure_{n}d",
        (BETA_WINDOW,),
        ("ret_1d", *_needs(*PRICED)),
        "sum over foreign, individual, trust_bank of correlation over {n} times the class's net_z_60d",
        flow_exposure,
        JQUANTS,
    ),
)
