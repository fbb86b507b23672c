"""What was fetched from J-Quants: the store that the `jquants` pipeline fills, and its tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from gogooku_kedro.jquants.store import Store


class _Fetched(AbstractDataset[Any, Any]):
    """What both datasets are: a folder of partitions that only the pipeline writes."""

    _folder: Path

    def save(self, data: Any) -> NoReturn:
        """Refuse: partitions are written one by one.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(f"{self._folder} is written by `kedro run --env jquants --pipelines=jquants` only.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


class JQuantsStoreDataset(_Fetched):
    """Loads the store of fetched partitions, which may be empty; it holds no key.

    Args:
        filepath: Folder of the partitions.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        jquants_store:
          type: gogooku_kedro.datasets.JQuantsStoreDataset
          filepath: data/01_raw/jquants
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Store":
        """Return the store."""
        from gogooku_kedro.jquants.store import Store  # noqa: PLC0415 - imports the official client

        return Store(self._folder)


class JQuantsTableDataset(_Fetched):
    """Loads one table of what was fetched, as `jquants.tables.read_table` describes it.

    Args:
        filepath: Folder of the partitions.
        table: bars, listed_issues, market_index, statements, investor_flows or margin_balances.
        known_at: Seconds since 1970: what was fetched later, or changed since, is not seen; None sees all.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        raw_bars:
          type: gogooku_kedro.datasets.JQuantsTableDataset
          filepath: data/01_raw/jquants
          table: bars
    """

    def __init__(
        self, *, filepath: str, table: str, known_at: float | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder, self._table, self._known_at = Path(filepath), table, known_at
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return the table; without rows where the plan does not have it.

        Raises:
            DatasetError: A partition is damaged, the table is unknown, or no prices were fetched.
        """
        from gogooku_kedro.jquants.store import Store, StoreError  # noqa: PLC0415 - imports the official client
        from gogooku_kedro.jquants.tables import read_table  # noqa: PLC0415

        try:
            return read_table(Store(self._folder), self._table, self._known_at)
        except (StoreError, ValueError) as error:
            raise DatasetError(str(error)) from error

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "table": self._table}
