"""The feature families, which of them a panel can feed, and their computation."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from gogooku_kedro.features import market, returns, sector, trend, volatility, volume
from gogooku_kedro.features import range as price_range
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.groups import UNKNOWN

logger = logging.getLogger(__name__)

FAMILIES: dict[str, tuple[Feature, ...]] = {
    "returns": returns.FEATURES,
    "volatility": volatility.FEATURES,
    "volume": volume.FEATURES,
    "range": price_range.FEATURES,
    "trend": trend.FEATURES,
    "market": market.FEATURES,
    "sector": sector.FEATURES,
}


class Selection(NamedTuple):
    """The features a panel can feed, in order, and why the others drop out.

    `dropped` maps a family, or a single feature where the rest of its family stays, to the reason.
    """

    features: tuple[Feature, ...]
    dropped: dict[str, str]


def select_features(panel: xr.Dataset, families: Sequence[str]) -> Selection:
    """Return the features of `families` whose needs the panel meets, in registry order.

    A need is met when the panel holds the variable with at least one value; `sector` is met when at
    least one code has a known sector.

    Raises:
        ValueError: A family is unknown or named twice, or no feature is left.
    """
    _check_families(families)
    missing = {
        need: reason
        for need in sorted({n for family in families for f in FAMILIES[family] for n in f.needs})
        if (reason := _why_unmet(panel, need))
    }
    kept: list[Feature] = []
    dropped: dict[str, str] = {}
    for family in families:
        unmet = {
            feature.name: "; ".join(missing[need] for need in feature.needs if need in missing)
            for feature in FAMILIES[family]
        }
        kept += [feature for feature in FAMILIES[family] if not unmet[feature.name]]
        reasons = {name: reason for name, reason in unmet.items() if reason}
        if len(reasons) == len(unmet):
            reasons = {family: next(iter(reasons.values()))}
        dropped |= reasons
    if not kept:
        raise ValueError(
            f"features.families = {list(families)}: the panel feeds none of them ({dropped}); "
            "provide the missing columns or name other families"
        )
    return Selection(tuple(kept), dropped)


def compute_features(panel: xr.Dataset, families: Sequence[str]) -> xr.Dataset:
    """Compute the raw features of `families` from the panel.

    Formulas run in float64. A value exists only where the whole look-back lies inside the panel
    and, for rolling statistics, where at least 80% of the window is present. Rows after t never
    change values up to t.

    Args:
        panel: Market panel `(date, code)`.
        families: Names among `FAMILIES`; one whose needs the panel does not meet drops out with one
            INFO line.

    Returns:
        One float32 variable `(date, code)` per feature, NaN where undefined.

    Raises:
        ValueError: A family is unknown or named twice, or no feature is left.
    """
    selection = select_features(panel, families)
    for name, reason in selection.dropped.items():
        logger.info("Features of '%s' drop out: %s", name, reason)
    wide = _in_float64(panel, selection.features)
    session = xr.DataArray(np.arange(panel.sizes["date"]), dims="date")
    computed = {}
    for feature in selection.features:
        raw = feature.function(_only(wide, feature.needs)).transpose("date", "code")
        known = raw.where(np.isfinite(raw) & (session >= feature.lookback))
        computed[feature.name] = known.astype(np.float32).reset_coords(drop=True)
    return xr.Dataset(computed)


def _check_families(families: Sequence[str]) -> None:
    unknown = [family for family in families if family not in FAMILIES]
    if unknown or not families or len(set(families)) != len(families):
        raise ValueError(
            f"features.families = {list(families)}: name each family once, out of {list(FAMILIES)}"
            + (f"; unknown: {unknown}" if unknown else "")
        )


def _why_unmet(panel: xr.Dataset, need: str) -> str:
    if need not in panel and need not in panel.coords:
        return f"the panel has no '{need}'"
    if need == "sector":
        every_unknown = bool((panel["sector"].astype(str) == UNKNOWN).all())
        return f'every sector is "{UNKNOWN}"' if every_unknown else ""
    return "" if bool(panel[need].notnull().any()) else f"'{need}' is empty in the panel"


def _in_float64(panel: xr.Dataset, features: Sequence[Feature]) -> xr.Dataset:
    needs = {need for feature in features for need in feature.needs} - {"sector"}
    return panel[sorted(needs)].map(
        lambda values: values if values.dtype == bool else values.astype(np.float64)
    )


def _only(panel: xr.Dataset, needs: Sequence[str]) -> xr.Dataset:
    """Hide what the feature did not declare, so that an undeclared need fails at once."""
    view = panel[[need for need in needs if need != "sector"]]
    keep = {"date", "code", *needs}
    return view.drop_vars([name for name in view.coords if name not in keep])
