"""Margin balances: what individuals hold on credit and are short, against volume and shares.

Balances are the latest ones known on the session (`market/events.py`), in adjusted shares like
`adj_volume`. Logarithms and ratios are NaN where a balance or a denominator is not positive: many
stocks cannot be sold short and have no short balance.
"""

from functools import partial

import xarray as xr

from gogooku_kedro.arrays.elementwise import log
from gogooku_kedro.arrays.rolling import rolling_mean, rolling_std
from gogooku_kedro.features.feature import Family, Feature, shared

VOLUME_WINDOW = 20
Z_WINDOW = 120
WEEKS = (1, 4, 13)
JQUANTS = "J-Quants markets/margin-interest"
COVER = "Hong, Li, Ni, Scheinkman, Yan (2015)"


@shared
def usual_volume(panel: xr.Dataset) -> xr.DataArray:
    """Return the mean adjusted volume of the last 20 sessions, NaN unless positive."""
    volume = rolling_mean(panel["adj_volume"], VOLUME_WINDOW)
    return volume.where(volume > 0)


def days_to_cover(panel: xr.Dataset, side: str) -> xr.DataArray:
    """Return the balance over the usual volume: sessions it would take to unwind it."""
    return panel[f"margin_{side}"] / usual_volume(panel)


def margin_ratio(panel: xr.Dataset) -> xr.DataArray:
    """Return log(long balance / short balance)."""
    return log(panel["margin_long"]) - log(panel["margin_short"])


def balance_change(panel: xr.Dataset, side: str, window: int) -> xr.DataArray:
    """Return the change of the balance over `window` weeks over the usual volume, in sessions."""
    return (panel[f"margin_{side}"] - panel[f"margin_{side}_{window}w"]) / usual_volume(panel)


def balance_growth(panel: xr.Dataset, side: str, window: int) -> xr.DataArray:
    """Return log(balance / balance `window` weeks before)."""
    return log(panel[f"margin_{side}"]) - log(panel[f"margin_{side}_{window}w"])


def balance_z(panel: xr.Dataset, side: str, window: int) -> xr.DataArray:
    """Return log balance minus its mean over `window` sessions, in standard deviations of it."""
    level = log(panel[f"margin_{side}"])
    spread = rolling_std(level, window)
    return (level - rolling_mean(level, window)) / spread.where(spread > 0)


def standardised_share(panel: xr.Dataset, side: str) -> xr.DataArray:
    """Return the part of the balance in standardised (not negotiable) margin trading."""
    whole = panel[f"margin_{side}"]
    return panel[f"margin_{side}_standardised"] / whole.where(whole > 0)


def share_of_stock(panel: xr.Dataset, side: str) -> xr.DataArray:
    """Return the balance over the shares outstanding, both in adjusted shares.

    After an invalid jump, across which the panel links prices but not volume, the two differ until
    the next statement.
    """
    shares = panel["stmt_adj_shares"]
    return panel[f"margin_{side}"] / shares.where(shares > 0)


_family = Family("margin")
LONG, SHORT = "margin_long", "margin_short"


def _change(side: str, weeks: int) -> tuple[Feature, ...]:
    return _family.feature(
        f"margin_{side}_change_{weeks}w",
        (f"margin_{side}", f"margin_{side}_{weeks}w", "adj_volume"),
        VOLUME_WINDOW,
        f"({side} balance - that {weeks} weeks before) / mean volume over {VOLUME_WINDOW}",
        partial(balance_change, side=side, window=weeks),
        JQUANTS,
    )


def _against_volume(side: str) -> tuple[Feature, ...]:
    days = _family.feature(
        f"margin_{side}_days_to_cover",
        (f"margin_{side}", "adj_volume"),
        VOLUME_WINDOW,
        f"{side} balance / mean volume over {VOLUME_WINDOW}",
        partial(days_to_cover, side=side),
        COVER,
    )
    return (*days, *(feature for weeks in WEEKS for feature in _change(side, weeks)))


def _against_itself(side: str) -> tuple[Feature, ...]:
    balance = f"margin_{side}"
    return (
        *_family.feature(
            f"margin_{side}_growth_4w",
            (balance, f"{balance}_4w"),
            0,
            f"log({side} balance / that 4 weeks before)",
            partial(balance_growth, side=side, window=4),
            JQUANTS,
        ),
        *_family.each(
            f"margin_{side}_z_{{n}}d",
            (Z_WINDOW,),
            (balance,),
            f"(log {side} balance - mean over {{n}}) / std over {{n}}",
            partial(balance_z, side=side),
            JQUANTS,
        ),
        *_family.feature(
            f"margin_{side}_standardised_share",
            (balance, f"{balance}_standardised"),
            0,
            f"standardised part of the {side} balance",
            partial(standardised_share, side=side),
            JQUANTS,
        ),
    )


def _against_shares(side: str) -> tuple[Feature, ...]:
    return _family.feature(
        f"margin_{side}_to_shares",
        (f"margin_{side}", "stmt_adj_shares"),
        0,
        f"{side} balance / shares outstanding",
        partial(share_of_stock, side=side),
        "Asquith, Pathak, Ritter (2005)",
    )


FEATURES = (
    *_family.feature("margin_ratio", (LONG, SHORT), 0, "log(long balance / short balance)", margin_ratio, JQUANTS),
    *_against_volume("long"),
    *_against_volume("short"),
    *_against_itself("long"),
    *_against_itself("short"),
    *_against_shares("long"),
    *_against_shares("short"),
    *Family("margin", kind="market").variable(
        "sessions_since_margin",
        "margin_sessions_since",
        "sessions since the latest publication about any stock",
        JQUANTS,
    ),
)
