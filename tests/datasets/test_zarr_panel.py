import inspect
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from kedro.framework.project import configure_project
from kedro.io import DatasetError

from gogooku_kedro.datasets import ZarrDataset
from gogooku_kedro.market.blocks import PanelBlock, PanelFrame, assemble


def small_panel(value=1.0, text=str):
    return xr.Dataset(
        {
            "ret": (("date", "code"), np.array([[value, np.nan], [0, 2]], dtype=np.float32)),
            "traded": (("date", "code"), np.array([[True, False], [True, True]])),
            "count": ("date", np.array([1, 2], dtype=np.int16)),
        },
        coords={
            "date": pd.DatetimeIndex(["2024-01-04", "2024-01-05"]).as_unit("ns"),
            "code": np.array(["72030", "130A0"], dtype=text),
            "sector": ("code", np.array(["輸送用機器", "n/a"], dtype=text)),
        },
        attrs={"max_move": 0.5},
    )


@pytest.fixture
def store(tmp_path):
    return ZarrDataset(filepath=str(tmp_path / "deep" / "panel.zarr"))


@pytest.mark.parametrize("text", [str, object, np.dtypes.StringDType()])
def test_a_panel_comes_back_as_it_was_without_a_warning(store, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.save(small_panel(text=text))
        loaded = store.load()
    xr.testing.assert_identical(loaded, small_panel())
    for name, variable in small_panel().variables.items():
        assert loaded[name].dtype == variable.dtype


def test_saving_replaces_the_store_and_leaves_nothing_beside_it(store, tmp_path):
    store.save(small_panel())
    store.save(small_panel(5.0).isel(code=[0]).drop_vars("count"))
    loaded = store.load()
    assert float(loaded["ret"][0, 0]) == 5
    assert dict(loaded.sizes) == {"date": 2, "code": 1}
    assert "count" not in loaded
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"panel.zarr", ".panel.zarr.seal.json"}


def test_a_failed_save_keeps_the_old_panel(store, tmp_path):
    store.save(small_panel())
    with pytest.raises(DatasetError, match=r"'bad' holds Python objects"):
        store.save(small_panel(5.0).assign(bad=("date", np.array([{1}, {2}], dtype=object))))
    with pytest.raises(DatasetError, match=r"Invalid attribute"):
        store.save(small_panel(5.0).assign_attrs(not_json=object()))
    xr.testing.assert_identical(store.load(), small_panel())
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"panel.zarr", ".panel.zarr.seal.json"}


def test_a_loaded_panel_can_be_saved_over_itself(store):
    store.save(small_panel())
    store.save(store.load())
    xr.testing.assert_identical(store.load(), small_panel())


def test_a_lazy_store_reads_what_is_asked_for(store, tmp_path):
    store.save(small_panel())
    lazy = ZarrDataset(filepath=str(tmp_path / "deep" / "panel.zarr"), lazy=True).load()
    assert not lazy["ret"].variable._in_memory
    xr.testing.assert_identical(lazy.isel(date=[1]).compute(), small_panel().isel(date=[1]))
    assert not lazy["ret"].variable._in_memory


def blocks(value=1.0):
    """`small_panel` in three blocks: two of dates, and one of codes for a variable of its own."""
    whole = small_panel(value).assign(own=small_panel(value)["ret"] * 2)
    coords = {name: whole[name].reset_coords(drop=True) for name in ("date", "code")}
    dims = {str(name): tuple(map(str, whole[name].dims)) for name in whole.data_vars}
    dtypes = {str(name): whole[name].dtype for name in whole.data_vars}
    frame = PanelFrame(coords, dims, dtypes, whole.attrs, {"date": 1, "code": 2})
    by_date = ("ret", "traded", "count")
    for number, rows in enumerate((slice(0, 1), slice(1, 2))):
        values = {name: whole[name].values[rows] for name in by_date}
        yield PanelBlock(frame, values, rows, slice(0, 2), number, 3)
    yield PanelBlock(frame, {"own": whole["own"].values}, slice(0, 2), slice(0, 2), 2, 3)


def test_blocks_add_up_to_the_panel_that_assembling_them_gives(store, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks():
            store.save(block)
    xr.testing.assert_identical(store.load(), assemble(blocks()))
    assert store.load()["traded"].dtype == bool
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"panel.zarr", ".panel.zarr.seal.json"}


def test_the_old_panel_stays_until_the_last_block(store, tmp_path):
    store.save(small_panel())
    first, second, _ = blocks(5.0)
    store.save(first)
    store.save(second)
    xr.testing.assert_identical(store.load(), small_panel())
    for block in blocks(7.0):  # the run before broke off: its remains go
        store.save(block)
    assert float(store.load()["ret"][0, 0]) == 7
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"panel.zarr", ".panel.zarr.seal.json"}


def pieces(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".checksums.json")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("save", ["whole", "blocks"])
def test_every_piece_that_is_missing_changed_or_cut_off_is_refused(tmp_path, lazy, save):
    configure_project("gogooku_kedro")
    folder = tmp_path / "panel.zarr"
    store = ZarrDataset(filepath=str(folder), lazy=lazy)
    for each in [small_panel()] if save == "whole" else blocks():
        store.save(each)
    whole = store.load().compute()
    of_the_store = [path for path in pieces(folder) if path.name not in {".zgroup", ".zattrs", ".zarray"}]
    assert len(of_the_store) >= 6  # the metadata of all in one, two coordinates, three variables
    for piece in of_the_store:
        content = piece.read_bytes()
        for damaged in (None, content[:-1], bytes([content[0] ^ 4]) + content[1:], b""):
            piece.unlink() if damaged is None else piece.write_bytes(damaged)
            with pytest.raises(DatasetError, match=r"panel.zarr is damaged \(piece .*\); .*=ingestion$"):
                store.load().compute()
        piece.write_bytes(content)
    xr.testing.assert_identical(store.load().compute(), whole)


def test_a_lazy_store_with_a_damaged_piece_gives_the_others(tmp_path):
    folder = tmp_path / "panel.zarr"
    store = ZarrDataset(filepath=str(folder), lazy=True)
    for block in blocks():
        store.save(block)
    lazy = store.load()
    (folder / "ret" / "1.0").unlink()
    first_session = {"date": [0]}
    xr.testing.assert_identical(
        lazy[["ret"]].isel(first_session).compute(), assemble(blocks())[["ret"]].isel(first_session)
    )
    with pytest.raises(DatasetError, match=r"piece ret/1.0 is missing"):
        lazy["ret"].compute()


def test_checksums_that_are_missing_damaged_or_of_another_store_are_refused(store, tmp_path):
    store.save(small_panel())
    folder = tmp_path / "deep" / "panel.zarr"
    other = folder.rename(folder.with_name("labels.zarr"))
    with pytest.raises(DatasetError, match=r"labels.zarr is damaged \(it was written as panel.zarr\)"):
        ZarrDataset(filepath=str(other)).load()
    folder = other.rename(folder)
    exchanged = ZarrDataset(filepath=str(tmp_path / "panel.zarr"))
    exchanged.save(small_panel(5.0))
    shutil.copy(tmp_path / "panel.zarr/.checksums.json", folder / ".checksums.json")
    with pytest.raises(DatasetError, match=r"panel.zarr is damaged \(it is not as it was written\)"):
        store.load()
    (folder / ".checksums.json").write_text("{")
    with pytest.raises(DatasetError, match="its checksums cannot be read"):
        store.load()
    (folder / ".checksums.json").unlink()
    with pytest.raises(DatasetError, match="it has no checksums"):
        store.load()


def test_an_absent_store_and_another_type_are_refused(store):
    configure_project("gogooku_kedro")
    assert not store.exists()
    with pytest.raises(DatasetError, match=r"panel.zarr does not exist; .* kedro run --pipelines=ingestion$"):
        store.load()
    with pytest.raises(DatasetError, match=r"stores an xarray.Dataset, not DataFrame"):
        store.save(pd.DataFrame())


def test_the_preview_is_a_table_of_the_variables(store):
    store.save(small_panel())
    table = store.preview()
    rows = {row[0]: row[1:] for row in table["data"]}
    assert rows["ret"] == ["date x code", "2 x 2", "float32", "75.0% of the last 2 rows"]
    assert rows["traded"] == ["date x code", "2 x 2", "bool", ""]
    assert len(table["columns"]) == 5
    assert len(store.preview(nrows=2)["data"]) == len(table["index"][:2])
    assert inspect.signature(store.preview).return_annotation.__name__ == "TablePreview"
