"""What is read is what was written: seals, checksums of the pieces of a zarr store, a sentence for a damaged file."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from gogooku_kedro.artifacts import atomic_file, digest, file_hash

CHECKSUMS = ".checksums.json"


def refusal(path: Path, state: str) -> DatasetError:
    """Return the error of a file that cannot be used as it is: its state, and the command that makes it anew.

    Args:
        path: The file or store; its name without the ending is that of the dataset.
        state: What is said of it, as in "does not exist".
    """
    stages = [(len(stage.nodes), name) for name, stage in pipelines.items() if path.stem in stage.all_outputs()]
    if not stages:
        return DatasetError(f"{path} {state}; run the stage that writes it.")
    again = f"kedro run --pipelines={min(stages)[1]}"
    return DatasetError(f"{path} {state}; write it with the --env and --params of its run: {again}")


def damage(path: Path, reason: object) -> DatasetError:
    """Return the refusal of a damaged file; of a reason of several lines the first is told."""
    first_line = str(reason).partition("\n")[0].rstrip(". ")
    return refusal(path, f"is damaged ({first_line})")


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, of the checksums of a zarr store, or of every file of another folder.

    The attributes of a store are no part of it: one of them is the path of the source, which may move.
    """
    if path.is_dir():
        checksums = path / CHECKSUMS
        if checksums.exists():
            pieces = json.loads(checksums.read_text())["checksums"]
            return digest({name: pieces[name] for name in sorted(pieces.keys() - {".zattrs", ".zmetadata"})})
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return digest([(each.relative_to(path).as_posix(), file_hash(each)) for each in files])
    return file_hash(path)


class Sealed:
    """Datasets beside whose file lies a seal: its name and hash, and of what it is, where a run wrote it.

    Attributes:
        origin: Of what the next save will be, as `gogooku_kedro.lineage` says it.
    """

    origin: dict[str, Any] | None = None

    def _seal(self, path: Path) -> None:
        facts = {"name": path.name, "sha256": content_hash(path), "origin": self.origin}
        self.origin = None
        with atomic_file(_seal_of(path)) as unfinished:
            unfinished.write_text(json.dumps(facts))

    def _check_seal(self, path: Path) -> None:
        seal = read_seal(path)
        if seal is None:
            raise damage(path, f"it has no seal that can be read, {_seal_of(path).name}")
        if seal["name"] != path.name:
            raise damage(path, f"it was written as {seal['name']}")
        if seal["sha256"] != content_hash(path):
            raise damage(path, "it is not as it was written")


def read_seal(path: Path) -> dict[str, Any] | None:
    """Return the seal of a stored file; None where there is none that can be read."""
    try:
        seal: Any = json.loads(_seal_of(path).read_text())
    except (OSError, ValueError):
        return None
    return seal if isinstance(seal, dict) and seal.keys() >= {"name", "sha256", "origin"} else None


def _seal_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.seal.json")


class StoredBlocks:
    """The blocks of a stored table, read as they are asked for and any number of times."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield one block after the other.

        Raises:
            DatasetError: The file is damaged.
        """
        try:
            with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
                for block in range(file.num_row_groups):
                    yield file.read_row_group(block).to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise damage(self._path, error) from error


def stored_problems(catalog: DataCatalog, written: Iterable[str], needed: Collection[str]) -> list[str]:
    """Read every stored dataset and return what is wrong, one sentence each.

    Args:
        catalog: The catalog.
        written: Names of what the pipelines write.
        needed: Those of them that are missed where they are not there.
    """
    found = []
    for name in sorted(set(written) & set(catalog.keys())):
        dataset = catalog[name]
        if isinstance(dataset, MemoryDataset):
            continue
        try:
            if catalog.exists(name):
                content = dataset.load()
                if isinstance(content, xr.Dataset):
                    content.load()
                elif isinstance(content, StoredBlocks):
                    for _ in content:
                        pass
            elif name in needed:
                found.append(str(refusal(Path(dataset._describe()["filepath"]), "does not exist")))
        except DatasetError as error:
            found.append(str(error).partition("\n")[0])
    return found


class CheckedStore(WrapperStore[LocalStore]):
    """A zarr store on disk that knows the CRC-32C of every piece it wrote and holds it when a piece is read.

    A piece that is missing, changed or strange is an error; zarr alone would take a missing one for missing data
    and a changed one for data.

    Args:
        store: Where the pieces are.
        path: Path of the store in messages, and the name that its checksums are for.
        checksums: Of every piece; empty for a new store.
    """

    def __init__(self, store: LocalStore, path: Path, checksums: dict[str, int]) -> None:
        super().__init__(store)
        self._path = path
        self._checksums = checksums

    @classmethod
    def new(cls, folder: Path, path: Path) -> CheckedStore:
        """Return an empty store in `folder` that will be moved to `path`."""
        return cls(LocalStore(folder), path, {})

    @classmethod
    def stored(cls, path: Path) -> CheckedStore:
        """Return the finished store at `path`, to be read.

        Raises:
            DatasetError: Its checksums are not there, damaged or of another store.
        """
        try:
            facts = json.loads((path / CHECKSUMS).read_text())
            name, checksums = facts["name"], facts["checksums"]
        except FileNotFoundError as error:
            raise damage(path, "it has no checksums") from error
        except (ValueError, KeyError, TypeError) as error:
            raise damage(path, "its checksums cannot be read") from error
        if name != path.name:
            raise damage(path, f"it was written as {name}")
        return cls(LocalStore(path, read_only=True), path, checksums)

    def finish(self) -> None:
        """Write the checksums beside the pieces."""
        facts = {"name": self._path.name, "checksums": self._checksums}
        (Path(self._store.root) / CHECKSUMS).write_text(json.dumps(facts, sort_keys=True))

    def _with_store(self, store: LocalStore) -> CheckedStore:
        return CheckedStore(store, self._path, self._checksums)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return a piece; it is read whole, so that it can be checked.

        Raises:
            DatasetError: It is not as it was written.
        """
        piece: Buffer | None = await self._store.get(key, prototype)
        expected = self._checksums.get(key)
        if piece is None:
            if expected is not None:
                raise damage(self._path, f"piece {key} is missing")
            return None
        if _checksum(piece) != expected:
            raise damage(self._path, f"piece {key} is not as it was written")
        return piece if byte_range is None else await self._store.get(key, prototype, byte_range)

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for key, prototype, byte_range in requests:
            yield key, await self.get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of pieces, each checked as a whole."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def set(self, key: str, value: Buffer) -> None:
        """Write a piece and note its checksum."""
        await self._store.set(key, value)
        self._checksums[key] = _checksum(value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a piece that is not there yet."""
        if not await self.exists(key):
            await self.set(key, value)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        for key, value in values:
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Delete a piece and forget its checksum."""
        await self._store.delete(key)
        self._checksums.pop(key, None)

    async def delete_dir(self, prefix: str) -> None:
        """Delete the pieces of a folder and forget their checksums."""
        await self._store.delete_dir(prefix)
        for key in [key for key in self._checksums if key.startswith(f"{prefix.rstrip('/')}/")]:
            del self._checksums[key]

    async def clear(self) -> None:
        """Delete every piece."""
        await self._store.clear()
        self._checksums.clear()


def _checksum(piece: Buffer) -> int:
    checksum: Any = google_crc32c.value(piece.to_bytes())
    return int(checksum)
