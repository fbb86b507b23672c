"""The sample market as a catalog entry."""

import json

import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError

from gogooku_kedro.datasets import sample_market
from gogooku_kedro.datasets.sample_market import SampleMarketDataset
from gogooku_kedro.sample_market import TABLES

SMALL = {"n_codes": 24, "start": "2019-01-04", "end": "2019-07-31", "replicates": 2}


def dataset(folder, table="bars", **settings):
    return SampleMarketDataset(table=table, filepath=str(folder), **SMALL | settings)


@pytest.fixture
def generations(monkeypatch):
    """Settings of every generation that the test caused."""
    made = []
    generate = sample_market.generate_sample_market
    monkeypatch.setattr(sample_market, "generate_sample_market", lambda s: made.append(s) or generate(s))
    return made


def test_entries_of_one_folder_share_one_generation(tmp_path, generations):
    for table in TABLES:
        assert not dataset(tmp_path, table).load().empty
    assert len(generations) == 1
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.parquet" for name in TABLES} | {"settings.json"}
    assert json.loads((tmp_path / "settings.json").read_text())["settings"]["n_codes"] == 24


def test_other_settings_replace_the_tables(tmp_path, generations):
    first = dataset(tmp_path).load()
    other = dataset(tmp_path, seed=5).load()
    again = dataset(tmp_path).load()
    assert len(generations) == 3
    assert not first.equals(other)
    pd.testing.assert_frame_equal(first, again)


def test_a_market_whose_settings_are_cut_off_is_generated_again_and_a_changed_table_is_refused(tmp_path, generations):
    first = dataset(tmp_path).load()
    (tmp_path / "settings.json").write_text('{"hash": ')
    pd.testing.assert_frame_equal(dataset(tmp_path).load(), first)
    assert len(generations) == 2
    content = bytearray((tmp_path / "bars.parquet").read_bytes())
    content[len(content) // 2] ^= 8
    (tmp_path / "bars.parquet").write_bytes(bytes(content))
    with pytest.raises(DatasetError, match=r"bars.parquet is damaged \(.*\); remove .* to generate the market again"):
        dataset(tmp_path).load()


def test_an_unfinished_market_is_generated_again(tmp_path, generations):
    dataset(tmp_path).load()
    (tmp_path / "settings.json").unlink()
    dataset(tmp_path).load()
    (tmp_path / "peers.parquet").unlink()
    dataset(tmp_path).load()
    assert len(generations) == 3


def test_a_frame_names_its_source_and_keeps_its_types(tmp_path):
    bars = dataset(tmp_path).load()
    assert bars.attrs["source"].endswith("bars.parquet")
    assert bars["Date"].dtype == "datetime64[ns]"
    assert bars["UL"].isin(["0", "1"]).all()


def test_the_catalog_can_name_it(tmp_path):
    catalog = DataCatalog.from_config(
        {
            "peers": {
                "type": "gogooku_kedro.datasets.sample_market.SampleMarketDataset",
                "table": "peers",
                "filepath": str(tmp_path),
                "metadata": {"kedro-viz": {"layer": "raw"}},
                **SMALL,
            }
        }
    )
    assert catalog.load("peers").columns.tolist() == ["source", "target", "weight"]
    assert catalog.exists("peers")


def test_preview_shows_rows_without_generating(tmp_path, generations):
    assert dataset(tmp_path).preview()["data"] == []
    assert generations == []
    dataset(tmp_path).load()
    preview = dataset(tmp_path).preview(nrows=3)
    assert len(preview["data"]) == 3
    assert preview["columns"][:2] == ["Date", "Code"]


def test_saving_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="generated from its settings and cannot be saved"):
        dataset(tmp_path).save(pd.DataFrame())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"table": "prices"}, "table='prices' is unknown: choose one of bars, listed_issues"),
        ({"n_codes": 8}, "n_codes=8: the peer clusters of 6 to 8 stocks"),
        ({"end": "2018-01-01"}, "end=2018-01-01 lies before start=2019-01-04"),
        ({"signal_strength": -1}, "signal_strength: Input should be greater than or equal to 0"),
    ],
)
def test_bad_arguments_are_named(tmp_path, wrong, message):
    with pytest.raises(DatasetError, match=message):
        dataset(tmp_path, **wrong).load()
    assert not list(tmp_path.iterdir())
