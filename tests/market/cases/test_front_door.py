"""Files and tables as people have them, beyond those of `input_cases`."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.market import build_panel, market_from_bars, standardise_bars

from .input_cases import JAPANESE, text, wide
from .made_up import CODES, DAYS, bars


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


def test_a_download_of_one_stock_is_read(tmp_path):
    table = wide("field").loc[:, (slice(None), "1301.T")]
    table.to_csv(tmp_path / "bars.csv")
    panel = panel_of(tmp_path / "bars.csv")
    assert panel["code"].values.tolist() == ["13010"]
    assert panel["close"].values[:2, 0].tolist() == [1000.0, 1010.0]


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
