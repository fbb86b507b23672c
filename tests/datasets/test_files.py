"""Files that are damaged in every way are refused, with the command that makes them anew."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog, DatasetError

from gogooku_kedro import datasets
from gogooku_kedro.datasets import KeyResultsDataset, ParquetDataset, TextDataset
from gogooku_kedro.datasets.integrity import stored_problems
from tests.conftest import ENVIRONMENTS, entries_of


@pytest.fixture(autouse=True)
def _project():
    configure_project("gogooku_kedro")


@pytest.fixture
def table():
    return pd.DataFrame({"code": [f"{n:04d}0" for n in range(1_000)], "score": np.linspace(-1, 1, 1_000)})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "deep" / "predictions.parquet"


@pytest.fixture
def stored(file, table):
    dataset = ParquetDataset(filepath=str(file))
    dataset.save(table)
    return dataset


def flip(file, byte, bit=0):
    content = bytearray(file.read_bytes())
    content[byte] ^= 1 << bit
    file.write_bytes(bytes(content))


def test_a_table_comes_back_as_it_was(stored, table):
    pd.testing.assert_frame_equal(stored.load(), table)


def test_a_bit_of_a_page_that_changed_is_refused_with_the_command_that_writes_the_table(stored, file, table):
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    middle = column.dictionary_page_offset + column.total_compressed_size // 2
    flip(file, middle)
    with pytest.raises(DatasetError) as refused:
        stored.load()
    sentence = str(refused.value)
    assert sentence.startswith(f"{file} is damaged (")
    assert sentence.endswith("kedro run --pipelines=training")
    assert "\n" not in sentence
    flip(file, middle)
    pd.testing.assert_frame_equal(stored.load(), table)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_table_that_is_cut_off_is_refused(stored, file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match=r"predictions.parquet is damaged \("):
        stored.load()


def test_an_absent_table_is_named_with_the_command_that_writes_it(file):
    with pytest.raises(DatasetError, match=r"predictions.parquet does not exist; .*--pipelines=training$"):
        ParquetDataset(filepath=str(file)).load()


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_stored_dataset_is_called_like_its_file_and_made_by_a_pipeline(env):
    catalog = DataCatalog.from_config(entries_of(env, ohlcv_path="prices.csv"))
    made = set().union(*(pipeline.all_outputs() for pipeline in pipelines.values()))
    for name in set(catalog.keys()) & made:
        path = getattr(catalog[name], "_filepath", None)
        if path is not None and name != "ensemble":
            assert str(path).rpartition("/")[2].partition(".")[0] == name


CONTENTS = {
    "CSVDataset": pd.DataFrame({"a": [1, 2]}),
    "FigureDataset": go.Figure(layout={"title": {"text": "one"}}),
    "JSONDataset": {"rank_ic": 0.05},
    "ParquetDataset": pd.DataFrame({"a": [1, 2]}),
    "TextDataset": "<html>",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_is_replaced_as_a_whole(tmp_path, kind, monkeypatch):
    dataset = getattr(datasets, kind)(filepath=str(tmp_path / "made" / "file"))
    dataset.save(CONTENTS[kind])
    first = dataset.load()
    assert str(first) == str(CONTENTS[kind])
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(CONTENTS[kind])
    assert str(dataset.load()) == str(first)
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"file", ".file.seal.json"}


def interrupted(*_):
    raise KeyboardInterrupt


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path):
    left_over = tmp_path / ".facts.json.1.tmp"
    left_over.write_text("{")
    os.utime(left_over, (0, 0))
    datasets.JSONDataset(filepath=str(tmp_path / "facts.json")).save({})
    assert {path.name for path in tmp_path.iterdir()} == {"facts.json", ".facts.json.seal.json"}


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_byte_that_changed_and_every_cut_is_refused(tmp_path, kind):
    path = tmp_path / "metrics.json"
    dataset = getattr(datasets, kind)(filepath=str(path))
    dataset.save(CONTENTS[kind])
    content = path.read_bytes()
    steps = range(0, len(content), max(1, len(content) // 40))
    damaged = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in steps]
    for changed in [*damaged, *(content[:at] for at in steps), content + b" "]:
        path.write_bytes(changed)
        with pytest.raises(DatasetError, match=r"metrics.json is damaged \(.*\); .*--pipelines=evaluation$"):
            dataset.load()
    path.write_bytes(content)
    assert str(dataset.load()) == str(CONTENTS[kind])


def test_a_file_under_another_name_and_one_without_a_seal_are_refused(tmp_path):
    metrics, split = (datasets.JSONDataset(filepath=str(tmp_path / f"{name}.json")) for name in ("metrics", "split"))
    metrics.save({"rank_ic": 0.05})
    split.save({"train": []})
    (tmp_path / "split.json").write_bytes((tmp_path / "metrics.json").read_bytes())
    with pytest.raises(DatasetError, match=r"split.json is damaged \(it is not as it was written\)"):
        split.load()
    (tmp_path / ".split.json.seal.json").write_bytes((tmp_path / ".metrics.json.seal.json").read_bytes())
    with pytest.raises(DatasetError, match=r"split.json is damaged \(it was written as metrics.json\)"):
        split.load()
    for seal in ("", "[]", "{}"):
        (tmp_path / ".split.json.seal.json").write_text(seal)
        with pytest.raises(DatasetError, match=r"split.json is damaged \(it has no seal that can be read, .split.json"):
            split.load()


@pytest.mark.parametrize(
    ("kind", "half"), [("JSONDataset", '{"a": '), ("FigureDataset", '{"data": ['), ("CSVDataset", "")]
)
def test_half_a_file_is_refused_in_one_sentence(tmp_path, kind, half):
    (tmp_path / "metrics.json").write_text(half)
    with pytest.raises(DatasetError, match=r"metrics.json is damaged \(.*\); .*--pipelines=evaluation$") as refused:
        getattr(datasets, kind)(filepath=str(tmp_path / "metrics.json")).load()
    assert "\n" not in str(refused.value)


def test_verifying_lists_what_is_missing_and_what_is_damaged(tmp_path):
    paths = {name: tmp_path / f"{name}.json" for name in ("metrics", "split", "gat_effect", "quality_report")}
    catalog = DataCatalog({name: datasets.JSONDataset(filepath=str(path)) for name, path in paths.items()})
    catalog.save("metrics", {"test": 1})
    paths["split"].write_text('{"train": ')
    missing, damaged = stored_problems(catalog, paths, {"metrics", "split", "quality_report"})
    assert missing.startswith(f"{paths['quality_report']} does not exist; ")
    assert damaged.startswith(f"{paths['split']} is damaged (")


def test_a_page_is_previewed_as_its_text(tmp_path):
    page = TextDataset(filepath=str(tmp_path / "report.html"))
    page.save(
        "<html><head><title>t</title></head><script>x</script><h1>Is it\nbetter?</h1><table><tr><td>1d</td>"
        "<td>+0.05 &amp; more</td></tr></table>"
    )
    assert page.preview() == {
        "index": [0, 1],
        "columns": ["report.html"],
        "data": [["Is it better?"], ["1d +0.05 & more"]],
    }
    assert page.preview(nrows=1)["data"] == [["Is it better?"]]


def test_key_results_are_previewed_as_a_table(tmp_path):
    found = {"model": 0.05, "baseline": 0.04, "difference": 0.01, "ci95": [None, None], "answer": "unknown"}
    sharpe = {"model": 1.0, "baseline": None}
    results = KeyResultsDataset(filepath=str(tmp_path / "key_results.json"))
    results.save({"better": {"baseline": "ridge", "horizons": {"5d": found | {"sharpe_net": sharpe}}}})
    preview = results.preview()
    assert preview["columns"][:3] == ["horizon", "rank IC", "ridge"]
    assert preview["data"] == [["5d", "+0.0500", "+0.0400", "+0.0100", "", "unknown", "+1.0000", ""]]
