import pandas as pd
import pytest
from kedro.io import DatasetError

from gogooku_kedro.datasets import EmptyTableDataset


def test_an_absent_table_has_its_columns_and_no_rows():
    table = EmptyTableDataset(columns=["Date", "Code", "C"]).load()
    assert list(table.columns) == ["Date", "Code", "C"]
    assert table.empty


def test_dtypes_may_be_written():
    table = EmptyTableDataset(columns={"Date": "datetime64[ns]", "C": "float64"}).load()
    assert table.dtypes.astype(str).to_dict() == {"Date": "datetime64[ns]", "C": "float64"}


def test_it_exists_and_cannot_store_rows():
    dataset = EmptyTableDataset(columns=["Date"])
    assert dataset.exists()
    with pytest.raises(DatasetError, match=r"absent table and cannot store 1 rows.*ParquetDataset"):
        dataset.save(pd.DataFrame({"Date": ["2024-01-04"]}))
