"""Which version is the champion, what is kept of it, and the way back."""

from pathlib import Path

import mlflow
import pytest

from gogooku_kedro.champion.choice import champion_of
from gogooku_kedro.champion.registry import Registry
from gogooku_kedro.training import Ensemble
from tests.champion.conftest import HASH, drawn, enrol
from tests.model.conftest import model_params


def folder_of(registry: Registry, number: str) -> Path:
    return Path(registry._client.get_model_version_download_uri(registry.name, number))


def test_the_first_model_is_champion_and_a_later_one_has_to_beat_it(uri):
    registry = Registry(uri, "roles")
    first, second = (enrol(registry, drawn(seed)) for seed in (0, 1))
    assert (first.role, second.role) == ("champion", "challenger")
    assert enrol(registry, drawn(0)).number == "1"  # the same model again is no new version
    third = enrol(registry, drawn(2))
    assert registry.aliases() == {"champion": "1", "challenger": "3"}
    assert third.described() == "version 3 of roles, challenger (bars.parquet, seeds 2, unseen from 2020-10-01)"


def test_a_rollback_makes_the_champion_before_the_champion_again(uri):
    registry = Registry(uri, "back")
    enrol(registry, drawn(0))
    with pytest.raises(ValueError, match="no champion of back was replaced yet"):
        registry.roll_back()
    second = enrol(registry, drawn(1))
    registry.promote(second, {"promoted_because": "it is ahead"})
    assert registry.aliases() == {"champion": "2", "previous": "1"}
    assert registry.find("2").facts["promoted_because"] == "it is ahead"
    now, before = registry.roll_back()
    assert (now.number, before.number) == ("1", "2")
    assert registry.aliases() == {"champion": "1", "previous": "2"}


def test_a_version_gives_back_its_model_and_nothing_of_it_is_pickled(uri):
    registry = Registry(uri, "files")
    version = enrol(registry, drawn(3), "2020-11-04")
    found = registry.candidate(version)
    assert found.ensemble.fingerprint() == drawn(3).fingerprint()
    assert f"{found.unseen_from:%Y-%m-%d}" == "2020-11-04"
    names = {path.name for path in folder_of(registry, "1").rglob("*") if path.is_file()}
    code = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "pyfunc_model.py"}
    assert names == code | {"config.json", "weights.safetensors"}
    loaded = mlflow.pyfunc.load_model(str(folder_of(registry, "1")))
    assert loaded.metadata.get_input_schema().input_names() == ["data_root", "date"]


def test_a_registration_says_nothing_of_mlflow(uri, capfd, caplog, recwarn):
    enrol(Registry(uri, "silent"), drawn(0))
    assert "".join(capfd.readouterr()) == ""
    assert [record.getMessage() for record in caplog.records if record.name.startswith("mlflow")] == []
    assert [str(each.message) for each in recwarn if "mlflow" in str(each.filename)] == []


def test_files_that_were_exchanged_are_refused(uri):
    registry = Registry(uri, "exchanged")
    version = enrol(registry, drawn(0))
    drawn(9).save(folder_of(registry, "1") / "artifacts/ensemble")
    with pytest.raises(ValueError, match=r"is not what was registered as version 1 of exchanged; restore it"):
        registry.candidate(version)


def test_a_version_that_is_not_there_is_named_beside_those_that_are(uri, tmp_path):
    registry = Registry(uri, "few")
    enrol(registry, drawn(0))
    with pytest.raises(ValueError, match=r"'7' is no registered version of few in .*; there are: 1 \(champion\)"):
        registry.find("7")
    with pytest.raises(ValueError, match=r"'champion' is no registered version of empty in .*; there are: none"):
        Registry.open(uri, "empty").find("champion")
    with pytest.raises(ValueError, match="no model is registered yet in sqlite:"):
        Registry.open(f"sqlite:///{tmp_path / 'mlflow.db'}", "few")
    assert list(tmp_path.iterdir()) == []


def test_a_champion_of_other_settings_or_features_is_refused(uri):
    params = model_params()
    enrol(Registry(uri, "fits"), drawn(0))
    chosen = champion_of(uri, "fits", {"hash": HASH}, params)
    assert (chosen.name, chosen.ensemble.seeds) == ("version 1 of fits, champion", (0,))
    with pytest.raises(ValueError, match=r"trained on features abababababab, but these are cdcdcdcdcdcd: rebuild"):
        champion_of(uri, "fits", {"hash": "cd" * 16}, params)
    wider = params.model_copy(update={"hidden_size": 2 * params.hidden_size})
    with pytest.raises(ValueError, match=r"the champion, version 1 of fits, .*model.hidden_size: \d+ then, \d+ now"):
        champion_of(uri, "fits", {"hash": HASH}, wider)


def test_a_model_with_other_refits_is_another_model():
    model, other = (drawn(0).seed_models[0], drawn(1).seed_models[0])
    again = model.__class__(**{**vars(other), "training": model.training})
    assert len({Ensemble((model,), refits).fingerprint() for refits in ((), (model,), (again,))}) == 3
