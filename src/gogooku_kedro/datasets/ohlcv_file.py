"""The user's own daily bars: Parquet or CSV files whose columns become ours."""

import csv
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow
from kedro.io import AbstractDataset, DatasetError

from gogooku_kedro.artifacts import digest
from gogooku_kedro.datasets.integrity import content_hash
from gogooku_kedro.market.price_files import CSV, PARQUET, is_price_file, price_files, read_price_files
from gogooku_kedro.market.source_state import source_state

_HOW = "Name the file on the command line: kedro run --env ohlcv --params ohlcv_path=FILE"
_UNREADABLE = (ValueError, OSError, EOFError, csv.Error, zlib.error, zipfile.BadZipFile, pyarrow.ArrowException)


class OhlcvFileDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Loads bars under our column names; values stay as the file has them.

    Required are date, code, open, high, low, close, volume; turnover_value, adj_factor, adj_close,
    limit_up, limit_down, sector and market are used when there. Common spellings are recognised
    (`Adj Close`, `SecuritiesCode`, `Vo`, ...); the map settles the rest. Columns that mean nothing
    to us are not read; `attrs["unknown_columns"]` lists them, `attrs["source"]` is the path and
    `attrs["source_state"]` what the file was.
    Dialects and shapes are those of `market.price_files`.

    Args:
        filepath: Parquet (.parquet, .pq) or CSV (.csv, .txt, .tsv, also .gz or .zip), a folder or a glob of
            them with one file per code or per field.
        columns: Their name to ours, for columns that are not recognised; to null, to leave one out; or None.
        load_args: Arguments of `pandas.read_csv` that are not to be recognised from the file, such as
            `encoding`, `sep`, `decimal`, `skiprows`; they hold for header and body alike.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        raw_bars:
          type: gogooku_kedro.datasets.OhlcvFileDataset
          filepath: ${runtime_params:ohlcv_path,""}
          columns: {Schlusskurs: close}
    """

    def __init__(
        self,
        *,
        filepath: str | None,
        columns: Mapping[str, str | None] | None = None,
        load_args: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath) if filepath else None
        self._columns = dict(columns or {})
        self._load_args = dict(load_args or {})
        self.metadata = metadata
        self.extra: tuple[str, ...] = ()  # `ingestion.extra_columns`, which the hook SourceCheck tells

    def load(self) -> pd.DataFrame:
        """Return the bars with canonical column names, one row per line of the file.

        Raises:
            DatasetError: No file, no such file, not Parquet or CSV, unreadable, or columns that
                are missing or ambiguous; the text names the file, its columns and the fix.
        """
        path = self.checked_path()
        try:
            bars = read_price_files(path, self._columns, self._load_args, self.extra)
            bars.attrs["source_state"] = source_state(path)
            return bars
        except _UNREADABLE as error:
            text = str(error)
            raise DatasetError(text if str(path) in text else f"{path}: {text}") from error

    def save(self, data: pd.DataFrame) -> NoReturn:
        """Refuse: the user's file is read only.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(f"{self._filepath} is the user's file and is never written.")

    def checked_path(self) -> Path:
        """Return the path, of which something can be read.

        Raises:
            DatasetError: There is no file; the text names the path and the fix.
        """
        # Kedro turns an empty relative path into the project folder.
        if self._filepath is None or not price_files(self._filepath):
            raise DatasetError(f"No bars to read: ohlcv_path is empty, or a folder or glob without price files. {_HOW}")
        if not price_files(self._filepath)[0].is_file():
            raise DatasetError(f"{self._filepath} does not exist. {_HOW}")
        if not is_price_file(price_files(self._filepath)[0]):
            raise DatasetError(
                f"{self._filepath} is neither Parquet nor CSV by its name; "
                f"it must end in one of {', '.join((*CSV, *PARQUET))}."
            )
        return self._filepath

    def identity(self) -> dict[str, Any]:
        """Return what the bars depend on; without a file, not what is in it."""
        files = price_files(self._filepath) if self._exists() and self._filepath is not None else []
        content = {"content": digest([(file.name, content_hash(file)) for file in files])} if files else {}
        return {"columns": self._columns, "load_args": self._load_args, **content}

    def _exists(self) -> bool:
        return self._filepath is not None and any(file.is_file() for file in price_files(self._filepath))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath or ""), "columns": self._columns}
