"""Files as people save them: read, or refused in one sentence that names the key to set."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.market import build_panel, market_from_bars, standardise_bars

from .made_up import CODES, DAYS, PRICES, bars

JAPANESE = dict(zip(bars().columns, ("日付", "銘柄コード", "始値", "高値", "安値", "終値", "出来高"), strict=True))


def load(path, **options):
    return OhlcvFileDataset(filepath=str(path), **options).load()


def panel_of(path, **options):
    return build_panel(standardise_bars(load(path, **options))[0])


def is_the_market(panel):
    """Closes of 1000, 1010, ... of the first code, 6000, 6010, ... of the last, and their volumes."""
    assert panel["code"].values.tolist() == [f"{code}0" for code in CODES]
    assert panel.indexes["date"].equals(pd.DatetimeIndex(DAYS, name="date").as_unit("ns"))
    assert panel["close"].values[:2, 0].tolist() == [1000.0, 1010.0]
    assert panel["close"].values[-1, -1] == np.float32(6090)
    assert (panel["volume"].values == 1000).all()
    return True


def text(table=None, sep=",", **options):
    return (bars() if table is None else table).to_csv(index=False, sep=sep, **options)


WIDE_DIGITS = str.maketrans("0123456789", "０１２３４５６７８９")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", text().encode()),
        ("cp932.csv", text(bars().rename(columns=JAPANESE)).encode("cp932")),
        ("euc.csv", text(bars().rename(columns=JAPANESE)).encode("euc_jp")),
        ("utf16.csv", text().encode("utf-16")),
        ("utf16_without_mark.txt", text().encode("utf-16-le")),
        ("mark.csv", text(bars().rename(columns=JAPANESE)).encode("utf-8-sig")),
        ("semicolon.csv", text(sep=";").encode()),
        ("tab.tsv", text(sep="\t").encode()),
        ("tab.txt", text(sep="\t").encode()),
        ("title.csv", ("Prices of the Tokyo market\n\n" + text()).encode()),
        ("total.csv", (text() + "合計,,,,,,60000\n").encode()),
        ("remark.csv", (text() + "Source: made up,,,,,,\n").encode()),
        ("trailing.csv", text().replace("\n", ",\n").encode()),
        ("trailing_rows.csv", text().replace("\n", ",\n").replace(",\n", "\n", 1).encode()),
        ("fullwidth.csv", text(bars().assign(Code=lambda t: t["Code"].str.translate(WIDE_DIGITS))).encode()),
        ("spaces.csv", text().replace(",", ", ").encode()),
        ("decimal_comma.csv", text(bars(), sep=";", decimal=",").encode()),
        ("era.csv", text(bars().assign(Date=pd.to_datetime(bars()["Date"]).dt.strftime("%Y年%m月%d日"))).encode()),
        ("slashes.csv", text(bars().assign(Date=pd.to_datetime(bars()["Date"]).dt.strftime("%Y/%m/%d(月)"))).encode()),
        ("index.csv", bars().to_csv().encode()),
        ("packed.csv.gz", gzip.compress(text().encode())),
        ("stooq.txt", text(bars().rename(columns=lambda c: f"<{c.upper()}>")).encode()),
        ("qlib.csv", text(bars().rename(columns={"Date": "datetime", "Code": "instrument"})).encode()),
        ("symbol.csv", text(bars().rename(columns={"Code": "Symbol"})).encode()),
        ("permno.csv", text(bars().rename(columns={"Code": "permno", "Close": "PRC", "Volume": "VOL"})).encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_is_read_in_the_dialect_it_has(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert is_the_market(panel_of(path))


def test_a_zip_holds_one_table(tmp_path):
    path = tmp_path / "bars.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("prices", text())
    assert is_the_market(panel_of(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", text())
    with pytest.raises(DatasetError, match=r"holds 2 files .* unpack it and name the folder"):
        load(path)


@pytest.mark.parametrize("dash", ["-", "--", "---", "－", "―", "−", "ー", "N/A", ""])
def test_a_dash_of_any_width_is_no_value(tmp_path, dash):
    table = bars().astype({name: object for name in [*PRICES, "Volume"]})
    table.loc[0, [*PRICES, "Volume"]] = dash
    path = tmp_path / "bars.csv"
    path.write_text(text(table), encoding="utf-8")
    panel = panel_of(path)
    assert np.isnan(panel["close"].values[0, 0])
    assert panel["close"].values[1, 0] == np.float32(1010)


def test_the_lines_below_a_table_are_named(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(text() + "Total,,,,,,60000\n", encoding="utf-8")
    report = standardise_bars(load(path))[1]
    assert "left out below the table: 'Total'" in report["notes"]
    assert report["rows_in"] == 60


def test_numbers_with_decimal_commas_are_read(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("Date;Code;Open;High;Low;Close;Volume\n2020-06-01;AAA;1.234,5;1.240;1.230,25;1.236,75;1000\n")
    row = standardise_bars(load(path))[0].iloc[0]
    assert row[["open", "high", "low", "close"]].tolist() == [1234.5, 1240.0, 1230.25, 1236.75]
    path.write_text("Date;Code;Open;High;Low;Close;Volume\n2020-06-01;AAA;1000,125;1001,125;1000,000;1000,500;1000\n")
    assert standardise_bars(load(path))[0].iloc[0]["open"] == 1000.125


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("Date;Code;Open;High;Low;Close;Volume\n2020-06-01;A;1,234;1,240;1,230;1,236;5\n", r"load_args: {decimal: "),
        ("Date,Code,Open,High,Low,Close,Volume\n2020-06-01,A,12,5,13,0,12,0,12,5,100\n", r"row 0 has 11 fields.*sep"),
        ("日付,1301,1338\n2020-06-01,1000,2000\n", r"one such file per field"),
        ("Date Code Open High Low Close Volume\n2020-06-01 A 1 1 1 1 5\n", r"one column.*load_args: {sep: "),
        ("Price,Close\n1,2\n", r"no column for date, code, open, high, low, volume; found \['Price', 'Close'\]"),
    ],
)
def test_what_is_unclear_is_refused_with_the_key_to_set(tmp_path, content, sentence):
    path = tmp_path / "bars.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=sentence):
        load(path)


def test_text_of_no_known_encoding_names_load_args(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_bytes(text().encode() + b"caf\xe9\xff\xff,\xff\n")
    with pytest.raises(DatasetError, match=r"load_args: {encoding: latin-1}"):
        load(path)


def test_load_args_hold_for_header_and_body(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_bytes(("a title\n" + text(bars().rename(columns=JAPANESE), sep="|")).encode("cp932"))
    assert is_the_market(panel_of(path, load_args={"sep": "|", "encoding": "cp932"}))
    assert is_the_market(panel_of(path, load_args={"sep": "|", "encoding": "cp932", "skiprows": 1}))


def test_any_recognised_column_can_be_left_out(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(text(bars().assign(Turnover=0.5, Sector="S1")), encoding="utf-8")
    raw = load(path, columns={"Turnover": None, "Sector": None})
    assert raw.attrs["unknown_columns"] == ["Turnover", "Sector"]
    assert standardise_bars(raw)[0]["sector"].unique().tolist() == ["n/a"]


def wide(order):
    table = bars().assign(Code=lambda t: t["Code"] + ".T").set_index(["Date", "Code"]).unstack("Code")
    table.columns = table.columns.set_names(["Price", "Ticker"])
    return table if order == "field" else table.swaplevel(axis=1).sort_index(axis=1)


@pytest.mark.parametrize("order", ["field", "code"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "joined.csv"])
def test_a_download_of_yfinance_is_read(tmp_path, order, kind):
    table, path = wide(order), tmp_path / f"bars.{kind}"
    if kind == "parquet":
        table.reset_index().to_parquet(path)
    elif kind == "csv":
        table.to_csv(path)
    else:
        table.columns = ["_".join(pair) for pair in table.columns]
        table.to_csv(path)
    assert is_the_market(panel_of(path))


def test_a_download_of_one_stock_is_read(tmp_path):
    table = wide("field").loc[:, (slice(None), "1301.T")]
    table.to_csv(tmp_path / "bars.csv")
    panel = panel_of(tmp_path / "bars.csv")
    assert panel["code"].values.tolist() == ["13010"]
    assert panel["close"].values[:2, 0].tolist() == [1000.0, 1010.0]


def test_a_ticker_may_be_spelt_as_a_field_is(tmp_path):
    codes = ("V", "C", "AAPL", "MSFT", "NKE", "DIS")
    table = bars(codes).set_index(["Date", "Code"]).unstack("Code")
    table.columns = table.columns.set_names(["Price", "Ticker"])
    table.to_csv(tmp_path / "bars.csv")
    panel = panel_of(tmp_path / "bars.csv")
    assert panel["code"].values.tolist() == sorted(codes)
    assert panel["close"].sel(code="V").values[0] == 1000


@pytest.mark.parametrize("table", [bars(), bars().set_index(["Date", "Code"]), wide("field"), wide("code")])
def test_a_table_in_memory_is_a_market(table, caplog):
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        panel, report = market_from_bars(table)
    assert "60 rows in, 60 out" in caplog.text
    assert is_the_market(panel)
    assert report["rows_out"] == 60


def test_one_file_per_code_is_a_folder_or_a_glob(tmp_path):
    for code, table in bars().groupby("Code"):
        table.drop(columns="Code").to_csv(tmp_path / f"{code}.T.csv", index=False)
    assert is_the_market(panel_of(tmp_path))
    assert is_the_market(panel_of(tmp_path / "*.csv"))
    assert OhlcvFileDataset(filepath=str(tmp_path / "*.csv")).exists()


def test_one_table_per_field_is_a_folder(tmp_path):
    for name in (*PRICES, "Volume"):
        bars().pivot(index="Date", columns="Code", values=name).to_csv(tmp_path / f"{name.lower()}.csv")
    assert is_the_market(panel_of(tmp_path))
    (tmp_path / "low.csv").unlink()
    with pytest.raises(DatasetError, match=r"but none of \['low'\]"):
        load(tmp_path)
