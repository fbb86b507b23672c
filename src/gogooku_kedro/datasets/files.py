"""Datasets of one file: written whole or not at all, sealed, and a damaged file is refused in one sentence."""

import html
import re
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import kedro_datasets.json
import kedro_datasets.plotly
import kedro_datasets.text
from kedro.io import DatasetError
from kedro_datasets import pandas as tables
from kedro_datasets._typing import PlotlyPreview, TablePreview

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


class KeyResultsDataset(JSONDataset):
    """The answers of a run, whose preview is a table instead of a tree."""

    def preview(self) -> TablePreview:
        """Return the model beside its best baseline, a row for each horizon, for Kedro-Viz."""
        better = self.load()["better"]
        columns = ["horizon", "rank IC", better["baseline"], "difference", "95% interval", "answer"]
        columns += ["net Sharpe", f"{better['baseline']} net Sharpe"]
        rows = []
        for horizon, found in better["horizons"].items():
            interval = " to ".join(filter(None, map(_number, found["ci95"])))
            sharpe = found.get("sharpe_net") or {"model": None, "baseline": None}
            numbers = [_number(found[name]) for name in ("model", "baseline", "difference")]
            after = [_number(sharpe[name]) for name in ("model", "baseline")]
            rows.append([horizon, *numbers, interval, found["answer"], *after])
        return table_preview(columns, rows)


class StudyDataset(JSONDataset):
    """What a pipeline beside the default one left for the report, whose preview is its first figure."""

    def preview(self) -> PlotlyPreview:
        """Return the first figure, for Kedro-Viz."""
        return PlotlyPreview(self.load()["figures"][0])


class TextDataset(_WholeFile, kedro_datasets.text.TextDataset):  # type: ignore[misc]
    """A page, whose preview is its first lines."""

    def preview(self, nrows: int = 40) -> TablePreview:
        """Return the text of a page without its markup, a row for each line, for Kedro-Viz.

        Args:
            nrows: Largest number of lines shown.
        """
        text = self.load()
        if self._filepath.suffix == ".html":
            body = re.sub(r"(?is)<(script|style|svg|nav|head)\b.*?</\1>", "", text).replace("\n", " ")
            lines_of = re.sub(r"(?i)</(p|h\d|li|tr|div|summary)>", "\n", re.sub(r"(?i)</t[dh]>", "  ", body))
            text = html.unescape(re.sub(r"<[^>]+>", "", lines_of))
        lines = [" ".join(line.split()) for line in text.splitlines()]
        return table_preview([self._filepath.name], [[line] for line in lines if line][:nrows])


class FigureDataset(_WholeFile, kedro_datasets.plotly.JSONDataset):  # type: ignore[misc]
    """A Plotly figure."""


def table_preview(columns: list[str], rows: list[list[Any]]) -> TablePreview:
    """Return a table as Kedro-Viz shows it.

    Args:
        columns: Names.
        rows: Values of JSON types.
    """
    return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"
