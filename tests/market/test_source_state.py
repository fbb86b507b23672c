"""A price file that changed is told from one that was touched."""

import os

import pytest

from gogooku_kedro.market.source_state import source_change, source_state


@pytest.fixture
def bars(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("date,code\n2024-01-04,7203\n")
    return path


def test_the_same_content_is_no_change(bars):
    state = source_state(bars)
    assert state["bytes"] == 26
    assert source_change(state, bars) is None
    os.utime(bars, (1e9, 1e9))  # touched
    assert source_change(state, bars) is None
    assert source_change(state, None) is None


def test_a_copy_elsewhere_is_no_change_and_another_file_is(bars, tmp_path):
    state, copy = source_state(bars), tmp_path / "copy.csv"
    copy.write_bytes(bars.read_bytes())
    assert source_change(state, copy) is None
    copy.write_text("date,code\n2024-01-04,6758\n")
    assert source_change(state, copy) == f"the panel was made of {bars}, not of {copy}"


def test_one_more_row_is_a_change(bars):
    state = source_state(bars)
    with bars.open("a") as file:
        file.write("2024-01-05,7203\n")
    for path in (bars, None):
        change = source_change(state, path)
        assert change.startswith(f"{bars} has changed since the panel was made of it (then 26 bytes of 20")
        assert ", now 42 bytes of 20" in change


def test_a_file_of_the_same_size_with_other_numbers_is_a_change(bars):
    state = source_state(bars)
    bars.write_text("date,code\n2024-01-04,6758\n")
    os.utime(bars, (1e9, 1e9))
    assert "has changed" in source_change(state, bars)


def test_a_new_file_of_a_folder_is_a_change_and_a_file_that_is_gone_is_named(bars):
    state = source_state(bars.parent)
    assert source_change(state, bars.parent) is None
    (bars.parent / "more.csv").write_text(bars.read_text())
    assert "has changed" in source_change(state, bars.parent)
    state = source_state(bars)
    bars.unlink()
    assert source_change(state, None) == f"{bars} is not there any more"
