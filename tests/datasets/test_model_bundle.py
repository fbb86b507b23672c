"""A model on disk: safetensors beside JSON, complete or not there at all."""

import json

import numpy as np
import pytest
from kedro.io import DatasetError

from gogooku_kedro.datasets import ModelBundleDataset
from gogooku_kedro.training import ModelBundle
from tests.model.conftest import model_params


@pytest.fixture
def bundle() -> ModelBundle:
    weights = {
        "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "steps": np.array(7, dtype=np.int64),
        "seen": np.array([True, False]),
    }
    training = {"seed": 1, "device": "cpu", "best_epoch": 0}
    return ModelBundle(weights, model_params(), 3, 2, "abc", training)


@pytest.fixture
def dataset(tmp_path) -> ModelBundleDataset:
    return ModelBundleDataset(filepath=str(tmp_path / "model"), metadata={"kedro-viz": {"layer": "models"}})


def test_a_bundle_comes_back_as_it_was_saved(dataset, bundle):
    dataset.save(bundle)
    again = dataset.load()
    assert again.config() == bundle.config()
    assert again.params == bundle.params
    assert set(again.weights) == set(bundle.weights)
    for name, weight in bundle.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)
        assert again.weights[name].dtype == weight.dtype


def test_the_files_are_open_formats(dataset, bundle, tmp_path):
    dataset.save(bundle)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"weights.safetensors", "config.json"}
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["feature_hash"] == "abc"
    assert config["params"]["gat"]["heads"] == 2


def test_a_model_that_is_not_there_says_how_to_get_one(dataset):
    assert not dataset.exists()
    with pytest.raises(
        DatasetError, match=r"no trained model in .*: run `kedro run --pipelines=training` first"
    ):
        dataset.load()


def test_a_save_that_breaks_off_leaves_no_model(dataset, bundle, monkeypatch):
    dataset.save(bundle)

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr("gogooku_kedro.datasets.model_bundle.save_file", full_disk)
    with pytest.raises(DatasetError, match="no space left"):
        dataset.save(bundle)
    assert not dataset.exists()


def test_settings_that_are_no_longer_possible_are_refused_on_loading(dataset, bundle, tmp_path):
    dataset.save(bundle)
    file = tmp_path / "model/config.json"
    file.write_text(file.read_text().replace('"hidden_size": 8', '"hidden_size": 9'))
    with pytest.raises(DatasetError, match="does not divide"):
        dataset.load()
