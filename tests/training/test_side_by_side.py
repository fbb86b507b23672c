"""Models that train side by side, each in a process of its own, are those that train one after the other."""

import io
import logging
import os
import pickle
import sys
import time
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import psutil
import pytest
import torch

from gogooku_kedro.training import fit_ensemble, fit_variants, side_by_side
from gogooku_kedro.training.device import resolve_processes
from gogooku_kedro.training.fit import Way, _jobs
from gogooku_kedro.training.side_by_side import LIBRARIES, process_bytes
from tests.training.conftest import TRAIN, VALID, PowerCut, training_params

pytestmark = pytest.mark.training


def children_training():
    return [child for child in psutil.Process().children() if side_by_side.__name__ in child.cmdline()]


def weights_of(models):
    return [(model.training["seed"], *each) for model in models for each in sorted(model.weights.items())]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_models_end_as_one_after_the_other_also_when_a_process_fails(market, model, tmp_path, caplog):
    """Two seeds of the network; what fails in a process fails here, and goes on another time."""
    caplog.set_level("INFO", logger="gogooku_kedro")
    settings = {"seeds": [0, 1], "max_epochs": 2}
    alone = fit_ensemble(market, TRAIN, VALID, "h", model, training_params(tmp_path / "1", **settings))
    caplog.clear()
    both = training_params(tmp_path / "2", processes=2, **settings)
    with pytest.raises(RuntimeError, match=r"^power cut$"):
        fit_ensemble(market, TRAIN, VALID, "h", model, both, [PowerCut(epoch=1, seed=1)])
    assert children_training() == []
    assert not list((tmp_path / "2").rglob("market.pt"))
    found = fit_ensemble(market, TRAIN, VALID, "h", model, both)
    for line in ("2 models train 2 at a time", "seed 1 epoch 2/2", "seed 1: going on with"):
        assert line in caplog.text
    ours, theirs = (weights_of(each.ensemble.seed_models) for each in (found, alone))
    for (seed, name, weight), (other, same, right) in zip(ours, theirs, strict=True):
        assert (seed, name) == (other, same)
        np.testing.assert_allclose(weight, right, rtol=0, atol=1e-5, err_msg=name)
    assert list(found.history["seed"]) == list(alone.history["seed"])
    assert list((tmp_path / "2/checkpoints").iterdir()) == []


class Death(pl.Callback):
    """End the process of one seed at once, and leave the other waiting."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        seed = pl_module.training_params.seed
        (self.folder / f"begun {seed}").touch()
        if seed == 5:
            time.sleep(20)
            (self.folder / "went on").touch()
        while not (self.folder / "begun 5").exists():
            time.sleep(0.1)
        print("a last word", file=sys.stderr)
        os._exit(3)


def test_a_process_that_dies_is_named_and_the_others_are_stopped(market, model, tmp_path):
    settings = training_params(tmp_path, seeds=[4, 5], processes=2)
    with pytest.raises(RuntimeError, match=r"the process that trains seed 4 ended with 3: a last word"):
        fit_ensemble(market, TRAIN, VALID, "h", model, settings, [Death(tmp_path)])
    assert children_training() == []
    assert (tmp_path / "begun 5").exists()
    assert not (tmp_path / "went on").exists()


def test_what_a_killed_process_has_said_half_of_is_left_out(caplog):
    said = pickle.dumps(logging.makeLogRecord({"name": "gogooku_kedro", "levelno": logging.ERROR, "msg": "whole"}))
    whole = side_by_side.LENGTH.pack(len(said)) + said
    assert side_by_side._listen(io.BytesIO(whole + whole[:-5])) is None
    assert side_by_side._listen(io.BytesIO(whole + whole[:3])) is None
    assert caplog.messages == ["whole", "whole"]


def test_a_variant_has_its_name_and_a_folder_of_its_own(market, model, tmp_path, caplog):
    off = model.model_copy(update={"gat": model.gat.model_copy(update={"enabled": False, "use_in_training": False})})
    settings = training_params(tmp_path, max_epochs=1)
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        network, arm = fit_variants(market, TRAIN, VALID, "h", {"": model, "without graph": off}, settings)
    assert "seed 0 epoch 1/1" in caplog.text
    assert "seed 0 without graph epoch 1/1" in caplog.text
    assert network.ensemble.params == model
    assert arm.ensemble.params == off
    of_epochs = [r.epoch_progress["name"] for r in caplog.records if hasattr(r, "epoch_progress")]
    assert of_epochs == ["", "without graph"]


def test_the_time_budget_is_that_of_the_longest_row_of_models(market, model, tmp_path):
    settings = training_params(tmp_path, seeds=[0, 1, 2], time_budget_minutes=30.0)
    told = {"train": TRAIN, "valid": VALID, "feature_hash": "h", "callbacks": (), "gat_verbose": False}
    for processes, minutes in ((1, 10.0), (2, 15.0), (3, 30.0)):
        jobs = _jobs(market, "f", "", model, settings, Way(False, processes), told | {"isolated": False})
        assert [job.training.time_budget_minutes for job in jobs] == [minutes] * 3


class Count(pl.Callback):
    """What a caller looks at afterwards."""

    epochs = 0

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.epochs += 1


def test_callbacks_are_called_here_unless_processes_are_asked_for(market, model, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    settings, count = training_params(tmp_path, seeds=[0, 1], max_epochs=1, processes="auto"), Count()
    fit_ensemble(market, TRAIN, VALID, "h", model, settings, [count])
    assert count.epochs == 2


@pytest.mark.parametrize(
    ("settings", "threads", "free", "processes"),
    [
        ({}, 2, 100, 2),
        ({}, 8, 100, 3),
        ({}, 8, 4, 2),  # half of what is free
        ({}, 8, 0.1, 1),
        ({}, 1, 100, 1),
        ({"max_batches": 2}, 8, 100, 1),
        ({"devices": 2}, 8, 100, 1),
        ({"device": "cuda"}, 8, 100, 1),
        ({"processes": 2}, 1, 0, 2),
        ({"processes": 9}, 1, 0, 3),
    ],
)
def test_how_many_processes_there_are(monkeypatch, tmp_path, settings, threads, free, processes):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free * LIBRARIES))
    wanted = training_params(tmp_path, **{"processes": "auto", "device": "cpu"} | settings)
    assert resolve_processes(wanted, models=3, needed=LIBRARIES) == processes


def test_a_process_is_estimated_at_what_a_large_step_was_measured_at(market, model):
    large = SimpleNamespace(x=torch.empty(1, 4000, 1))
    params = model.model_copy(update={"window": 60, "hidden_size": 64})
    assert 6 < process_bytes(large, params, 8) / 2**30 < 10
