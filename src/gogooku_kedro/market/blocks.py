"""Panels and tables in blocks: what is too large to be whole in memory is made, sent and stored part by part."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr


@dataclass(frozen=True)
class PanelFrame:
    """The whole that blocks are parts of.

    Attributes:
        coords: Coordinates of the whole panel, `date` and `code` among them.
        dims: Dimensions of every variable.
        dtypes: Type of every variable.
        attrs: Attributes of the whole.
        chunks: Size along a dimension of the pieces that a store keeps.
    """

    coords: Mapping[str, xr.DataArray]
    dims: Mapping[str, tuple[str, ...]]
    dtypes: Mapping[str, npt.DTypeLike]
    attrs: Mapping[str, object]
    chunks: Mapping[str, int]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a variable of the whole."""
        return tuple(self.coords[dim].size for dim in self.dims[name])

    def empty(self, name: str) -> npt.NDArray[np.generic]:
        """Return the variable without any block: NaN, or False."""
        dtype = np.dtype(self.dtypes[name])
        return np.full(self.shape(name), np.nan if dtype.kind == "f" else 0, dtype)


@dataclass(frozen=True)
class PanelBlock:
    """Some variables of a panel on a range of its dates and codes.

    Attributes:
        frame: What the block is a part of.
        values: Array of each variable, without the rows outside the block.
        dates: Rows along `date`.
        codes: Rows along `code`; ignored by variables without that dimension.
        number: 0, 1, … in the order of storing.
        count: Number of blocks.
    """

    frame: PanelFrame
    values: Mapping[str, npt.NDArray[np.generic]]
    dates: slice
    codes: slice
    number: int
    count: int

    def region(self, name: str) -> tuple[slice, ...]:
        """Return where the variable's values belong in the whole."""
        rows = {"date": self.dates, "code": self.codes}
        return tuple(rows.get(dim, slice(None)) for dim in self.frame.dims[name])


@dataclass(frozen=True)
class TableBlock:
    """Some rows of a long table, all of whose blocks have the same columns.

    Attributes:
        rows: The rows.
        number: 0, 1, … in the order of storing.
        last: Whether the table ends with it.
    """

    rows: pd.DataFrame
    number: int
    last: bool


def table_blocks(frames: Iterable[pd.DataFrame]) -> Iterator[TableBlock]:
    """Number the frames of a table; each waits for the next one, to know whether it is the last."""
    waiting: pd.DataFrame | None = None
    number = 0
    for frame in frames:
        if waiting is not None:
            yield TableBlock(waiting, number, last=False)
            number += 1
        waiting = frame
    if waiting is not None:
        yield TableBlock(waiting, number, last=True)


def assemble(blocks: Iterable[PanelBlock]) -> xr.Dataset:
    """Put the blocks of one panel together in memory.

    Raises:
        ValueError: There is no block.
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    frame: PanelFrame | None = None
    for block in blocks:
        frame = block.frame
        for name, values in block.values.items():
            if name not in arrays:
                arrays[name] = frame.empty(name)
            arrays[name][block.region(name)] = values
    if frame is None:
        raise ValueError("no block to assemble: give at least one")
    variables = {name: (frame.dims[name], arrays[name]) for name in frame.dims if name in arrays}
    return xr.Dataset(variables, coords=dict(frame.coords), attrs=dict(frame.attrs))
