"""What makes a training step fast on CUDA: CUDA graphs and compiled code, memory spent on speed, TF32."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import lightning.pytorch as pl
import torch

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.model.vsn import VariableSelectionNetwork
from gogooku_kedro.params import TrainingParams
from gogooku_kedro.training.device import resolve_device, resolve_precision
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.tensors import DayChunk, cut

SAVED_PER_STEP, SAVED_PER_VALUE = 0.015, 9e-11
"""Seconds that compiled code saves in a step, and for every feature, channel and token of it: a small step fell from 31
to 14 ms and one of 780 million values from 135 to 65 ms on an H100 (docs/architecture.md)."""

SAVED_PER_VALUE_RECORDED = 1.5e-11
"""The same where steps are recorded and the variable selection has kernels: from 37.5 to 25.5 ms (docs/gpu.md)."""

COMPILATION = 100.0
"""Seconds that compiling for training and for validation takes, about."""

SHARE = 0.5
"""Share of a device's free memory that the intermediate values of the variable selection may take."""

logger = logging.getLogger(__name__)


def accelerate(
    model: ATFTGATFAN,
    training: TrainingParams,
    stocks: int,
    steps: int,
    captured: bool = False,
    alone: bool = True,
) -> None:
    """Choose how a model is trained on the device it will be trained on, and say so.

    On CUDA `training.compile: auto` compiles where the whole training gains more by it than compilation takes, and
    the variable selection runs in kernels of its own; where these do not run, it keeps its intermediate values instead
    of computing them again if they fit. On a CPU nothing of this is faster. The model is compiled in place, for chunks
    of one shape: the names of its weights stay.

    Args:
        model: The model.
        training: Settings of the optimisation.
        stocks: Stocks of a chunk.
        steps: Optimiser steps of the whole training.
        captured: Whether whole steps are recorded as CUDA graphs, see `device.resolve_cuda_graphs`.
        alone: Whether no other model trains in the same loop; others would have to be compiled one by one.
    """
    cuda = resolve_device(training.device) == "cuda"
    tokens = stocks * (training.chunk_days + model.window - 1)
    if cuda and isinstance(model.vsn, VariableSelectionNetwork):
        _spend_memory(model.vsn, tokens, training)
    values = tokens * model.vsn.embedding.numel() if isinstance(model.vsn, VariableSelectionNetwork) else 0
    wanted = training.compile == "auto" and cuda and pays(values, steps * training.accumulate, captured)
    if alone and (training.compile is True or wanted):
        # A CUDA graph holds gradients at one place, which accumulation and the exchange between processes reuse.
        graphs = cuda and training.accumulate == 1 and training.devices == 1 and not captured
        logger.info("training.compile: %s compiles the model%s", training.compile, ", with CUDA graphs" * graphs)
        model.compile(dynamic=False, mode="reduce-overhead" if graphs else None)


def _spend_memory(vsn: VariableSelectionNetwork, tokens: int, training: TrainingParams) -> None:
    kind = torch.bfloat16 if resolve_precision(training.precision, "cuda") == "bf16-mixed" else torch.float32
    if vsn.in_kernels("cuda", kind):
        kept = vsn.kept_bytes(tokens, kind) / 2**30
        logger.info("the variable selection runs in kernels of its own, which keep %.1f GiB", kept)
        return
    free, needed = torch.cuda.mem_get_info()[0], vsn.kept_bytes(tokens)
    vsn.recompute = needed > SHARE * free
    logger.info(
        "intermediate values of the variable selection (%.1f GiB of %.1f free) are %s",
        needed / 2**30,
        free / 2**30,
        "computed again in the backward pass" if vsn.recompute else "kept for the backward pass",
    )


def pays(values: int, steps: int, captured: bool = False) -> bool:
    """Whether compilation saves more time than it takes.

    Args:
        values: Features times channels times tokens of a step, see `VariableSelectionNetwork`.
        steps: Steps of the whole training.
        captured: Whether steps are recorded: then the host's time is saved already.
    """
    saved = SAVED_PER_VALUE_RECORDED * values if captured else SAVED_PER_STEP + SAVED_PER_VALUE * values
    return steps * saved > COMPILATION


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Let float32 products on CUDA use TF32 where the training is in bfloat16 anyway, while the context is open."""
    before = torch.get_float32_matmul_precision()
    if precision == "bf16-mixed":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class TryCompiled(pl.Callback):
    """Compile before the first step, and with `training.compile: auto` go on without where that fails.

    Args:
        setting: `training.compile`.
    """

    def __init__(self, setting: Literal["auto"] | bool) -> None:
        self.setting = setting

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the first chunk forward and backward; random numbers, weights and gradients stay as they were."""
        assert isinstance(pl_module, CrossSectionModule)
        model = pl_module.model
        if self.setting != "auto" or model._compiled_call_impl is None:
            return
        assert trainer.train_dataloader is not None
        chunk = cut(trainer.train_dataloader.dataset[0])
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                _forward_and_backward(trainer, pl_module, chunk)
        except RuntimeError as error:  # what the compiler and CUDA graphs raise
            model._compiled_call_impl = None
            reason = str(error).strip().splitlines()[0]
            logger.warning("training.compile: auto goes on without compilation, which failed: %s", reason)
        pl_module.zero_grad(set_to_none=True)


def _forward_and_backward(trainer: pl.Trainer, module: CrossSectionModule, chunk: DayChunk) -> None:
    for _ in range(3):  # a CUDA graph warms up, is recorded and is replayed
        with trainer.precision_plugin.forward_context():
            terms = module.loss_terms(module(chunk), chunk)
        torch.stack(list(terms.values())).sum().backward()
        module.zero_grad(set_to_none=True)
