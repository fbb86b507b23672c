"""Stored weights load only with the features, settings and files they belong to."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gogooku_kedro.params import ModelParams
from gogooku_kedro.training import Ensemble, SeedModel, fit_ensemble, predict_days, predict_parts
from tests.training.conftest import TRAIN, VALID, training_params

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Market, settings and an ensemble of seeds 0 and 1."""
    from tests.model.conftest import model_params
    from tests.training.conftest import ATTRIBUTES, market_tensors, tables

    market, model = market_tensors(*tables(), ATTRIBUTES), model_params()
    settings = training_params(tmp_path_factory.mktemp("artefacts"), seeds=[0, 1], max_epochs=1)
    return market, model, fit_ensemble(market, TRAIN, VALID, "abc", model, settings).ensemble


@pytest.fixture
def stored(trained, tmp_path):
    """Folder of the stored ensemble."""
    trained[2].save(tmp_path / "model")
    return tmp_path / "model"


def changed(model: ModelParams, **changes) -> ModelParams:
    settings = model.model_dump(mode="json")
    for path, value in changes.items():
        *parents, key = path.split("__")
        section = settings
        for parent in parents:
            section = section[parent]
        section[key] = value
    return ModelParams.model_validate(settings)


def test_a_stored_ensemble_scores_as_before_to_the_last_bit(trained, stored):
    market, model, ensemble = trained
    again = Ensemble.load(stored)
    assert (again.params, again.seeds, again.training) == (model, (0, 1), ensemble.training)
    for before, after in zip(ensemble.seed_models, again.seed_models, strict=True):
        assert before.config() == after.config()
        scores = [
            torch.stack([score for _, score, _ in predict_days(b.build("abc", model), market, [44, 50], "cpu")])
            for b in (before, after)
        ]
        torch.testing.assert_close(*scores, rtol=0, atol=0)


def test_other_features_are_refused(trained):
    _, model, ensemble = trained
    with pytest.raises(ValueError, match=r"trained on features abc, but these are xyz: rebuild .* train again"):
        ensemble.seed_models[0].build("xyz", model)


def test_other_settings_are_refused_each_by_its_path_with_both_values(trained):
    _, model, ensemble = trained
    other = changed(model, gat__heads=4, san__enabled=False, quantiles=[0.2, 0.5], dropout=0.3)
    with pytest.raises(ValueError, match="trained with other settings") as refusal:
        ensemble.seed_models[0].build("abc", other)
    for difference in (
        "model.gat.heads: 2 then, 4 now",
        "model.san.enabled: true then, false now",
        "model.quantiles: [0.1, 0.5, 0.9] then, [0.2, 0.5] now",
        "model.dropout: 0.0 then, 0.3 now",
    ):
        assert difference in str(refusal.value)
    assert str(refusal.value).count(" then, ") == 4
    assert "Set them back, or train again with `kedro run --pipelines=training`" in str(refusal.value)


@pytest.mark.parametrize(
    ("part", "message"), [("x", "has 5, 2 and"), ("levels", "has 4, 3 and"), ("context", "has 4, 2 and 1")]
)
def test_a_market_of_other_sizes_is_refused(trained, part, message):
    market, model, ensemble = trained
    tensor = getattr(market, part)
    wider = replace(
        market,
        **{
            part: torch.cat([tensor, torch.zeros_like(market.x[..., :1])[..., 0, :]], -1)
            if part == "context"
            else torch.cat([tensor, tensor[..., :1]], -1)
        },
    )
    with pytest.raises(ValueError, match=rf"reads 4 features, 2 levels .* {message}.*: rebuild the features"):
        predict_parts(ensemble, "abc", model, wider, {"test": [50]}, None, None, "cpu")


def test_weights_of_another_network_are_refused_by_name(trained):
    _, model, ensemble = trained
    first = ensemble.seed_models[0]
    name = next(iter(first.weights))
    renamed = {("other" if k == name else k): v for k, v in first.weights.items()}
    reshaped = first.weights | {name: np.zeros((1, 2, 3), np.float32)}
    for weights in (renamed, reshaped):
        with pytest.raises(ValueError, match=f"do not fit the model of this version.*{name}.*train again"):
            replace(first, weights=weights).build("abc", model)


@pytest.mark.parametrize("damage", ["truncated", "a bit", "exchanged"])
def test_weights_that_are_not_those_of_the_configuration_are_refused(stored, damage):
    weights = stored / "seed_0/weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "a bit": content[:-1] + bytes([content[-1] ^ 1]),
            "exchanged": (stored / "seed_1/weights.safetensors").read_bytes(),
        }[damage]
    )
    with pytest.raises(ValueError, match=rf"{weights} is not the file that .*SHA-256 differs.*train again"):
        Ensemble.load(stored)


@pytest.mark.parametrize("name", ["config.json", "seed_0/config.json"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:40], "is not JSON"),
        (lambda text: "[1, 2]", "has format unknown, but this version reads 2"),
        (lambda text: text.replace('"format": 2', '"format": 3'), "has format 3, but this version reads 2"),
        (lambda text: text.replace('"format": 2,', ""), "has format 1, but this version reads 2"),
    ],
)
def test_a_configuration_of_another_version_is_refused(stored, name, change, message):
    file = stored / name
    file.write_text(change(file.read_text()))
    with pytest.raises(ValueError, match=rf"{file}.* {message}.*train again"):
        Ensemble.load(stored)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"hidden_size": 8', '"hidden_size": 9', "does not divide"),
        ('"hidden_size": 8,', "", "hidden_size"),
        ('"n_channels": 2', '"n_levels": 2', "n_levels"),
        ('"params"', '"parameters"', "params"),
    ],
)
def test_settings_that_this_version_does_not_know_are_refused(stored, old, new, message):
    file = stored / "seed_1/config.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"(?s){file} does not describe a model of this version.*{message}"):
        Ensemble.load(stored)


@pytest.mark.parametrize("name", ["config.json", "seed_1/config.json", "seed_1/weights.safetensors"])
def test_a_missing_file_is_named(stored, name):
    (stored / name).unlink()
    with pytest.raises(ValueError, match=rf"{(stored / name).parent}.*kedro run --pipelines=training"):
        Ensemble.load(stored)


@pytest.mark.parametrize("names", [[], ["../elsewhere"], ["/etc"], "seed_0", [0]])
def test_members_lie_in_the_folder(stored, names):
    config = json.loads((stored / "config.json").read_text())
    (stored / "config.json").write_text(json.dumps(config | {"members": names}))
    with pytest.raises(ValueError, match="lists no seed models such as seed_0"):
        Ensemble.load(stored)


def test_saving_replaces_the_members_that_were_there(trained, stored):
    ensemble = trained[2]
    (stored / "notes.txt").write_text("keep me")
    Ensemble(ensemble.seed_models[1:]).save(stored)
    assert {path.name for path in stored.iterdir()} == {"seed_1", "config.json", "notes.txt"}
    assert Ensemble.load(stored).seeds == (1,)


def test_nothing_is_pickled(stored):
    files = [path for path in stored.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert len(files) == 5


def test_a_member_survives_the_json_of_its_configuration(trained):
    first = trained[2].seed_models[0]
    again = SeedModel.from_config(first.weights, json.loads(json.dumps(first.config())))
    assert again.config() == first.config()
    assert again.params == first.params
