import json

import pandas as pd
import plotly.graph_objects as go
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from gogooku_kedro.datasets import OptionalDataset


def test_nothing_is_loaded_while_the_file_is_not_there_and_what_was_saved_afterwards(tmp_path) -> None:
    dataset = OptionalDataset(filepath=str(tmp_path / "effect.json"), dataset="json.JSONDataset")
    assert dataset.load() is None
    assert not dataset.exists()
    dataset.save({"a": 1})
    assert dataset.exists()
    assert dataset.load() == {"a": 1}


def test_settings_of_the_wrapped_dataset_are_kept(tmp_path) -> None:
    path = tmp_path / "table.csv"
    entry = {"type": "pandas.CSVDataset", "save_args": {"index": False}}
    OptionalDataset(filepath=str(path), dataset=entry).save(pd.DataFrame({"a": [1]}))
    assert path.read_text() == "a\n1\n"


def test_the_preview_is_that_of_the_wrapped_dataset_and_absent_without_a_file(tmp_path) -> None:
    dataset = OptionalDataset(filepath=str(tmp_path / "figure.json"), dataset="plotly.JSONDataset")
    assert not hasattr(dataset, "preview")
    dataset.save(go.Figure(go.Bar(y=[1, 2])))
    assert json.loads(json.dumps(dataset.preview()))["data"][0]["type"] == "bar"


@pytest.mark.parametrize(("pipelines", "seen"), [("both", {"a": 1}), ("reader", None)])
def test_a_reader_waits_for_the_writer_in_the_same_run_and_does_without_it_alone(tmp_path, pipelines, seen) -> None:
    effect = OptionalDataset(filepath=str(tmp_path / "effect.json"), dataset="json.JSONDataset")
    catalog = DataCatalog({"effect": effect})
    writer = node(lambda: {"a": 1}, None, "effect", name="write")
    reader = node(lambda found: [found], "effect", "out", name="read")
    SequentialRunner().run(Pipeline([reader, writer] if pipelines == "both" else [reader]), catalog)
    assert catalog.load("out") == [seen]
