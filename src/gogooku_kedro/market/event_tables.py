"""Columns of the event tables as J-Quants V2 names them, read as numbers, days and issues."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gogooku_kedro.market.parsing import parse_codes, parse_dates, parse_numbers
from gogooku_kedro.typing import IntArray

ORDINARY_SHARE = "0"  # fifth character of a five-character code


class EventTable:
    """One raw table, whose columns are read by name; unknown columns are ignored."""

    def __init__(self, frame: pd.DataFrame, name: str, required: Sequence[str]) -> None:
        """Check the columns that the table cannot do without.

        Args:
            frame: Rows as the source has them; text or numbers.
            name: Of the table, for messages.
            required: Columns that must be there.

        Raises:
            ValueError: One of them is not.
        """
        self.name = str(frame.attrs.get("source", name))
        absent = [column for column in required if column not in frame]
        if absent:
            raise ValueError(
                f"{self.name}: no column {absent}; found {list(frame.columns)}. "
                f"{name} has the J-Quants V2 names {', '.join(required)}."
            )
        self.frame = frame.reset_index(drop=True)

    def numbers(self, column: str) -> pd.Series:
        """Return a column as float64; NaN where it is blank or the table does not have it.

        Raises:
            ValueError: A value is no number.
        """
        if column not in self.frame:
            return pd.Series(np.nan, index=self.frame.index, name=column)
        return parse_numbers(self.frame[column], source=self.name)

    def days(self, column: str) -> pd.Series:
        """Return a column as datetime64[ns]; NaT where it is blank or the table does not have it.

        Raises:
            ValueError: A value is no year-first date.
        """
        if column not in self.frame:
            return pd.Series(np.datetime64("NaT", "ns"), index=self.frame.index, name=column)
        return parse_dates(self.frame[column], source=self.name, column=column).rename(column)

    def text(self, column: str) -> pd.Series:
        """Return a column as text; "" where it is blank or the table does not have it."""
        if column not in self.frame:
            return pd.Series("", index=self.frame.index, dtype="str", name=column)
        return self.frame[column].astype("str").fillna("").str.strip()

    def issues(self, codes: pd.Index) -> IntArray:
        """Return the column of each row's issue in the panel, -1 for an issue it does not have.

        A four-character code means the ordinary share. Each code is read by itself, so that a row
        of a later day cannot change how an earlier one is read.

        Raises:
            ValueError: The panel has none of the issues.
        """
        text = parse_codes(self.frame["Code"], source=self.name, code_style="as_is").fillna("")
        positions, distinct = pd.factorize(text)
        names = pd.Index(distinct)
        found = codes.get_indexer(names)
        found = np.where(found >= 0, found, codes.get_indexer(names + ORDINARY_SHARE))
        if len(found) and not (found >= 0).any():
            raise ValueError(
                f"{self.name}: none of its codes is in the panel: {list(names[:5])} against "
                f"{list(codes[:5])}. Write the codes of the bars, or leave the table out."
            )
        return found[positions].astype(np.int64)


def absent_table(frame: pd.DataFrame | None) -> bool:
    """Return whether an optional table is not there or has no rows."""
    return frame is None or frame.empty
