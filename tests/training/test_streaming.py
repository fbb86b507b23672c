"""A market in the host's memory trains the same model, to the last bit."""

import threading
from dataclasses import fields

import numpy as np
import pytest
import torch

from gogooku_kedro.training import device as device_module
from gogooku_kedro.training import fit_ensemble, fit_model
from gogooku_kedro.training.data import DayChunkDataModule
from gogooku_kedro.training.streaming import StreamedDataModule, market_bytes, page_locked
from tests.training.conftest import TRAIN, VALID, PowerCut, assert_equal_results, training_params
from tests.training.test_ensemble import member_result

CPU = torch.device("cpu")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def modules(market, **settings):
    return [kind(market, TRAIN, VALID, 5, 6, seed=1, **settings) for kind in (DayChunkDataModule, StreamedDataModule)]


@pytest.mark.parametrize("part", ["train_dataloader", "val_dataloader"])
def test_the_chunks_are_those_of_a_market_on_the_device(market, part):
    resident, streamed = (list(getattr(module, part)()) for module in modules(market))
    assert len(resident) == len(streamed) > 2
    for one, other in zip(resident, streamed, strict=True):
        for name, value in one._asdict().items():
            same = getattr(other, name)
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(same, value, rtol=0, atol=0, equal_nan=True)
            else:
                assert np.array_equal(same, value)


def test_the_next_chunk_is_cut_while_one_is_worked_on(market, monkeypatch):
    _, module = modules(market)
    chunks, cut = module.train_dataloader(), []
    real = chunks.chunks.on
    second = threading.Event()

    def on(index, device):
        cut.append((index, threading.current_thread() is threading.main_thread()))
        if index == 1:
            second.set()
        return real(index, device)

    monkeypatch.setattr(chunks.chunks, "on", on)
    each = iter(chunks)
    next(each)
    assert second.wait(timeout=60), "the second chunk waits until it is asked for"
    assert len(list(each)) == len(chunks) - 1
    assert cut == [(index, False) for index in range(len(chunks))]


def test_an_epoch_that_is_left_early_leaves_no_thread(market):
    before = threading.active_count()
    for _ in modules(market)[1].train_dataloader():
        break
    assert threading.active_count() == before


@pytest.mark.training
def test_training_from_host_memory_ends_with_the_same_weights(market, model, tmp_path, uninterrupted):
    streamed = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path, market_memory="host"))
    assert_equal_results(streamed, member_result(uninterrupted(), 0))


@pytest.mark.training
def test_a_run_from_host_memory_goes_on_where_it_was_cut_off(market, model, tmp_path):
    changes = {"market_memory": "host", "max_batches": 3}
    whole = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path / "whole", **changes))
    settings = training_params(tmp_path / "cut", **changes)
    with pytest.raises(RuntimeError, match="power cut"):
        fit_model(market, TRAIN, VALID, "hash", model, settings, [PowerCut(epoch=2, batch=1)])
    assert_equal_results(fit_model(market, TRAIN, VALID, "hash", model, settings), whole)


@pytest.mark.training
def test_models_that_train_together_share_a_market_in_host_memory(market, model, tmp_path):
    one, other = (
        fit_ensemble(
            market,
            TRAIN,
            VALID,
            "hash",
            model,
            training_params(tmp_path / memory, seeds=[0, 1], seeds_together=True, max_epochs=2, market_memory=memory),
        )
        for memory in ("device", "host")
    )
    for position in range(2):
        assert_equal_results(member_result(one, position), member_result(other, position))


@pytest.mark.parametrize(
    ("memory", "device", "free", "expected"),
    [
        ("auto", "cpu", 0, "device"),
        ("auto", "cuda", 200, "device"),
        ("auto", "cuda", 199, "host"),
        ("device", "cuda", 0, "device"),
        ("host", "cpu", 0, "host"),
    ],
)
def test_where_a_market_lies(tmp_path, monkeypatch, caplog, memory, device, free, expected):
    monkeypatch.setattr(device_module, "free_memory", lambda: free)
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        found = device_module.resolve_market_memory(training_params(tmp_path, market_memory=memory), device, needed=100)
    assert found == expected
    assert ("stays in host memory" in caplog.text) == (memory == "auto" and expected == "host")


def test_the_bytes_of_a_market_are_those_of_all_its_tensors(market):
    values = [getattr(part, field.name) for part in (market, market.graph) for field in fields(part)]
    expected = sum(value.numpy().nbytes for value in values if isinstance(value, torch.Tensor))
    assert market_bytes(market) == expected > market.x.numpy().nbytes


def test_without_cuda_no_page_is_locked(market):
    with page_locked(market, "cpu") as locked:
        assert locked == 0


@cuda
@pytest.mark.cuda
def test_pages_are_locked_where_they_lie(market):
    with page_locked(market, "cuda") as locked:
        assert locked > 5
        assert market.x.is_pinned()
    assert not market.x.is_pinned()


@cuda
@pytest.mark.cuda
@pytest.mark.training
def test_streaming_to_cuda_trains_the_same_model(market, model, tmp_path):
    one, other = (
        fit_model(
            market, TRAIN, VALID, "hash", model, training_params(tmp_path / memory, device="cuda", market_memory=memory)
        )
        for memory in ("device", "host")
    )
    torch.testing.assert_close(
        torch.tensor(one.history["train/loss"]), torch.tensor(other.history["train/loss"]), rtol=1e-4, atol=1e-5
    )
