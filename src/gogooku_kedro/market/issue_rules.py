"""What is met in bars of any source and what is done with it: the table that the code counts by and the docs show."""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A kind of data error.

    Attributes:
        part: Section of `docs/data_rules.md`.
        met: What is met, counted by the values of the source.
        done: What is done with it, as the quality report says.
    """

    part: str
    met: str
    done: str


_UNTRADED = "did not trade: row kept, prices and volume missing"
_JUMP = "`invalid_jump` in the panel: return missing, level linked across it"
_UNLESS = f"{_JUMP}, unless `ingestion.split_like_jumps` is `return`"

RULES = {
    "empty_row": Rule(
        "Rows",
        "no date or no code, and no price or volume",
        "dropped; a row that has prices but no date or code is an error",
    ),
    "exact_duplicate": Rule("Rows", "the same row again", "one kept"),
    "repeated_bar": Rule("Rows", "a row with the same prices again, and another volume or label", "the last one kept"),
    "restated_bar": Rule(
        "Rows",
        "the same bar in another scale, as a history downloaded again after a split is; the scales keep their ratio "
        "from session to session",
        "the last one kept",
    ),
    "conflicting_duplicate": Rule(
        "Rows",
        "two different rows of one stock-day",
        "neither used: the stock-day becomes one row without prices, with the adjustment factor of the first",
    ),
    "not_a_session": Rule(
        "Rows",
        "a date on which the calendar has no session",
        "dropped; its adjustment event, if any, takes effect on the issue's next row",
    ),
    "nobody_traded": Rule(
        "Rows",
        "a date without a price of any issue, though five have rows on it or usually trade, and "
        "`ingestion.calendar` is null",
        "dropped; with a calendar its sessions stay, and either way the notes name them",
    ),
    "not_common_stock": Rule("Rows", "`listed_issues` says ETF, REIT or other product", "dropped"),
    "no_prices": Rule("Trading", "no price at all", _UNTRADED),
    "close_missing": Rule("Trading", "some price, but no close", "did not trade: the other prices are removed"),
    "close_not_positive": Rule("Trading", "close of 0 or less", "did not trade: all prices and the volume are removed"),
    "zero_volume": Rule("Trading", "volume 0", "did not trade (a stale quote), unless high > low"),
    "zero_volume_with_range": Rule(
        "Trading", "volume 0, high > low > 0 and a close", "traded: prices kept, volume missing"
    ),
    "volume_missing": Rule("Trading", "a price, but no volume", "prices kept, volume missing"),
    "negative_volume": Rule("Trading", "a volume below 0", "prices kept, volume missing"),
    "open_not_positive": Rule("Prices", "open of 0 or less", "open missing"),
    "high_not_positive": Rule("Prices", "high of 0 or less", "high missing"),
    "low_not_positive": Rule("Prices", "low of 0 or less", "low missing"),
    "high_below_low": Rule("Prices", "high below low", "both missing"),
    "close_above_high": Rule("Prices", "close above high", "high missing: the close is the official price"),
    "close_below_low": Rule("Prices", "close below low", "low missing: the close is the official price"),
    "close_far_outside": Rule(
        "Prices",
        "close more than 3% above high or below low, which are in order",
        "the close is not believed: all prices and the volume are removed",
    ),
    "open_above_high": Rule("Prices", "open above high", "open missing"),
    "open_below_low": Rule("Prices", "open below low", "open missing"),
    "far_from_close": Rule(
        "Prices",
        "open, high or low more than `ingestion.max_move` from the close of the same day",
        "missing in the panel",
    ),
    "adj_factor_not_positive": Rule("Adjustment", "a factor of 0 or less", "factor 1.0"),
    "adj_factor_unsnapped": Rule(
        "Adjustment", "a step of `adj_close / close` that is no simple ratio", "kept unchanged"
    ),
    "adj_factor_shifted": Rule("Adjustment", "an event stated one row early", "moved to the issue's next row"),
    "adj_factor_contradicted": Rule(
        "Adjustment",
        "`adj_close` moves by more than half while the raw close moves less, or a stated event enlarges the move on "
        "its row",
        "factor 1.0",
    ),
    "adj_factor_ignored": Rule("Adjustment", "a step below 5 to 10% (rounding, a dividend)", "factor 1.0"),
    "jump_split_like": Rule(
        "Moves and sessions",
        "a move beyond `ingestion.max_move` within 3% of a split ratio, without a factor",
        _JUMP,
    ),
    "jump_other": Rule("Moves and sessions", "any other move beyond `ingestion.max_move`", _JUMP),
    "jump_near_half": Rule(
        "Moves and sessions", "a fall just inside `ingestion.max_move`, within 3% of a 1:2 split", _UNLESS
    ),
    "jump_near_part": Rule(
        "Moves and sessions",
        "open and close both within 3% of a split of 3:2 or 5:3 or an inverse, inside `ingestion.max_move`",
        _UNLESS,
    ),
    "missing_stock_day": Rule(
        "Moves and sessions", "no row between the first and the last row of an issue", "left missing"
    ),
    "thin_date": Rule(
        "Moves and sessions",
        "fewer than 50% of the median number of traded stocks of the 20 sessions before",
        "kept and flagged; no cross-section is formed on it",
    ),
    "sparse_date": Rule("Moves and sessions", "fewer than 90% of that median", "kept"),
    "sector_changed": Rule(
        "Moves and sessions", "a stock with more than one sector", "the panel keeps the first known sector"
    ),
}


def rules_page(page: str) -> str:
    """Return `docs/data_rules.md` with the first table of each part as `RULES` has it.

    Args:
        page: The page as it stands.
    """
    for part in dict.fromkeys(rule.part for rule in RULES.values()):
        rows = [f"| `{name}` | {rule.met} | {rule.done} |" for name, rule in RULES.items() if rule.part == part]
        table = "\n".join(["| name | what is met | what is done |", "|---|---|---|", *rows, ""])
        found = rf"(## {part}\n(?:(?!\n## ).)*?)\| name \| what is met \|.*?\n(?!\|)"
        page = re.sub(found, lambda match, table=table: match[1] + table, page, count=1, flags=re.DOTALL)  # type: ignore[misc]
    return page
