"""Custom Kedro datasets, imported on first use so that listing pipelines stays fast."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gogooku_kedro.datasets.empty_table import EmptyTableDataset
    from gogooku_kedro.datasets.ensemble import EnsembleDataset
    from gogooku_kedro.datasets.files import (
        CSVDataset,
        FigureDataset,
        JSONDataset,
        KeyResultsDataset,
        ParquetDataset,
        StudyDataset,
        TextDataset,
    )
    from gogooku_kedro.datasets.jquants import JQuantsStoreDataset, JQuantsTableDataset
    from gogooku_kedro.datasets.ohlcv_file import OhlcvFileDataset
    from gogooku_kedro.datasets.optional import OptionalDataset
    from gogooku_kedro.datasets.parquet_blocks import ParquetBlocksDataset
    from gogooku_kedro.datasets.sample_market import SampleMarketDataset
    from gogooku_kedro.datasets.zarr_panel import ZarrDataset

__all__ = [
    "CSVDataset",
    "EmptyTableDataset",
    "EnsembleDataset",
    "FigureDataset",
    "JQuantsStoreDataset",
    "JQuantsTableDataset",
    "JSONDataset",
    "KeyResultsDataset",
    "OhlcvFileDataset",
    "OptionalDataset",
    "ParquetBlocksDataset",
    "ParquetDataset",
    "SampleMarketDataset",
    "StudyDataset",
    "TextDataset",
    "ZarrDataset",
]

_MODULES = {
    "CSVDataset": "files",
    "EmptyTableDataset": "empty_table",
    "EnsembleDataset": "ensemble",
    "FigureDataset": "files",
    "JQuantsStoreDataset": "jquants",
    "JQuantsTableDataset": "jquants",
    "JSONDataset": "files",
    "KeyResultsDataset": "files",
    "OhlcvFileDataset": "ohlcv_file",
    "OptionalDataset": "optional",
    "ParquetBlocksDataset": "parquet_blocks",
    "ParquetDataset": "files",
    "SampleMarketDataset": "sample_market",
    "StudyDataset": "files",
    "TextDataset": "files",
    "ZarrDataset": "zarr_panel",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
