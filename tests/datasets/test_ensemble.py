"""Models on disk: safetensors beside JSON, complete or not there at all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from gogooku_kedro.datasets import EnsembleDataset
from gogooku_kedro.training import Ensemble, SeedModel
from tests.model.conftest import model_params


@pytest.fixture
def ensemble() -> Ensemble:
    members = []
    for seed in (1, 12):
        weights = {
            "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3) + seed,
            "steps": np.array(7, dtype=np.int64),
            "seen": np.array([True, False]),
        }
        training = {"seed": seed, "device": "cpu", "n_parameters": 6, "best_epoch": 0, "seconds": 1.5}
        members.append(SeedModel(weights, model_params(), 3, 2, 1, "abc", training))
    return Ensemble(tuple(members))


@pytest.fixture
def dataset(tmp_path) -> EnsembleDataset:
    return EnsembleDataset(filepath=str(tmp_path / "model"), metadata={"kedro-viz": {"layer": "models"}})


def test_models_come_back_as_they_were_saved(dataset, ensemble):
    dataset.save(ensemble)
    assert dataset.exists()
    again = dataset.load()
    assert (again.seeds, again.params, again.training) == ((1, 12), ensemble.params, ensemble.training)
    for before, after in zip(ensemble.seed_models, again.seed_models, strict=True):
        assert after.config() == before.config()
        assert set(after.weights) == set(before.weights)
        for name, weight in before.weights.items():
            np.testing.assert_array_equal(after.weights[name], weight)
            assert after.weights[name].dtype == weight.dtype


def test_the_files_are_open_formats(dataset, ensemble, tmp_path):
    dataset.save(ensemble)
    folder = tmp_path / "model"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    members = ("seed_1", "seed_12")
    (seal,) = tmp_path.glob(".*")
    assert seal.name == ".model.seal.json"
    assert files == {"config.json"} | {
        f"{member}/{name}" for member in members for name in ("weights.safetensors", "config.json")
    }
    assert json.loads((tmp_path / "model/config.json").read_text())["members"] == list(members)
    config = json.loads((tmp_path / "model/seed_12/config.json").read_text())
    assert (config["feature_hash"], config["n_context"]) == ("abc", 1)
    assert config["params"]["gat"]["heads"] == 2


def test_models_that_are_not_there_say_how_to_get_them(dataset):
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"no trained model in .*: run `kedro run --pipelines=training` first"):
        dataset.load()


def test_a_save_that_breaks_off_leaves_no_model(dataset, ensemble, monkeypatch):
    dataset.save(ensemble)

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(DatasetError, match="no space left"):
        dataset.save(ensemble)
    assert not dataset.exists()


def test_models_of_another_training_are_refused(dataset, ensemble, tmp_path):
    dataset.save(ensemble)
    other = EnsembleDataset(filepath=str(tmp_path / "other"))
    other.save(Ensemble(ensemble.seed_models[:1]))
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(tmp_path / "other", tmp_path / "model")
    with pytest.raises(DatasetError, match=r"model is damaged \(it is not as it was written\)"):
        dataset.load()


def test_what_cannot_be_read_is_an_error_of_the_dataset_that_names_the_file(dataset, ensemble, tmp_path):
    dataset.save(ensemble)
    file = tmp_path / "model/seed_1/config.json"
    file.write_text(file.read_text().replace('"hidden_size": 8', '"hidden_size": 9'))
    with pytest.raises(DatasetError, match=rf"(?s)^{file} does not describe .*does not divide") as refusal:
        dataset.load()
    assert "kedro run --pipelines=training" in str(refusal.value)
    shutil.rmtree(file.parent)
    with pytest.raises(DatasetError, match=rf"no trained model in {file.parent}"):
        dataset.load()
