"""Fetched tables on disk: one Parquet file per partition, and a manifest that says which of them count."""

import hashlib
import io
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gogooku_kedro.jquants.endpoints import Endpoint

MANIFEST = "manifest.sqlite"
OK, EMPTY = "ok", "empty"


class StoreError(RuntimeError):
    """The store cannot be written or read; the text names the file and the fix."""


@dataclass(frozen=True)
class Entry:
    """One fetch of a partition that brought something new.

    Attributes:
        endpoint: Name of the table.
        unit: Session, snapshot day or year.
        fetched_at: Seconds since 1970 at which this content was first fetched.
        checked_at: Seconds since 1970 at which the service last gave the same content.
        status: ok, or empty: there were no rows, and there is no file.
        rows: Rows of the file.
        latest: Latest date among the rows, "" without rows.
        sha256: Hash of the file, "" without one.
        schema: Hash of the columns stored.
        client: Version of the official client.
        window: First and last date that were asked for, of a table by year.
    """

    endpoint: str
    unit: str
    fetched_at: float
    checked_at: float
    status: str
    rows: int
    latest: str
    sha256: str
    schema: str
    client: str
    window: str

    @property
    def file(self) -> str:
        """Return the path below the store: content is part of the name, so that nothing is ever overwritten."""
        return f"{self.endpoint}/{self.unit}.{self.sha256[:12]}.parquet"


_COLUMNS = tuple(field.name for field in fields(Entry))
_CREATE = f"CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, {', '.join(_COLUMNS)})"
_INDEX = "CREATE INDEX IF NOT EXISTS units ON entries (endpoint, unit)"
_INSERT = f"INSERT INTO entries ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Store:
    """Partitions of fetched tables.

    A partition is written under a temporary name, renamed, and counts from the moment its line is in the manifest;
    a process that is killed between any two of these steps leaves the store as it was before. Content that changed
    is stored beside the earlier one, which is what `entries(as_of=…)` reads.

    Args:
        folder: Where they lie; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self, endpoint: str, as_of: float | None = None) -> dict[str, Entry]:
        """Return the newest entry of each unit, sorted by unit.

        Args:
            endpoint: Name of the table.
            as_of: Seconds since 1970; what was fetched later does not count.
        """
        newest: dict[str, Entry] = {}
        for entry in self.versions(endpoint):
            if as_of is None or entry.fetched_at <= as_of:
                newest[entry.unit] = entry
        return newest

    def versions(self, endpoint: str) -> list[Entry]:
        """Return every entry of a table by unit and time."""
        if not (self.folder / MANIFEST).exists():
            return []
        with self._manifest() as manifest:
            found = manifest.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE endpoint = ? ORDER BY unit, number", (endpoint,)
            ).fetchall()
        return [Entry(*line) for line in found]

    def _newest(self, endpoint: str, unit: str) -> Entry | None:
        with self._manifest() as manifest:
            found = manifest.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE endpoint = ? AND unit = ? "
                "ORDER BY number DESC LIMIT 1",
                (endpoint, unit),
            ).fetchone()
        return None if found is None else Entry(*found)

    def last_call(self) -> float:
        """Return when something was last fetched, 0 when nothing was."""
        if not (self.folder / MANIFEST).exists():
            return 0.0
        with self._manifest() as manifest:
            (latest,) = manifest.execute("SELECT MAX(checked_at) FROM entries").fetchone()
        return float(latest or 0.0)

    def write(
        self, endpoint: Endpoint, unit: str, table: pa.Table, *, now: float, client: str, window: str = ""
    ) -> bool:
        """Store a partition; return whether its content differs from what the store had of it.

        Raises:
            StoreError: The disk is full, or cannot be written.
        """
        content = _parquet(table) if len(table) else b""
        sha256 = hashlib.sha256(content).hexdigest() if content else ""
        latest = max(table[endpoint.day].to_pylist(), default="")
        status = OK if len(table) else EMPTY
        entry = Entry(
            *(endpoint.name, unit, now, now, status, len(table), latest, sha256, endpoint.schema, client, window)
        )
        before = self._newest(endpoint.name, unit)
        same = before is not None and before.sha256 == sha256 and self._is_whole(before)
        try:
            if content and not same:
                self._write_file(self.folder / entry.file, content)
            self._record(entry, before if same else None)
        except (OSError, sqlite3.OperationalError) as error:
            raise StoreError(
                f"{self.folder} cannot be written ({error}); what was fetched before is kept: make room, or give "
                "another --params data_root=DIR, and run again"
            ) from error
        return not same

    def read(self, endpoint: Endpoint, as_of: float | None = None, units: set[str] | None = None) -> pd.DataFrame:
        """Return the rows of all partitions, or of the given ones, by unit.

        Raises:
            StoreError: A file is missing or is not what was stored.
        """
        entries = [e for e in self.entries(endpoint.name, as_of).values() if units is None or e.unit in units]
        tables = [self._table(entry) for entry in entries if entry.status == OK]
        found = pa.concat_tables([endpoint.arrow_schema.empty_table(), *tables], promote_options="default")
        return as_frame(found.select(list(endpoint.columns)))

    def codes(self, entry: Entry) -> list[str]:
        """Return the codes of a partition."""
        path = self.folder / entry.file
        try:
            codes: list[str] = pq.read_table(path, columns=["Code"])["Code"].to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path} is missing or damaged; run `kedro jquants-audit --repair`") from error
        return codes

    def damaged(self, endpoint: str) -> list[str]:
        """Return the units whose file is missing or is not what was stored."""
        return [unit for unit, entry in self.entries(endpoint).items() if not self._is_whole(entry)]

    def forget(self, endpoint: str, unit: str) -> None:
        """Take a unit out of the manifest, so that it is fetched anew."""
        with self._manifest() as manifest:
            manifest.execute("DELETE FROM entries WHERE endpoint = ? AND unit = ?", (endpoint, unit))

    def remove_unrecorded(self) -> int:
        """Delete files that no line of the manifest names, as a killed process leaves them; return their number."""
        if not self.folder.exists():
            return 0
        known = {entry.file for name in self._endpoints() for entry in self.versions(name) if entry.sha256}
        found = [path for path in self.folder.glob("*/*") if path.relative_to(self.folder).as_posix() not in known]
        for path in found:
            path.unlink()
        return len(found)

    def purge(self) -> int:
        """Delete everything that was fetched; return how many files there were."""
        if not self.folder.exists():
            return 0
        count = sum(path.is_file() for path in self.folder.rglob("*"))
        shutil.rmtree(self.folder)
        return count

    def _endpoints(self) -> list[str]:
        if not (self.folder / MANIFEST).exists():
            return []
        with self._manifest() as manifest:
            return [name for (name,) in manifest.execute("SELECT DISTINCT endpoint FROM entries")]

    @contextmanager
    def _manifest(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / MANIFEST
        try:
            connection = sqlite3.connect(path, timeout=30)
            try:
                with connection:
                    connection.execute(_CREATE)
                    connection.execute(_INDEX)
                    yield connection
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(
                    f"{path} cannot be read or written ({error}); what was fetched before is kept: make room, or wait "
                    "for another fetch to end, and run again"
                ) from error
            raise StoreError(f"{path} is damaged ({error}); run `kedro jquants-purge` and fetch again") from error

    def _write_file(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _record(self, entry: Entry, same: Entry | None) -> None:
        """Add a line, or note on the line of the same content when it was last confirmed."""
        with self._manifest() as manifest:
            if same is None:
                manifest.execute(_INSERT, astuple(entry))
                return
            manifest.execute(
                "UPDATE entries SET checked_at = ?, window = ?, schema = ? "
                "WHERE endpoint = ? AND unit = ? AND fetched_at = ?",
                (entry.checked_at, entry.window, entry.schema, entry.endpoint, entry.unit, same.fetched_at),
            )

    def _is_whole(self, entry: Entry) -> bool:
        if entry.status == EMPTY:
            return True
        path = self.folder / entry.file
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256

    def _table(self, entry: Entry) -> pa.Table:
        path = self.folder / entry.file
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise StoreError(f"{path} is missing or damaged; run `kedro jquants-audit --repair`")
        return pq.read_table(io.BytesIO(content))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as pandas, text as `str`."""
    text = pd.StringDtype(na_value=float("nan"))
    frame: pd.DataFrame = table.to_pandas(types_mapper=lambda kind: text if pa.types.is_string(kind) else None)
    return frame


def _parquet(table: pa.Table) -> bytes:
    """The same rows give the same bytes: the schema is fixed and has no metadata."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
