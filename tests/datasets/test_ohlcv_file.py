import gzip

import pandas as pd
import pytest
from kedro.io import DatasetError

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.market import standardise_bars
from gogooku_kedro.market.source_state import source_state

CSV = """Date,Code,Open,High,Low,Close,Adj Close,Volume,Note
2024-01-04,0700,"1,000","1,100",900,"1,050",525,10,x
2024-01-05,0700,-,-,-,-,,,y
"""


@pytest.fixture
def bars_csv(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def test_a_csv_with_text_numbers_becomes_daily_bars(bars_csv):
    raw = OhlcvFileDataset(filepath=str(bars_csv)).load()
    assert raw["code"].tolist() == ["0700", "0700"]  # leading zeros survive
    assert raw.attrs == {
        "source": str(bars_csv),
        "unknown_columns": ["Note"],
        "source_state": source_state(bars_csv),
    }
    bars, report = standardise_bars(raw)
    assert bars["close"].iloc[0] == 1050
    assert bars["close"].isna().tolist() == [False, True]
    assert report["source"] == str(bars_csv)
    assert report["source_state"] == source_state(bars_csv)
    assert report["unknown_columns"] == ["Note"]


def test_gzip_byte_order_mark_and_other_encodings_are_read(tmp_path, bars_csv):
    packed = tmp_path / "bars.csv.gz"
    packed.write_bytes(gzip.compress(CSV.encode("utf-8-sig")))
    plain = OhlcvFileDataset(filepath=str(bars_csv)).load()
    pd.testing.assert_frame_equal(OhlcvFileDataset(filepath=str(packed)).load(), plain)

    japanese = tmp_path / "kabu.csv"
    header = "日付,銘柄コード,始値,高値,安値,終値,出来高\n2024/1/4,7203,1,2,1,2,5\n"
    japanese.write_text(header, encoding="cp932")
    loaded = OhlcvFileDataset(filepath=str(japanese), load_args={"encoding": "cp932"}).load()
    assert list(loaded) == ["date", "code", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(OhlcvFileDataset(filepath=str(japanese)).load(), loaded)  # cp932 is recognised
    with pytest.raises(DatasetError, match=r"kabu.csv"):
        OhlcvFileDataset(filepath=str(japanese), load_args={"encoding": "utf-8"}).load()


def test_parquet_reads_only_what_is_used_and_keeps_its_index_columns(tmp_path):
    path = tmp_path / "bars.parquet"
    frame = pd.DataFrame(
        {"Date": pd.to_datetime(["2024-01-04"]), "Code": [7203], "Junk": [1]}
        | {name: [1.0] for name in ("O", "H", "L", "C", "Vo")}
    )
    frame.set_index(["Date", "Code"]).to_parquet(path)
    raw = OhlcvFileDataset(filepath=str(path)).load()
    assert "Junk" not in raw
    assert standardise_bars(raw)[0]["code"].tolist() == ["72030"]


def test_an_index_without_a_name_is_no_column_of_the_users(tmp_path):
    path = tmp_path / "bars.parquet"
    frame = pd.DataFrame({"Date": ["2024-01-04"], "Code": ["7203"], "Junk": [1]}, index=[17])
    frame = frame.assign(**{name: [1.0] for name in ("O", "H", "L", "C", "Vo")})
    frame.to_parquet(path)
    frame.to_csv(path.with_suffix(".csv"))
    for file in (path, path.with_suffix(".csv")):
        assert OhlcvFileDataset(filepath=str(file)).load().attrs["unknown_columns"] == ["Junk"]
    frame.set_index("Date").rename_axis(None).to_parquet(path)  # the map may still name it
    raw = OhlcvFileDataset(filepath=str(path), columns={"__index_level_0__": "date"}).load()
    assert raw["date"].tolist() == ["2024-01-04"]


def test_the_catalog_map_names_what_is_not_recognised(tmp_path, bars_csv):
    path = tmp_path / "de.csv"
    path.write_text(CSV.replace(",Close,", ",Schlusskurs,"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"de.csv: no column for close; found .*columns: {"):
        OhlcvFileDataset(filepath=str(path)).load()
    mapped = OhlcvFileDataset(filepath=str(path), columns={"Schlusskurs": "close"}).load()
    pd.testing.assert_frame_equal(mapped, OhlcvFileDataset(filepath=str(bars_csv)).load())


def test_ambiguous_columns_are_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text(CSV.replace("Note", "close"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"'Close', 'close'\] all mean 'close'"):
        OhlcvFileDataset(filepath=str(path)).load()
    path.write_text(CSV.replace("Note", "Close"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"header has \['Close'\] more than once"):
        OhlcvFileDataset(filepath=str(path)).load()


@pytest.mark.parametrize("filepath", [None, "", "folder"])
def test_an_empty_path_says_how_to_name_the_file(tmp_path, filepath):
    # Kedro turns an empty relative path into the project folder
    dataset = OhlcvFileDataset(filepath=str(tmp_path) if filepath == "folder" else filepath)
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"--params ohlcv_path=FILE"):
        dataset.load()


def test_absent_foreign_and_broken_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"none.csv does not exist.*ohlcv_path=FILE"):
        OhlcvFileDataset(filepath=str(tmp_path / "none.csv")).load()
    sheet = tmp_path / "bars.xlsx"
    sheet.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"neither Parquet nor CSV"):
        OhlcvFileDataset(filepath=str(sheet)).load()
    broken = tmp_path / "bars.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match=r"bars.parquet"):
        OhlcvFileDataset(filepath=str(broken)).load()
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(DatasetError, match=r"empty.csv: no column for date"):
        OhlcvFileDataset(filepath=str(empty)).load()


def test_the_users_file_is_never_written(bars_csv):
    dataset = OhlcvFileDataset(filepath=str(bars_csv))
    with pytest.raises(DatasetError, match=r"never written"):
        dataset.save(pd.DataFrame())
    assert bars_csv.read_text(encoding="utf-8") == CSV


def test_the_catalog_makes_it_from_its_entry(bars_csv):
    from kedro.io import DataCatalog

    entry = {"type": "gogooku_kedro.datasets.OhlcvFileDataset", "filepath": str(bars_csv)}
    catalog = DataCatalog.from_config({"raw_bars": entry})
    assert len(catalog.load("raw_bars")) == 2
