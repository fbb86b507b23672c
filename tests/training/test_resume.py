"""A run that was cut off goes on after its last finished epoch, and reads nothing but plain checkpoints."""

import math
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from gogooku_kedro.training import fit_model
from gogooku_kedro.training.checkpoints import (
    EpochCheckpoints,
    PlainCheckpoints,
    read_checkpoint,
    run_key,
    saved_epochs,
)
from gogooku_kedro.training.module import MONITOR
from tests.training.conftest import TRAIN, VALID, PowerCut, assert_equal_results, phase, training_params
from tests.training.test_ensemble import member_result

pytestmark = pytest.mark.training

PHASES = [phase(name="warm-up", epochs=1, graph=False), phase(learning_rate_factor=0.5)]


class CutAtTheEnd(pl.Callback):
    """Stop the process after the last epoch, before the model is written."""

    def on_fit_end(self, trainer, pl_module) -> None:
        raise RuntimeError("power cut")


def fit(market, model, settings, *callbacks):
    return fit_model(market, TRAIN, VALID, "hash", model, settings, callbacks)


def cut(market, model, settings, callback):
    """Train until the callback cuts the run off; the checkpoints that it leaves, the oldest first."""
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, callback)
    (folder,) = settings_folder(settings).iterdir()
    return saved_epochs(folder)


@pytest.fixture
def whole(uninterrupted):
    """A training that nothing cuts off, of settings."""
    return lambda **changes: member_result(uninterrupted(**changes), 0)


def settings_folder(settings):
    return Path(settings.checkpoint_dir)


@pytest.mark.parametrize("batch", [0, 3])
@pytest.mark.parametrize(
    "changes",
    [{}, {"monitor_smoothing": 0.7, "accumulate": 2, "phases": PHASES, "keep_checkpoints": 3}],
    ids=["plain", "smoothed, accumulated, in phases"],
)
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(market, model, tmp_path, whole, batch, changes):
    settings = training_params(tmp_path, **changes)
    cut(market, model, settings, PowerCut(epoch=2, batch=batch))
    assert_equal_results(fit(market, model, settings), whole(**changes))
    assert list(settings_folder(settings).iterdir()) == []


def test_a_run_that_lost_its_newest_checkpoint_goes_on_from_the_one_before(market, model, tmp_path, whole):
    settings = training_params(tmp_path, keep_checkpoints=2)
    saved = cut(market, model, settings, PowerCut(epoch=3))
    saved[-1].unlink()
    assert_equal_results(fit(market, model, settings), whole())


@pytest.mark.parametrize("changes", [{}, {"max_epochs": 30, "patience": 2, "learning_rate": 1e-9}])
def test_a_run_that_was_cut_off_at_its_end_trains_no_epoch_more(market, model, tmp_path, whole, changes):
    settings = training_params(tmp_path, **changes)
    cut(market, model, settings, CutAtTheEnd())
    assert_equal_results(fit(market, model, settings), whole(**changes))


def test_other_settings_do_not_go_on_with_a_cut_off_run(market, model, tmp_path):
    cut(market, model, training_params(tmp_path), PowerCut(epoch=2))
    other = fit(market, model, training_params(tmp_path, seed=5))
    assert_equal_results(other, fit(market, model, training_params(tmp_path / "x", seed=5)))


def test_the_run_key_knows_every_setting_that_changes_an_epoch(model, tmp_path):
    def key(data="data", features="hash", train=TRAIN, **changes):
        return run_key(data, features, train, VALID, model, training_params(tmp_path, **changes))

    places = [
        {"checkpoint_dir": "/elsewhere"},
        {"keep_checkpoints": 5},
        {"market_memory": "host"},
        {"time_budget_minutes": 3.0},
        {"seeds": [0, 1, 2]},
    ]
    assert {key(**change) for change in places} == {key()}
    matters = [
        *({"data": "other"}, {"features": "other"}, {"train": (13, 40)}, {"seed": 1}, {"max_epochs": 5}),
        *({"accumulate": 2}, {"devices": 2}, {"compile": True}, {"max_batches": 3}, {"chunk_days": 4}),
        *({"monitor_smoothing": 0.5}, {"phases": PHASES}, {"patience": 3}, {"precision": "bf16-mixed"}),
        *(
            {"ema_decay": 0.5},
            {"warmup_share": 0.2},
            {"device": "auto"},
            {"gradient_clip": 2.0},
            {"seeds_together": True},
        ),
    ]
    keys = {key(), *(key(**change) for change in matters)}
    assert len(keys) == 1 + len(matters)


def test_a_checkpoint_that_was_cut_off_is_none(tmp_path, monkeypatch):
    def cut_off(self, checkpoint, path, storage_options=None):
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", cut_off)
    with pytest.raises(KeyboardInterrupt):
        PlainCheckpoints().save_checkpoint({}, tmp_path / "epoch_00003.ckpt")
    assert list(tmp_path.iterdir()) == saved_epochs(tmp_path) == []


def test_the_newest_epochs_and_the_best_are_kept(tmp_path):
    checkpoints = EpochCheckpoints(tmp_path, keep=2)
    kept = []
    for epoch, score in enumerate([-math.inf, 0.5, 0.1, 0.2, math.nan, 0.6, 0.3, 0.4]):
        trainer = SimpleNamespace(
            callback_metrics={MONITOR: torch.tensor(score)},
            current_epoch=epoch,
            is_global_zero=True,
            save_checkpoint=lambda path, weights_only: path.touch(),
        )
        checkpoints.on_train_epoch_end(trainer, None)
        kept.append([int(path.stem.removeprefix("epoch_")) for path in saved_epochs(tmp_path)])
    assert kept == [[0], [0, 1], [1, 2], [1, 2, 3], [1, 3, 4], [4, 5], [5, 6], [5, 6, 7]]
    assert checkpoints.state_dict() == {"best_epoch": 5, "best_score": pytest.approx(0.6)}


class Bomb:
    """Whoever unpickles it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("write", ["pickle", "torch"])
def test_a_checkpoint_with_foreign_code_is_refused_and_not_executed(market, model, tmp_path, write):
    settings = training_params(tmp_path)
    newest = cut(market, model, settings, PowerCut(epoch=2))[-1]
    content = read_checkpoint(newest)
    bomb = content | {"callbacks": content["callbacks"] | {"History": Bomb(tmp_path / "exploded")}}
    newest.write_bytes(pickle.dumps(bomb, 2)) if write == "pickle" else torch.save(bomb, newest)
    message = r"training\.checkpoint_dir: .*\.ckpt is damaged or was not written .* Remove the file"
    with pytest.raises(ValueError, match=message):
        fit(market, model, settings)
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(ValueError, match=message):
        read_checkpoint(newest)


@pytest.mark.parametrize("damage", ["empty", "half", "text", "noise", "of another program"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "epoch_00001.ckpt"
    torch.save({"state_dict": {"w": torch.arange(1000.0)}}, path)
    whole = path.read_bytes()
    noise = np.random.default_rng(0).bytes(len(whole))
    damaged = {"empty": b"", "half": whole[: len(whole) // 2], "text": b"{}", "noise": noise}
    path.write_bytes(damaged.get(damage, whole))
    with pytest.raises(ValueError, match=r"epoch_00001\.ckpt is damaged"):
        read_checkpoint(path)
