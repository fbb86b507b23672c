"""Several processes train as one does, deal the chunks out between them, and say why they fail."""

import logging
import signal
from queue import Queue

import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.training import fit_model, launch, resolve_device
from gogooku_kedro.training.data import DayChunkDataModule, cut_days, steps_per_epoch
from gogooku_kedro.training.device import describe_device, resolve_precision
from gogooku_kedro.training.launch import load_market, save_market
from tests.training.conftest import TRAIN, VALID, PowerCut, phase, training_params

pytestmark = pytest.mark.training


def data(accumulate=1, max_batches=None) -> DayChunkDataModule:
    return DayChunkDataModule(None, TRAIN, VALID, 5, 6, 0, accumulate, max_batches)


@pytest.mark.parametrize("epoch", range(4))
@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (2, 2), (3, 1), (4, 3)])
def test_processes_see_the_chunks_of_one_that_accumulates_more(epoch, processes, accumulate):
    group = processes * accumulate
    alone = data(group).epoch_cuts(epoch)
    steps = np.array(alone).reshape(-1, group, 2).tolist()
    dealt = [data(accumulate).epoch_cuts(epoch, rank, processes) for rank in range(processes)]
    for step, chunks in enumerate(steps):
        own = slice(step * accumulate, (step + 1) * accumulate)
        together = [list(chunk) for cuts in dealt for chunk in cuts[own]]
        assert sorted(together) == sorted(chunks)
    assert {len(cuts) for cuts in dealt} == {len(steps) * accumulate}


@pytest.mark.parametrize("epoch", range(4))
@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_the_last_step_of_an_epoch_is_filled_up_with_its_first_chunks(epoch, accumulate):
    once = data().epoch_cuts(epoch)
    assert sorted(once) == sorted(set(once))
    days = np.concatenate([np.arange(first, first + length) for first, length in once])
    assert sorted(days) == list(range(*TRAIN))
    cuts = data(accumulate).epoch_cuts(epoch)
    assert len(cuts) % accumulate == 0
    assert cuts == once + once[: len(cuts) - len(once)]
    assert len(cuts) - len(once) < accumulate


def test_an_epoch_of_few_batches_takes_some_of_the_chunks():
    cuts = data(max_batches=3).epoch_cuts(0)
    assert cuts == data().epoch_cuts(0)[:3]
    assert data(accumulate=4, max_batches=3).epoch_cuts(0) == [*cuts, cuts[0]]


@pytest.mark.parametrize(
    ("group", "max_batches", "steps"),
    [(1, None, 7), (2, None, 4), (8, None, 1), (1, 3, 3), (2, 3, 2), (2, 99, 4)],
)
def test_steps_of_an_epoch(group, max_batches, steps):
    # 28 days in chunks of 5: 7 where the first chunk is short.
    assert steps_per_epoch(*TRAIN, 5, group, max_batches) == steps
    assert len(cut_days(*TRAIN, 5, shift=1)) == 7


def test_a_market_comes_back_from_its_file(market, tmp_path):
    save_market(market, tmp_path / "market.pt")
    assert load_market(tmp_path / "market.pt").fingerprint() == market.fingerprint()


def speak(market, job) -> None:
    launch.PROJECT.info("%s of %d sessions", job, market.x.size(0))


@pytest.mark.parametrize(("rank", "heard"), [(0, ["news of 60 sessions"]), (1, [])])
def test_only_the_first_process_is_heard_and_only_through_its_caller(
    market, tmp_path, monkeypatch, caplog, rank, heard
):
    monkeypatch.setattr(launch, "PROJECT", logging.getLogger(f"of process {rank}"))
    monkeypatch.setenv("RANK", str(rank))
    save_market(market, tmp_path / "market.pt")
    queue = Queue()
    launch._work(speak, "news", str(tmp_path), 1, queue, logging.INFO)
    assert [queue.get().getMessage() for _ in range(queue.qsize())] == heard
    assert caplog.text == ""


def test_two_processes_train_as_one_that_accumulates_two_chunks(market, model, tmp_path, caplog):
    """With dropout on, through a phase without graph, and over an interruption that a process suffers."""
    changes = {"max_epochs": 3, "phases": [phase(name="warm-up", epochs=1, graph=False), phase()]}
    one = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path / "1", accumulate=2, **changes))
    handler = signal.getsignal(signal.SIGTERM)
    settings = training_params(tmp_path / "2", devices=2, **changes)
    with pytest.raises(RuntimeError, match=r"process \d of training\.devices failed: RuntimeError: power cut"):
        fit_model(market, TRAIN, VALID, "h", model, settings, [PowerCut(epoch=2, batch=1)])
    caplog.clear()
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        two = fit_model(market, TRAIN, VALID, "h", model, settings)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert caplog.text.count("going on with the training that was cut off") == 1
    assert caplog.text.count("epoch 3/3") == 1
    for name, weight in one.seed_model.weights.items():
        np.testing.assert_allclose(two.seed_model.weights[name], weight, rtol=0, atol=1e-5, err_msg=name)
    measured = [name for name in one.history if not name.startswith("task_grad_norm/")]  # on other chunks
    pd.testing.assert_frame_equal(one.history[measured], two.history[measured], rtol=1e-4, atol=1e-6)
    assert two.seed_model.training["device"] == "2 x cpu"
    assert not (tmp_path / "lightning_logs").exists()
    assert list((tmp_path / "2/checkpoints").iterdir()) == []


def test_a_device_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"training.device: cuda, but .* set training.device: auto"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu", devices=64) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("auto", devices=2) == "cuda"
    assert resolve_device("cpu", devices=3) == "cpu"
    with pytest.raises(ValueError, match=r"training\.devices: 3, but PyTorch sees 2 CUDA device\(s\); set"):
        resolve_device("auto", devices=3)
    assert resolve_precision("auto", "cuda") == "bf16-mixed"
    assert resolve_precision("auto", "cpu") == "32-true"
    assert describe_device("cpu", 2) == "2 x cpu"
