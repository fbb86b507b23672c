"""Kedro dataset of the sample market: generated on first use, read from Parquet afterwards."""

import json
import threading
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview
from pydantic import ValidationError

from gogooku_kedro.sample_market import TABLES, SampleMarketSettings, generate_sample_market

_SETTINGS_FILE = "settings.json"
_GENERATION = threading.Lock()


class SampleMarketDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """One table of a seeded synthetic Tokyo market.

    Entries that name the same folder and settings share one market: the first load generates every
    table, the others read. Tables of other settings in the folder are replaced.

    Example of a catalog entry::

        raw_bars:
          type: gogooku_kedro.datasets.SampleMarketDataset
          table: bars
          filepath: data/01_raw/sample_market
          seed: 7
    """

    def __init__(
        self,
        *,
        table: str,
        filepath: str,
        n_codes: int | None = None,
        start: str | None = None,
        end: str | None = None,
        seed: int | None = None,
        signal_strength: float | None = None,
        replicates: int | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """What is left out takes the value of `SampleMarketSettings`.

        Args:
            table: One of bars, listed_issues, market_index, statements, investor_flows,
                margin_balances, oracle_scores, peers, oracle.
            filepath: Folder of the tables, shared by the entries of one market.
            n_codes: Issues ever listed.
            start: First date.
            end: Last date.
            seed: Root of every random stream.
            signal_strength: Factor on the planted drift; 0 plants nothing.
            replicates: Independent markets behind each rank IC bound.
            metadata: Free metadata, ignored by Kedro.
        """
        self._table = table
        self._folder = Path(filepath)
        given = {
            "n_codes": n_codes,
            "start": start,
            "end": end,
            "seed": seed,
            "signal_strength": signal_strength,
            "replicates": replicates,
        }
        self._arguments = {name: value for name, value in given.items() if value is not None}
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """The table, generated first if the folder does not hold it for these settings.

        Returns:
            The table as `generate_sample_market` describes it; `attrs["source"]` names its file.

        Raises:
            DatasetError: When `table` is unknown or the settings are not possible.
        """
        if self._table not in TABLES:
            raise DatasetError(f"table={self._table!r} is unknown: choose one of {', '.join(TABLES)}")
        settings = self._settings()
        with _GENERATION:
            if self._stored_hash() != settings.hash:
                self._generate(settings)
        try:
            frame = pd.read_parquet(self._file(self._table), page_checksum_verification=True)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise DatasetError(
                f"{self._file(self._table)} is damaged ({reason}); remove {self._folder} to generate the market again"
            ) from error
        frame.attrs["source"] = f"sample market, {self._file(self._table)}"
        return frame

    def save(self, data: pd.DataFrame) -> None:
        """Refuse: the tables follow from the settings alone.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(
            "The sample market is generated from its settings and cannot be saved to: "
            "write to another catalog entry, or change the settings of this one"
        )

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows for Kedro-Viz, without generating a market that is not there yet.

        Args:
            nrows: Rows to show.

        Returns:
            Index, columns and rows; no rows when the table is not stored yet.
        """
        file = self._file(self._table)
        frame = pd.read_parquet(file).head(nrows) if file.exists() else pd.DataFrame()
        return TablePreview(json.loads(frame.to_json(orient="split", date_format="iso")))

    def identity(self) -> dict[str, Any]:
        """Return what the tables depend on."""
        given: dict[str, Any] = self._arguments  # as they are: impossible ones are refused by `load`
        return SampleMarketSettings.model_construct(**given).model_dump(mode="json")

    def _settings(self) -> SampleMarketSettings:
        try:
            return SampleMarketSettings.model_validate(self._arguments)
        except ValidationError as error:
            reasons = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors()
            )
            raise DatasetError(f"The sample market in {self._folder} cannot be made: {reasons}") from error

    def _generate(self, settings: SampleMarketSettings) -> None:
        """Write each table under a temporary name and rename it; the settings, last, mark the end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        marker = self._folder / _SETTINGS_FILE
        marker.unlink(missing_ok=True)
        for table, frame in generate_sample_market(settings).items():
            written = self._folder / f".{table}.parquet.tmp"
            frame.to_parquet(written, index=False, write_page_checksum=True)
            written.replace(self._file(table))
        written = self._folder / f".{_SETTINGS_FILE}.tmp"
        written.write_text(json.dumps({"hash": settings.hash, "settings": settings.model_dump()}, indent=2) + "\n")
        written.replace(marker)

    def _stored_hash(self) -> str | None:
        marker = self._folder / _SETTINGS_FILE
        if not marker.exists() or not all(self._file(table).exists() for table in TABLES):
            return None
        try:
            stored: str | None = json.loads(marker.read_text())["hash"]
        except (ValueError, KeyError, TypeError):  # cut off: the market is generated again
            return None
        return stored

    def _file(self, table: str) -> Path:
        return self._folder / f"{table}.parquet"

    def _exists(self) -> bool:
        return self._table in TABLES  # it can always be generated

    def _describe(self) -> dict[str, Any]:
        return {"table": self._table, "filepath": str(self._folder), **self._arguments}
