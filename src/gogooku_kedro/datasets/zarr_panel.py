"""Panels on disk: an xarray Dataset as a zarr store that is replaced as a whole."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

_FORMAT = 2  # has text of fixed length in its specification; version 3 has not, and warns


class ZarrDataset(AbstractDataset[xr.Dataset, xr.Dataset]):
    """Stores an xarray Dataset; dtypes, text coordinates and attributes come back as they were.

    A save writes beside the old store and then swaps the two, so a reader never meets half a panel
    and a failed save keeps the old one. Text comes back as fixed-length unicode.

    Args:
        filepath: Folder of the store, by convention ending in `.zarr`.
        chunks: None loads into memory; a mapping such as {date: 250} or "auto" opens the store
            lazily with dask.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        panel:
          type: gogooku_kedro.datasets.ZarrDataset
          filepath: data/03_primary/panel.zarr
    """

    def __init__(
        self,
        *,
        filepath: str,
        chunks: dict[str, int] | str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._chunks = chunks
        self.metadata = metadata

    def load(self) -> xr.Dataset:
        """Return the stored Dataset.

        Raises:
            DatasetError: The store is not there.
        """
        if not self._exists():
            raise DatasetError(f"{self._filepath} does not exist; run the stage that writes it first.")
        chunks: Any = self._chunks
        panel: xr.Dataset = xr.open_zarr(self._filepath, chunks=chunks)
        panel = panel.map(_fixed_length, keep_attrs=True).drop_encoding()
        panel = panel.assign_coords({name: _fixed_length(c) for name, c in panel.coords.items()})
        return panel if chunks is not None else panel.load()

    def save(self, data: xr.Dataset) -> None:
        """Replace the store by `data`.

        Raises:
            DatasetError: `data` is no xarray Dataset.
        """
        if not isinstance(data, xr.Dataset):
            raise DatasetError(f"{self._filepath} stores an xarray.Dataset, not {type(data).__name__}.")
        data = data.drop_encoding().map(_fixed_length, keep_attrs=True)
        data = data.assign_coords({name: _fixed_length(c) for name, c in data.coords.items()})
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._beside("new")
        try:
            data.to_zarr(fresh, mode="w", zarr_format=_FORMAT, consolidated=True)
            self._swap(fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def preview(self, nrows: int = 40) -> TablePreview:
        """Return name, dimensions, dtype, size and filled share of each variable for kedro-viz.

        Args:
            nrows: Largest number of variables shown.
        """
        panel = xr.open_zarr(self._filepath, chunks=None)
        names = [*panel.coords, *panel.data_vars][:nrows]
        rows = [_described(panel[name]) for name in names]
        columns = ["variable", "dimensions", "shape", "dtype", "present"]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})

    def _swap(self, fresh: Path) -> None:
        old = self._beside("old")
        if self._filepath.exists():
            os.replace(self._filepath, old)
        os.replace(fresh, self._filepath)
        shutil.rmtree(old, ignore_errors=True)

    def _beside(self, role: str) -> Path:
        return self._filepath.with_name(f".{self._filepath.name}.{role}-{os.getpid()}")

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "chunks": self._chunks}


def _fixed_length(array: xr.DataArray) -> xr.DataArray:
    if array.dtype.kind not in "OT":
        return array
    if not all(isinstance(value, str) for value in array.values.flat):
        raise DatasetError(
            f"{array.name!r} holds Python objects that are not text; a zarr store takes numbers, "
            "dates, flags and text."
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
