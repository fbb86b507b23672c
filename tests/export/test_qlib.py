"""The folder that Qlib reads, read back by its documented layout.

pyqlib itself has no build for every Python that is supported, so it is no dependency of the tests.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.columns import SCORES
from gogooku_kedro.export import qlib, write_qlib

FIELDS = {"open", "high", "low", "close", "volume", "factor", "change", "amount", *SCORES}


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """Fields of every instrument on the calendar, from the documentation alone: qlib/scripts/dump_bin.py."""
    calendar = pd.DatetimeIndex((folder / "calendars/day.txt").read_text().split()).as_unit("ns")
    spans = [line.split("\t") for line in (folder / "instruments/all.txt").read_text().splitlines()]
    found = {}
    for code, first, last in spans:
        series = {}
        for file in (folder / "features" / code.lower()).glob("*.day.bin"):
            start, *values = np.fromfile(file, dtype="<f")
            days = calendar[int(start) : int(start) + len(values)]
            assert (days[0], days[-1]) == (pd.Timestamp(first), pd.Timestamp(last))
            series[file.name.removesuffix(".day.bin")] = pd.Series(values, index=days)
        found[code] = pd.DataFrame(series)
    return found


@pytest.fixture(scope="module")
def exported(panel, predictions, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "deep" / "qlib"
    size = write_qlib(folder, panel, predictions)
    assert size == {"sessions": panel.sizes["date"], "codes": panel.sizes["code"], "fields": len(FIELDS)}
    return folder


def test_every_stock_has_every_field_from_its_first_to_its_last_row(exported: Path, panel: xr.Dataset):
    found = read(exported)
    assert list(found) == list(panel["code"].values)
    listed = panel["listed"].to_pandas()
    assert {len(frame) for frame in found.values()} != {len(listed)}  # a stock is listed late
    for code, frame in found.items():
        assert set(frame) == FIELDS
        days = listed.index[listed[code]]
        assert (frame.index[0], frame.index[-1]) == (days[0], days[-1])


def test_prices_are_adjusted_and_the_factor_gives_back_what_was_traded(exported: Path, panel: xr.Dataset):
    assert float((panel["close"] / panel["adj_close"]).std("date").max()) > 1  # there is a split
    for code, frame in read(exported).items():
        own = panel.sel(code=code, date=frame.index).to_pandas()
        np.testing.assert_array_equal(frame["close"], own["adj_close"])
        np.testing.assert_allclose(frame["close"] / frame["factor"], own["close"], rtol=1e-6)
        np.testing.assert_allclose(frame["open"] / frame["factor"], own["open"], rtol=1e-6)
        np.testing.assert_allclose(frame["volume"] * frame["close"], own["volume"] * own["close"], rtol=1e-6)
        np.testing.assert_array_equal(frame["change"], own["ret_1d"])
        np.testing.assert_array_equal(frame["amount"], own["turnover_value"].astype(np.float32))
        assert frame["close"].isna().equals(~own["traded"].astype(bool))


def test_a_score_stands_on_its_session_and_nowhere_else(exported: Path, predictions: pd.DataFrame):
    found = pd.concat(read(exported), names=["code", "date"])[list(SCORES)].dropna().swaplevel().sort_index()
    given = predictions.set_index(["date", "code"])[list(SCORES)].astype(np.float32).sort_index()
    pd.testing.assert_frame_equal(found, given)


def test_a_folder_that_holds_something_is_left_as_it_is(panel, predictions, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty; name a folder that is not there yet"):
        write_qlib(tmp_path, panel, predictions)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_disk_that_is_full_leaves_nothing(panel, predictions, tmp_path, monkeypatch):
    def full(folder, *_):
        (folder / "calendars").mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(qlib, "_write", full)
    with pytest.raises(OSError, match="No space"):
        write_qlib(tmp_path / "qlib", panel, predictions)
    assert list(tmp_path.iterdir()) == []


def renamed(panel: xr.Dataset, *codes: str) -> xr.Dataset:
    few = panel.isel(code=slice(len(codes)), date=slice(40))
    return few.assign_coords(code=list(codes))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (("ab", "AB"), "differ in case alone"),
        (("a/b", "c"), "no names of folders"),
        (("n/a", "c"), "no names of folders"),
    ],
)
def test_codes_that_qlib_cannot_hold_are_refused(panel, predictions, tmp_path, codes, message):
    with pytest.raises(ValueError, match=message):
        write_qlib(tmp_path / "qlib", renamed(panel, *codes), predictions)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_windows_forbids_has_the_prefix_of_qlib(panel, predictions, tmp_path):
    write_qlib(tmp_path / "qlib", renamed(panel, "con", "BRK.B"), predictions)
    assert {path.name for path in (tmp_path / "qlib/features").iterdir()} == {"_qlib_con", "brk.b"}
