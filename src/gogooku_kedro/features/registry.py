"""The feature families: which of them a panel can feed, and the page that documents them."""

import hashlib
import inspect
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
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
from gogooku_kedro.features.feature import Family, Feature, Function, Kind
from gogooku_kedro.market.bar_columns import EXTRA

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

EXTRA_FAMILY = EXTRA.removesuffix("_")
"""Family of the columns of `ingestion.extra_columns`."""
REGISTERED: dict[str, Feature] = {}
"""Features of `feature`, which are computed beside those of the families."""
OWN_FAMILY = "registered"
NORMALISED = (*FAMILIES, EXTRA_FAMILY, OWN_FAMILY)
"""Families that settings of the normalisation may name."""

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

    After them come the columns of `ingestion.extra_columns` and the registered features.

    A need is met when the panel holds the variable with at least one value; `sector` is met when at
    least one code has a known sector.

    Raises:
        ValueError: A family is unknown or named twice, or no feature is left.
    """
    check_families(families)
    members = {family: FAMILIES[family] for family in families} | _beside_the_families(panel)
    missing = unmet_needs(panel, {n for features in members.values() for f in features for n in f.needs})
    kept: list[Feature] = []
    dropped: dict[str, str] = {}
    for family, features in members.items():
        unmet = {
            feature.name: "; ".join(missing[need] for need in feature.needs if need in missing) for feature in features
        }
        kept += [feature for feature in features if not unmet[feature.name]]
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


def find_feature(name: str) -> Feature:
    """Return a feature of a family, of a column of the user's, or a registered one.

    Raises:
        KeyError: There is none of this name.
    """
    if name in REGISTERED:
        return REGISTERED[name]
    if name.startswith(EXTRA) and name not in FEATURES:
        column = name.removeprefix(EXTRA)
        return Family(EXTRA_FAMILY).variable(name, name, f"{column} of the price file", "the price file")[0]
    return FEATURES[name]


def is_feature(name: str) -> bool:
    """Return whether `find_feature` finds one of this name."""
    return name in FEATURES or name in REGISTERED or name.startswith(EXTRA)


def feature(
    *, needs: Sequence[str], lookback: int, formula: str = "", kind: Kind = "stock", name: str = ""
) -> Callable[[Function], Function]:
    """Register a function as a feature, so that it is computed, checked and normalised like those of the families.

    To register a name again replaces the feature. It is there in this process alone: a feature for every run goes
    into a family, see CONTRIBUTING.md.

    Args:
        needs: Variables of the panel that the function reads; it sees no others.
        lookback: Sessions before today that it may read.
        formula: For the manifest; the name without one.
        kind: What it reads beside the stock's own history, see `Feature`.
        name: Of the feature; that of the function without one.

    Example:
        @gk.feature(needs=["adj_close"], lookback=20)
        def above_average(panel):
            return panel["adj_close"] / panel["adj_close"].rolling(date=20).mean() - 1

    Raises:
        ValueError: The name is that of a feature of a family, or the look-back is negative.
    """

    def register(function: Function) -> Function:
        own = name or str(getattr(function, "__name__", ""))
        if own in FEATURES or own.startswith(EXTRA) or not own.isidentifier():
            raise ValueError(f"feature {own!r}: the name is taken or no name; give another, name=...")
        if lookback < 0 or isinstance(needs, str) or not needs:
            raise ValueError(
                f"feature {own!r}: needs = {needs!r}, lookback = {lookback}; give a list of panel variables and the "
                f"sessions that it looks back, 0 or more"
            )
        REGISTERED[own] = Feature(own, OWN_FAMILY, tuple(needs), lookback, formula or own, function, "notebook", kind)
        return function

    return register


def registered_identity() -> dict[str, str]:
    """Return a hash of every registered feature by name: of its source, else of its compiled code."""
    found = {}
    for name, each in REGISTERED.items():
        try:
            code = inspect.getsource(each.function)
        except (OSError, TypeError):  # typed at a prompt
            code = repr(getattr(getattr(each.function, "__code__", None), "co_code", each.function))
        text = repr((each.needs, each.lookback, each.kind, code))
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return found


def _beside_the_families(panel: xr.Dataset) -> dict[str, tuple[Feature, ...]]:
    extra = tuple(find_feature(str(name)) for name in panel.data_vars if str(name).startswith(EXTRA))
    members = {EXTRA_FAMILY: extra, OWN_FAMILY: tuple(REGISTERED.values())}
    return {family: features for family, features in members.items() if features}


def check_families(families: Sequence[str]) -> None:
    """Raise a ValueError unless every family is known and named once."""
    check_known(families, "families", FAMILIES)
    if not families or len(set(families)) != len(families):
        raise ValueError(
            f"features.families = {list(families)}: name each family once; the families are {', '.join(FAMILIES)}"
        )


def check_known(named: Collection[str], setting: str, known: Collection[str] = NORMALISED) -> None:
    """Raise a ValueError that names the nearest family unless those of `features.<setting>` are known."""
    unknown = [family for family in named if family not in known]
    if unknown:
        is_none = "is no family" if len(unknown) == 1 else "are no families"
        near = "".join(f"did you mean {match!r}? " for match in get_close_matches(unknown[0], FAMILIES, 1))
        raise ValueError(f"features.{setting}: {unknown} {is_none}; {near}The families are {', '.join(FAMILIES)}")


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
