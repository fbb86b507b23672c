"""The feature families: which of them a panel can feed, and the page that documents them."""

import logging
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

import xarray as xr

from gogooku_kedro.arrays.groups import UNKNOWN
from gogooku_kedro.features.families import (
    calendar,
    investor_flows,
    lead_lag,
    limits,
    liquidity,
    margin,
    market,
    neighbours,
    oscillators,
    regime,
    returns,
    sector,
    statements,
    trend,
    validity,
    volatility,
    volume,
)
from gogooku_kedro.features.families import range as price_range
from gogooku_kedro.features.feature import Feature

logger = logging.getLogger(__name__)

MODULES: dict[str, ModuleType] = {
    "returns": returns,
    "volatility": volatility,
    "range": price_range,
    "trend": trend,
    "oscillators": oscillators,
    "volume": volume,
    "liquidity": liquidity,
    "market": market,
    "sector": sector,
    "lead_lag": lead_lag,
    "neighbours": neighbours,
    "limits": limits,
    "validity": validity,
    "calendar": calendar,
    "regime": regime,
    "statements": statements,
    "margin": margin,
    "investor_flows": investor_flows,
}
FAMILIES: dict[str, tuple[Feature, ...]] = {name: module.FEATURES for name, module in MODULES.items()}
FEATURES: dict[str, Feature] = {f.name: f for family in FAMILIES.values() for f in family}

PAGE_HEAD = """# Features

*Written from the registry by `kedro document-features`; edit the family modules in
`src/gogooku_kedro/features/families/`, not this page.*

After this page you can look up each feature: its formula, look-back, what it reads, and where it is from. To make one
of your own: [add a feature](tutorials/add_a_feature.md).

{count} features in {families} families. A value at session *t* reads the rows from *t* less the look-back
to *t* and nothing else; it is missing before its look-back is complete, where the stock does not trade
on a session that the formula names, and, for rolling statistics, where fewer than 80 % of the window's
sessions are present. Prices and volumes are adjusted, prices only as ratios or logarithms; O, H, L, C
are one session's open, high, low and close.

A row's **kind** says what it reads besides the stock's own history: *stock* nothing (or one series per
date, such as the index), *cross-section* the other stocks of the date, *market* has one value per date
for all stocks.

In `x` a feature has its normalisation behind its name: `return_5d_rank` (Gaussian rank over the
date's universe), `_z` (robust z-score), `_sector_rank` and `_sector_z` (the median of the sector taken out
first), `_past_z` (kind market: deviation from its own past). 0 stands for a missing value, and the
column `missing_FAMILY` is the share of the family's features that a stock lacks on a date.
"""


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
    check_families(families)
    missing = unmet_needs(panel, {n for family in families for f in FAMILIES[family] for n in f.needs})
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


def unmet_needs(panel: xr.Dataset, needs: Collection[str]) -> dict[str, str]:
    """Return why the panel does not meet some needs; those that it meets are left out."""
    return {need: reason for need in sorted(needs) if (reason := _why_unmet(panel, need))}


def check_families(families: Sequence[str]) -> None:
    """Raise a ValueError unless every family is known and named once."""
    unknown = [family for family in families if family not in FAMILIES]
    if unknown or not families or len(set(families)) != len(families):
        raise ValueError(
            f"features.families = {list(families)}: name each family once, out of {list(FAMILIES)}"
            + (f"; unknown: {unknown}" if unknown else "")
        )


def log_dropped(dropped: Mapping[str, str]) -> None:
    """Say once, at INFO, which families and features drop out and why."""
    for name, reason in dropped.items():
        logger.info("Features of '%s' drop out: %s", name, reason)


def features_page() -> str:
    """Return docs/features.md as the registry has it."""
    families = FAMILIES
    parts = [PAGE_HEAD.format(count=len(FEATURES), families=len(families))]
    parts.append("| family | features | what it is |\n|---|---:|---|")
    parts += [f"| [{name}](#{name}) | {len(features)} | {_sentence(name)} |" for name, features in families.items()]
    for name, features in families.items():
        parts.append(f"\n## {name}\n\n{_sentence(name)}\n")
        parts.append("| feature | formula | look-back | kind | reads | source |\n|---|---|---:|---|---|---|")
        parts += [_row(feature) for feature in features]
    return "\n".join(parts) + "\n"


def _why_unmet(panel: xr.Dataset, need: str) -> str:
    if need not in panel and need not in panel.coords:
        return f"the data have no '{need}'"
    if need == "sector":
        every_unknown = bool((panel["sector"].astype(str) == UNKNOWN).all())
        return f'every sector is "{UNKNOWN}"' if every_unknown else ""
    return "" if bool(panel[need].notnull().any()) else f"'{need}' is empty"


def _row(feature: Feature) -> str:
    kind = feature.kind.replace("_", "-")
    reads = ", ".join(f"`{need}`" for need in feature.needs)
    formula = feature.formula.replace("|", "\\|")
    return f"| `{feature.name}` | {formula} | {feature.lookback} | {kind} | {reads} | {feature.source} |"


def _sentence(family: str) -> str:
    """First sentence of the family's module."""
    doc = MODULES[family].__doc__ or ""
    return doc.strip().splitlines()[0]
