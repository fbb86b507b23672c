"""Panels on disk: an xarray Dataset as a zarr store that is replaced as a whole."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from gogooku_kedro.datasets.integrity import CheckedStore, Sealed, refusal
from gogooku_kedro.market.blocks import PanelBlock, PanelFrame

_FORMAT = 2  # has text of fixed length in its specification; version 3 has not, and warns


class ZarrDataset(Sealed, AbstractDataset[xr.Dataset | PanelBlock, xr.Dataset]):
    """Store an xarray Dataset; dtypes, text coordinates and attributes come back as they were.

    A save writes beside the old store and then swaps the two, so a reader never meets half a panel
    and a failed save keeps the old one. Text comes back as fixed-length unicode.

    A node that yields `PanelBlock`s saves one after the other as they finish; the store is swapped
    with the last one.

    The store holds a checksum of every piece. What is read is checked, a lazy store piece by piece as it is read.

    Args:
        filepath: Folder of the store, by convention ending in `.zarr`.
        lazy: True opens the store and reads what is asked for; False loads it into memory.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        panel:
          type: gogooku_kedro.datasets.ZarrDataset
          filepath: data/03_primary/panel.zarr
    """

    def __init__(self, *, filepath: str, lazy: bool = False, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._lazy = lazy
        self.metadata = metadata

    def load(self) -> xr.Dataset:
        """Return the stored Dataset.

        Raises:
            DatasetError: The store is not there or damaged.
        """
        if not self._exists():
            raise refusal(self._filepath, "does not exist")
        panel = _with_fixed_text(self._open()).drop_encoding()
        return panel if self._lazy else panel.load()

    def save(self, data: xr.Dataset | PanelBlock) -> None:
        """Replace the store by `data`, or add a block to the store that will replace it.

        Raises:
            DatasetError: `data` is neither an xarray Dataset nor a block of one.
        """
        if isinstance(data, PanelBlock):
            self._save_block(data)
            return
        if not isinstance(data, xr.Dataset):
            raise DatasetError(f"{self._filepath} stores an xarray.Dataset, not {type(data).__name__}.")
        data = _with_fixed_text(data.drop_encoding())
        self._remove_leftovers()
        fresh = self._beside("new")
        try:
            store = CheckedStore.new(fresh, self._filepath)
            data.to_zarr(store, mode="w", zarr_format=_FORMAT, consolidated=True)
            store.finish()
            self._swap(fresh)
        except OSError as error:
            error.filename = str(self._filepath)  # of a full disk there is none
            raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _save_block(self, block: PanelBlock) -> None:
        fresh = self._beside("new")
        if block.number == 0:
            self._remove_leftovers()
            self._fresh = CheckedStore.new(fresh, self._filepath)
            _create(self._fresh, block.frame)
        group = zarr.open_group(self._fresh, mode="r+")
        for name, values in block.values.items():
            array = group[name]
            assert isinstance(array, zarr.Array)
            array[block.region(name)] = values
        if block.number == block.count - 1:
            zarr.consolidate_metadata(self._fresh)
            self._fresh.finish()
            self._swap(fresh)

    def preview(self, nrows: int = 40) -> TablePreview:
        """Return name, dimensions, dtype, size and filled share of each variable for kedro-viz.

        Args:
            nrows: Largest number of variables shown.
        """
        panel = self._open()
        names = [*panel.coords, *panel.data_vars][:nrows]
        rows = [_described(panel[name]) for name in names]
        columns = ["variable", "dimensions", "shape", "dtype", "present"]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})

    def _open(self) -> xr.Dataset:
        store = CheckedStore.stored(self._filepath)
        self._check_seal(self._filepath)
        try:
            panel: xr.Dataset = xr.open_zarr(store, chunks=None, consolidated=True)
        except DatasetError as error:  # xarray adds lines about the variable it was decoding
            raise DatasetError(str(error).partition("\n")[0]) from error
        return panel

    def _swap(self, fresh: Path) -> None:
        old = self._beside("old")
        if self._filepath.exists():
            os.replace(self._filepath, old)
        os.replace(fresh, self._filepath)
        self._seal(self._filepath)
        shutil.rmtree(old, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        """Make the folder, and delete what a save that was killed left in it."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        for role in ("new", "old"):
            for left_over in self._filepath.parent.glob(f".{self._filepath.name}.{role}-*"):
                shutil.rmtree(left_over, ignore_errors=True)

    def _beside(self, role: str) -> Path:
        return self._filepath.with_name(f".{self._filepath.name}.{role}-{os.getpid()}")

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "lazy": self._lazy}


def _create(store: CheckedStore, frame: PanelFrame) -> None:
    """Write coordinates, and variables without values: a piece that no block fills is absent."""
    coords = _with_fixed_text(xr.Dataset(coords=dict(frame.coords), attrs=dict(frame.attrs)))
    coords.to_zarr(store, mode="w", zarr_format=_FORMAT, consolidated=False)
    group = zarr.open_group(store, mode="r+")
    for name, dims in frame.dims.items():
        dtype, shape = np.dtype(frame.dtypes[name]), frame.shape(name)
        chunks = tuple(min(frame.chunks.get(dim, size), size) for dim, size in zip(dims, shape, strict=True))
        array = group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=np.nan if dtype.kind == "f" else None,
            compressors=None,  # features are noise: packing them costs more time than it saves space
        )
        array.attrs["_ARRAY_DIMENSIONS"] = list(dims)


def _with_fixed_text(dataset: xr.Dataset) -> xr.Dataset:
    variables = {name: _fixed_length(values) for name, values in dataset.data_vars.items()}
    coords = {name: _fixed_length(values) for name, values in dataset.coords.items()}
    return dataset.assign(variables).assign_coords(coords)


def _fixed_length(array: xr.DataArray) -> xr.DataArray:
    if array.dtype.kind not in "OT":
        return array
    if not all(isinstance(value, str) for value in array.values.flat):
        raise DatasetError(
            f"{array.name!r} holds Python objects that are not text; a zarr store takes numbers, dates, flags and text."
        )
    return array.astype(object).astype(str)


def _described(array: xr.DataArray) -> list[str]:
    dims = " x ".join(map(str, array.dims))
    shape = " x ".join(map(str, array.shape))
    last = array.isel({array.dims[0]: slice(-250, None)}) if array.dims else array
    present = ""
    if array.dtype.kind == "f" and last.size:
        present = f"{float(np.isfinite(last.values).mean()):.1%} of the last {len(last)} rows"
    return [str(array.name), dims, shape, str(array.dtype), present]
