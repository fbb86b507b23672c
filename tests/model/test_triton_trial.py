"""Kernels are used only where one of them has been built and has given the right number."""

import pytest
import torch

from gogooku_kedro.model import triton_trial


@pytest.fixture(autouse=True)
def _untried():
    triton_trial._tried.cache_clear()
    yield
    triton_trial._tried.cache_clear()


def test_what_keeps_triton_from_working_is_said_once(monkeypatch, caplog):
    def fails():
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")

    monkeypatch.setattr(triton_trial, "triton", object())
    monkeypatch.setattr(triton_trial, "_seven", fails)
    assert not triton_trial.triton_works()
    assert not triton_trial.triton_works()
    (said,) = caplog.messages
    assert said.endswith("Failed to find C compiler. Please specify via CC environment variable.")


@pytest.mark.parametrize(("found", "works"), [(7.0, True), (0.0, False)])
def test_the_number_has_to_be_right(monkeypatch, found, works):
    monkeypatch.setattr(triton_trial, "triton", object())
    monkeypatch.setattr(triton_trial, "_seven", lambda: found)
    assert triton_trial.triton_works() == works


def test_without_triton_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(triton_trial, "triton", None)
    monkeypatch.setattr(triton_trial, "_seven", lambda: pytest.fail("was tried"))
    assert not triton_trial.triton_works()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_card_a_kernel_is_built():
    assert triton_trial.triton_works()
