"""Datasets of one file: written whole or not at all, sealed, and a damaged file is refused in one sentence."""

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import kedro_datasets.json
import kedro_datasets.plotly
import kedro_datasets.text
from kedro.io import DatasetError
from kedro_datasets import pandas as tables

from gogooku_kedro.artifacts import atomic_file, remove_leftovers
from gogooku_kedro.datasets.integrity import Sealed, damage, refusal


class _WholeFile(Sealed):
    """What the datasets of this module do beside the one that each extends."""

    _filepath: PurePosixPath

    def load(self) -> Any:
        """Return what the file holds.

        Raises:
            DatasetError: The file is not there or damaged.
        """
        path = Path(self._filepath)
        if not path.exists():
            raise refusal(path, "does not exist")
        self._check_seal(path)
        try:
            return super().load()  # type: ignore[misc]
        except DatasetError as error:
            match error.__cause__:
                case None | PermissionError() | MemoryError():
                    raise
                case cause:
                    raise damage(path, cause) from error

    def save(self, data: Any) -> None:
        """Write the file beside the old one, then replace that; what a killed save left is removed."""
        path = self._filepath
        remove_leftovers(Path(path).parent)
        try:
            with atomic_file(Path(path)) as unfinished:
                self._filepath = PurePosixPath(unfinished)
                super().save(data)  # type: ignore[misc]
        finally:
            self._filepath = path
        self._seal(Path(path))


class ParquetDataset(_WholeFile, tables.ParquetDataset):  # type: ignore[misc]
    """A Parquet table whose pages carry checksums that are checked when it is read.

    Example catalog entry:
        predictions:
          type: gogooku_kedro.datasets.ParquetDataset
          filepath: data/07_model_output/predictions.parquet
    """

    DEFAULT_LOAD_ARGS: ClassVar[dict[str, Any]] = {"page_checksum_verification": True}
    DEFAULT_SAVE_ARGS: ClassVar[dict[str, Any]] = {"write_page_checksum": True}


class CSVDataset(_WholeFile, tables.CSVDataset):  # type: ignore[misc]
    """A table as text."""


class JSONDataset(_WholeFile, kedro_datasets.json.JSONDataset):  # type: ignore[misc]
    """Facts and numbers."""


class TextDataset(_WholeFile, kedro_datasets.text.TextDataset):  # type: ignore[misc]
    """A page."""


class FigureDataset(_WholeFile, kedro_datasets.plotly.JSONDataset):  # type: ignore[misc]
    """A Plotly figure."""
