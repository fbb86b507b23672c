"""An optional table that a source does not have: an empty frame with its columns."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError


class EmptyTableDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Loads an empty frame, so that a pipeline runs without an optional table.

    Args:
        columns: Column names, or names with their pandas dtypes.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        investor_flows:
          type: gogooku_kedro.datasets.EmptyTableDataset
          columns: [PubDate, Section, FrgnBal]
    """

    def __init__(
        self,
        *,
        columns: Sequence[str] | Mapping[str, str],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._dtypes = dict(columns) if isinstance(columns, Mapping) else dict.fromkeys(columns, "object")
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return the frame with no rows."""
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in self._dtypes.items()})

    def save(self, data: pd.DataFrame) -> NoReturn:
        """Refuse: the entry says that the table is absent.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(
            f"EmptyTableDataset stands for an absent table and cannot store {len(data)} rows. "
            "Use gogooku_kedro.datasets.ParquetDataset in the catalog entry instead."
        )

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"columns": list(self._dtypes)}
