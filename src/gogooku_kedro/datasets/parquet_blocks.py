"""A long table in blocks: one Parquet file, written and read a block at a time."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset

from gogooku_kedro.artifacts import atomic_file, remove_leftovers
from gogooku_kedro.datasets.integrity import Sealed, StoredBlocks, refusal
from gogooku_kedro.market.blocks import TableBlock


class ParquetBlocksDataset(Sealed, AbstractDataset[TableBlock, StoredBlocks]):
    """Store the blocks that a node yields as the row groups of one Parquet file; load them as `StoredBlocks`.

    The file is written beside the old one and replaces it with the last block. Its pages carry checksums.

    Args:
        filepath: The file.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        model_predictions:
          type: gogooku_kedro.datasets.ParquetBlocksDataset
          filepath: data/07_model_output/model_predictions.parquet
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> StoredBlocks:
        """Return the stored blocks.

        Raises:
            DatasetError: The file is not there, or not as it was written.
        """
        if not self._exists():
            raise refusal(self._filepath, "does not exist")
        self._check_seal(self._filepath)
        return StoredBlocks(self._filepath)

    def save(self, data: TableBlock) -> None:
        """Add a block to the file that replaces the stored one with its last block."""
        table = pa.Table.from_pandas(data.rows, preserve_index=False)
        if data.number == 0:
            remove_leftovers(self._filepath.parent)
            self._unfinished = ExitStack()
            path = self._unfinished.enter_context(atomic_file(self._filepath))
            self._writer = pq.ParquetWriter(path, table.schema, write_page_checksum=True)
            self._unfinished.enter_context(self._writer)
        self._writer.write_table(table.cast(self._writer.schema), row_group_size=max(len(table), 1))
        if data.last:
            self._unfinished.close()
            self._seal(self._filepath)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
