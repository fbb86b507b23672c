"""The user's own daily bars: a Parquet or CSV file whose columns become ours."""

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow
import pyarrow.parquet as pq
from kedro.io import AbstractDataset, DatasetError

from gogooku_kedro.market.bar_columns import column_map, unknown_columns

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_HOW = "Name the file on the command line: kedro run --env ohlcv --params ohlcv_path=FILE"


class OhlcvFileDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Loads bars under our column names; values stay as the file has them.

    Required are date, code, open, high, low, close, volume; turnover_value, adj_factor, adj_close,
    limit_up, limit_down, sector and market are used when there. Common spellings are recognised
    (`Adj Close`, `SecuritiesCode`, `Vo`, ...); the map settles the rest. Columns that mean nothing
    to us are not read; `attrs["unknown_columns"]` lists them and `attrs["source"]` is the path.

    Args:
        filepath: Parquet (.parquet, .pq) or CSV (.csv, .csv.gz), UTF-8 unless `load_args` says so.
        columns: Their name to ours, for columns that are not recognised, or None.
        load_args: Further arguments of `pandas.read_csv`, such as `encoding` or `sep`.
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
        columns: Mapping[str, str] | None = None,
        load_args: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath) if filepath else None
        self._columns = dict(columns or {})
        self._load_args = dict(load_args or {})
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return the bars with canonical column names, one row per line of the file.

        Raises:
            DatasetError: No file, no such file, not Parquet or CSV, unreadable, or columns that
                are missing or ambiguous; the text names the file, its columns and the fix.
        """
        path = self._checked_path()
        try:
            found = _column_names(path, self._load_args)
            mapping = column_map(found, self._columns, source=str(path))
            bars = _read(path, mapping, self._load_args)
        except (ValueError, OSError, csv.Error, pyarrow.ArrowException) as error:
            text = str(error)
            raise DatasetError(text if str(path) in text else f"{path}: {text}") from error
        bars = bars.rename(columns=mapping)
        bars.attrs["source"] = str(path)
        bars.attrs["unknown_columns"] = unknown_columns(found, mapping)
        return bars

    def save(self, data: pd.DataFrame) -> NoReturn:
        """Refuse: the user's file is read only.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(f"{self._filepath} is the user's file and is never written.")

    def _checked_path(self) -> Path:
        # Kedro turns an empty relative path into the project folder.
        if self._filepath is None or self._filepath.is_dir():
            raise DatasetError(f"No bars to read: ohlcv_path is empty or a folder. {_HOW}")
        if not self._filepath.is_file():
            raise DatasetError(f"{self._filepath} does not exist. {_HOW}")
        if not self._filepath.name.lower().endswith((*_CSV, *_PARQUET)):
            raise DatasetError(
                f"{self._filepath} is neither Parquet nor CSV by its name; "
                f"it must end in one of {', '.join((*_CSV, *_PARQUET))}."
            )
        return self._filepath

    def _exists(self) -> bool:
        return self._filepath is not None and self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath or ""), "columns": self._columns}


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(_PARQUET)


def _column_names(path: Path, load_args: Mapping[str, Any]) -> list[str]:
    if _is_parquet(path):
        return [str(name) for name in pq.read_schema(path).names]
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding=load_args.get("encoding", "utf-8-sig"), newline="") as file:
        header = next(csv.reader(file, delimiter=load_args.get("sep", ",")), [])
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path}: the header has {twice} more than once; found {names}. "
            "Rename them in the file; a column map cannot tell them apart."
        )
    return names


def _read(path: Path, mapping: Mapping[str, str], load_args: Mapping[str, Any]) -> pd.DataFrame:
    if _is_parquet(path):
        table = pq.read_table(path, columns=list(mapping))
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        return frame[list(mapping)]
    text_columns = {theirs: "str" for theirs, ours in mapping.items() if ours in ("date", "code")}
    # low_memory reads in chunks and may give one column two types
    options: dict[str, Any] = {"encoding": "utf-8-sig", "low_memory": False, **load_args}
    bars: pd.DataFrame = pd.read_csv(path, dtype=text_columns, skipinitialspace=True, **options)
    bars.columns = bars.columns.str.strip()
    return bars[list(mapping)]
