"""Nothing in a training step waits for the device: no number is read back and no size depends on one.

On a CPU nothing would be slow. What would be is seen all the same: reading a number, counting, choosing by a mask and
copying to the host are operators, or methods of a tensor, that a step must not call.
"""

from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gogooku_kedro.model import edge_cpu, vsn_cpu
from gogooku_kedro.training import fit_model
from gogooku_kedro.training.data import DayChunks
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, training_params

pytestmark = pytest.mark.training

READING = {"_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2", "_unique", "equal", "allclose"}
"""Operators whose result, or its size, the host has to wait for."""

METHODS = {getattr(Tensor, name) for name in ("cpu", "numpy", "tolist", "item", "__bool__", "__float__", "__int__")}
"""Methods that are no operator where the tensor is on the CPU already."""

REGULARISED = {"enabled": True, "edge_weight_penalty": 0.01, "attention_entropy_penalty": 0.001}
RANKING = {"pairwise_weight": 0.1, "listnet_weight": 0.1, "soft_rank_weight": 0.1}
EXTENDED = {
    "layers": 2,
    "diffusion": {"enabled": True, "hops": 2, "restart": 0.2},
    "learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01},
}


@pytest.fixture(autouse=True)
def _as_on_a_card(monkeypatch):
    """The processor's own loops read their tensors through numpy; a card does not take them."""
    for module in (vsn_cpu, edge_cpu):
        monkeypatch.setattr(module, "available", lambda *_: False)


class WaitsForTheDeviceError(AssertionError):
    """An operator that reads from the device."""


class NoReading(TorchDispatchMode):
    """Refuse operators that the host has to wait for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if name in READING or by_mask:
            raise WaitsForTheDeviceError(f"{name}{' by a mask' if by_mask else ''}")
        return func(*args, **(kwargs or {}))


class NoMethods(TorchFunctionMode):
    """Refuse methods of tensors that copy to the host."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in METHODS:
            raise WaitsForTheDeviceError(func.__name__)
        return func(*args, **(kwargs or {}))


class Watch(pl.Callback):
    """Look at every step but those on which the task's gradient is measured: from the chunk to the averaged weights."""

    def __init__(self) -> None:
        self.steps = 0
        self.modes: list[Any] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.modes = [] if batch_idx in pl_module._probes else [NoReading(), NoMethods()]
        for mode in self.modes:
            mode.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        for mode in reversed(self.modes):
            mode.__exit__(None, None, None)
        self.steps += bool(self.modes)
        self.modes = []

    def on_exception(self, trainer, pl_module, exception) -> None:
        for mode in reversed(self.modes):
            mode.__exit__(None, None, None)


def train(market, params, folder, **changes):
    watch = Watch()
    settings = training_params(folder, max_epochs=1, chunk_days=3, **changes)
    history = fit_model(market, TRAIN, VALID, "h", params, settings, [watch]).history
    assert watch.steps > 3
    return history


@pytest.mark.parametrize(
    "gat",
    [
        *({"conv": conv, "edge_dropout": 0.3} for conv in ("gat", "gatv2", "sage", "gin", "transformer")),
        EXTENDED | {"conv": "gatv2", "edge_dropout": 0.3},
        {"enabled": False},
    ],
    ids=["gat", "gatv2", "sage", "gin", "transformer", "all parts", "off"],
)
def test_no_step_reads_from_the_device(market, tmp_path, gat):
    params = model_params(dropout=0.2, gat=gat | {"regularization": REGULARISED})
    history = train(market, params, tmp_path)
    assert history["train/loss"].notna().all()
    assert (history.filter(like="grad_norm/") > 0).any(axis=None)


def test_no_ranking_loss_reads_from_the_device(market, model, tmp_path, monkeypatch):
    losses = training_params(tmp_path).loss.model_copy(update=RANKING)
    # Which stocks are compared is drawn on the host.
    monkeypatch.setattr("gogooku_kedro.training.losses.pair_shifts", lambda stocks, number: [1, 2])
    train(market, model, tmp_path, loss=losses.model_dump())


def test_a_chunk_is_cut_without_reading_from_the_device(market, model):
    chunks = DayChunks(market, [(12, 3), (15, 2)], 3, model.window, TRAIN)
    chunks[0]  # what is known of the sessions is looked up once
    with NoReading(), NoMethods():
        assert chunks[1].days == 2


@pytest.mark.parametrize(
    "reading",
    [
        lambda output: float(output.score.detach().sum()),
        lambda output: bool(output.score.isnan().all()),
        lambda output: output.score[output.score > 0].sum(),
        lambda output: (output.score > 0).nonzero(),
        lambda output: output.score.detach().cpu(),
        lambda output: output.score.detach().tolist(),
    ],
    ids=["float", "bool", "mask", "nonzero", "cpu", "tolist"],
)
def test_a_step_that_reads_is_caught(market, model, tmp_path, monkeypatch, reading):
    from gogooku_kedro.training.module import CrossSectionModule

    terms = CrossSectionModule.penalty_terms

    def with_reading(module, output, *arguments):
        reading(output)
        return terms(module, output, *arguments)

    monkeypatch.setattr(CrossSectionModule, "penalty_terms", with_reading)
    with pytest.raises(WaitsForTheDeviceError):
        train(market, model, tmp_path)
