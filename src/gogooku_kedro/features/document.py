"""docs/features.md, written from the registry."""

from gogooku_kedro.features import registry
from gogooku_kedro.features.feature import Feature

HEAD = """# Features

*Written from the registry by `kedro document-features`; edit the family modules in
`src/gogooku_kedro/features/`, not this page.*

{count} features in {families} families. A value at session *t* reads the rows from *t* less the look-back
to *t* and nothing else; it is missing before its look-back is complete, where the stock does not trade
on a session that the formula names, and, for rolling statistics, where fewer than 80 % of the window's
sessions are present. Prices and volumes are adjusted, prices only as ratios or logarithms; O, H, L, C
are one session's open, high, low and close.

A row's **kind** says what it reads besides the stock's own history: *stock* nothing (or one series per
date, such as the index), *cross-section* the other stocks of the date, *market* has one value per date
for all stocks.

In `x` a feature has its normalisation behind its name: `return_5d_rank` (Gaussian rank over the date's
members), `_z` (robust z-score), `_sector_rank` and `_sector_z` (the median of the sector taken out
first), `_past_z` (kind market: deviation from its own past). 0 stands for a missing value, and the
column `missing_FAMILY` is the share of the family's features that a stock lacks on a date.
"""


def features_page() -> str:
    """Return docs/features.md as the registry has it."""
    families = registry.FAMILIES
    parts = [HEAD.format(count=len(registry.FEATURES), families=len(families))]
    parts.append("| family | features | what it is |\n|---|---:|---|")
    parts += [f"| [{name}](#{name}) | {len(features)} | {_sentence(name)} |" for name, features in families.items()]
    for name, features in families.items():
        parts.append(f"\n## {name}\n\n{_sentence(name)}\n")
        parts.append("| feature | formula | look-back | kind | reads | source |\n|---|---|---:|---|---|---|")
        parts += [_row(feature) for feature in features]
    return "\n".join(parts) + "\n"


def _row(feature: Feature) -> str:
    kind = feature.kind.replace("_", "-")
    reads = ", ".join(f"`{need}`" for need in feature.needs)
    formula = feature.formula.replace("|", "\\|")
    return f"| `{feature.name}` | {formula} | {feature.lookback} | {kind} | {reads} | {feature.source} |"


def _sentence(family: str) -> str:
    """First sentence of the family's module."""
    doc = registry.MODULES[family].__doc__ or ""
    return doc.strip().splitlines()[0]
