"""Whole training steps as CUDA graphs: recorded once, then started by one call each.

A step of a small model is some thousand kernels of microseconds, which the host cannot start as fast as the device
runs them. A CUDA graph holds all of a step, from the cut of the chunk to the optimiser's update, and is started at
once. Recorded are the step, the pass that measures the task's gradient, and the validation of a chunk; what differs
between two replays (which sessions, learning rate, random numbers) lies at fixed places of the device's memory.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from gogooku_kedro.model.dropout import drawing_from
from gogooku_kedro.training import monitor
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.tensors import DayChunk, Place, cut

logger = logging.getLogger(__name__)

Function = Callable[[], tuple[Tensor, ...]]

Replay = Callable[[], list[tuple[Tensor, ...]]]
"""Returns what a recorded pass of several models returns, model by model."""


class Recorder(Protocol):
    """Turns functions of tensors at fixed places into replays.

    Attributes:
        generator: What the functions draw random numbers from.
        rates: Type of the learning rates that the optimiser reads.
    """

    generator: Generator
    rates: torch.dtype

    def record(self, name: str, function: Function, warm_up: Function) -> Function:
        """Return what repeats `function`; the tensors it returns are overwritten by the next replay."""


class Part(NamedTuple):
    """What one model adds to a recording; see `Recorder.record`."""

    recorder: "CudaRecorder"
    function: Function
    warm_up: Function


class CudaRecorder:
    """Records CUDA graphs, which share their memory: a replay may overwrite what another one has returned.

    Args:
        device: The device.
    """

    rates = torch.float32

    def __init__(self, device: torch.device) -> None:
        self.generator = Generator(device)
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def record(self, name: str, function: Function, warm_up: Function) -> Function:
        """Run `warm_up` once, which loads kernels and workspaces, and record `function`, which is not run."""
        replay = self.record_together([Part(self, function, warm_up)])
        return lambda: replay()[0]

    @staticmethod
    def record_together(parts: Sequence[Part]) -> Replay:
        """Record what several models compute as one graph, in which no model waits for another.

        A small kernel leaves most of the device idle; the device runs those of several models side by side.
        """
        for recorder, _, warm_up in parts:
            recorder.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(recorder.stream):
                warm_up()
            torch.cuda.current_stream().wait_stream(recorder.stream)
        graph, first, found = torch.cuda.CUDAGraph(), parts[0].recorder, []
        for part in parts:
            graph.register_generator_state(part.recorder.generator)
        # Another thread may copy the next chunk meanwhile.
        with torch.cuda.graph(graph, pool=first.pool, stream=first.stream, capture_error_mode="thread_local"):
            begin = first.stream.record_event()
            for recorder, function, _ in parts:
                recorder.stream.wait_event(begin)
                with torch.cuda.stream(recorder.stream):
                    found.append(function())
            for recorder, _, _ in parts[1:]:
                first.stream.wait_stream(recorder.stream)

        def replay() -> list[tuple[Tensor, ...]]:
            graph.replay()
            return found

        return replay


class ReplayedAdamW(torch.optim.AdamW):
    """AdamW whose update may be part of a recorded step.

    Attributes:
        updated: Whether the closure has updated the weights already.
    """

    updated = False

    def step(self, closure: Any = None) -> Any:
        """Update the weights, after the closure and unless it has done so."""
        if closure is None:
            return super().step()
        self.updated = False
        with torch.enable_grad():
            loss = closure()
        if not self.updated:
            super().step()
        return loss

    @contextmanager
    def reading(self, rates: Tensor) -> Iterator[None]:
        """While open, learning rates are read from the device: `(G,)`, one of each group of parameters."""
        rates_before = [group["lr"] for group in self.param_groups]
        for group, rate in zip(self.param_groups, rates.unbind(), strict=True):
            group.update(lr=rate, capturable=True)
        try:
            yield
        finally:
            for group, rate in zip(self.param_groups, rates_before, strict=True):
                group.update(lr=rate, capturable=False)


class CapturedModule(CrossSectionModule):
    """A module that records its passes over a chunk and replays them.

    The first step of a phase is computed as ever: it makes the optimiser's state, and the first of a training shows
    that all is well before anything is recorded. What is recorded computes what `CrossSectionModule` does, with the
    same random numbers.

    Args:
        recorder: Makes the recorder of a device.
        insist: Fail where a pass cannot be recorded, in place of going on without.
        arguments: As of `CrossSectionModule`.
    """

    optimizer_class = ReplayedAdamW

    def __init__(
        self,
        recorder: Callable[[torch.device], Recorder],
        insist: bool,
        *arguments: Any,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.make_recorder, self.insist = recorder, insist
        self._given_up = self._replayed = False
        self._forget()

    def _forget(self) -> None:
        self._recorder: Recorder | None = None
        self._begun: object = None
        self._replays: dict[str, Function] = {}
        self._sources: dict[bool, Callable[[], DayChunk]] = {}
        self._held: dict[bool, DayChunk] = {}
        self._names: tuple[str, ...] = ()

    def on_fit_start(self) -> None:
        """Make the places of what differs between two replays."""
        self._recorder = self.make_recorder(self.device)
        self._first_day, self._days = (torch.zeros((), dtype=torch.long, device=self.device) for _ in range(2))
        groups = len(self._optimizer().param_groups)
        self._rates = torch.zeros(groups, dtype=self._recorder.rates, device=self.device)

    def on_train_epoch_start(self) -> None:
        """Forget what was recorded in another phase."""
        super().on_train_epoch_start()
        if self._begun is not self.phase:
            self._replays = {}

    def on_fit_end(self) -> None:
        """Give the memory of the recorded passes back."""
        super().on_fit_end()
        self._forget()
        self.zero_grad(set_to_none=True)

    def training_step(self, batch: DayChunk | Place, batch_idx: int) -> Tensor:
        """Replay the step, or compute it where there is nothing to replay yet."""
        self._replayed = False
        begun, self._begun = self._begun is self.phase, self.phase
        if not begun or not self._recorded("step", batch, self._step, partial(self._step, update=False)):
            return super().training_step(cut(batch), batch_idx)
        self.check_labels(batch)
        if batch_idx in self._probes and self._recorded("probe", batch, self._task_norms, self._task_norms):
            (norms,) = self._replay("probe", batch)
            self._means.add_values(tuple(f"task_grad_norm/{name}" for name in self._parts), norms, batch.days)
        loss, figures, norms = self._replay("step", batch)
        self._means.add_values(self._names, figures, batch.days)
        self._means.add_values(tuple(f"grad_norm/{name}" for name in self._parts), norms, 1)
        self._replayed = self._optimizer().updated = True
        return loss.clone()

    def validation_step(self, batch: DayChunk | Place, batch_idx: int) -> None:
        """Keep the scores of a chunk for the metrics of the epoch."""
        if not self._recorded("validation", batch, self._validation, self._validation):
            super().validation_step(cut(batch), batch_idx)
            return
        score, target, present = self._replay("validation", batch)
        self.keep_validated((score, target, present), batch.days)

    def backward(self, loss: Tensor, *arguments: Any, **named: Any) -> None:
        """Compute the gradient, unless the replayed step has."""
        if not self._replayed:
            super().backward(loss, *arguments, **named)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Leave the gradients of a replayed step alone."""
        if not self._replayed:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Note the gradient norms, unless the replayed step has."""
        if not self._replayed:
            super().on_before_optimizer_step(optimizer)

    def configure_gradient_clipping(self, *arguments: Any, **named: Any) -> None:
        """Clip, unless the replayed step has."""
        if not self._replayed:
            super().configure_gradient_clipping(*arguments, **named)

    def _optimizer(self) -> ReplayedAdamW:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, ReplayedAdamW)
        return optimizer

    def _recorded(self, name: str, batch: DayChunk | Place, function: Function, warm_up: Function) -> bool:
        """Record a pass unless it is; return whether there is one to replay."""
        if name in self._replays or self._given_up:
            return not self._given_up
        assert self._recorder is not None
        self._place(batch)
        try:
            self._replays[name] = self._recorder.record(name, function, warm_up)
        except RuntimeError as error:  # what CUDA and PyTorch raise
            if self.insist:
                raise
            self._given_up, self._replays = True, {}
            reason = str(error).strip().splitlines()[0]
            logger.warning("training.cuda_graphs: auto goes on without CUDA graphs, which failed: %s", reason)
        finally:
            self.zero_grad(set_to_none=True)
        return not self._given_up

    def _replay(self, name: str, batch: DayChunk | Place) -> tuple[Tensor, ...]:
        self._place(batch)
        return self._replays[name]()

    def _place(self, batch: DayChunk | Place) -> None:
        """Put what differs between two replays where they read it."""
        assert self._recorder is not None
        self._recorder.generator.manual_seed(torch.initial_seed())  # that of the step, see `SeedEveryStep`
        for rate, group in zip(self._rates, self._optimizer().param_groups, strict=True):
            rate.fill_(group["lr"])
        part = self.training
        if isinstance(batch, Place):
            self._first_day.fill_(batch.first_day)
            self._days.fill_(batch.days)
            self._sources.setdefault(part, partial(batch.market.chunk_at, self._first_day, self._days, batch.shape))
        elif part in self._held:
            for place, value in zip(_tensors(self._held[part]), _tensors(batch), strict=True):
                place.copy_(value)
        else:
            held: Any = {name: value.clone() for name, value in batch._asdict().items() if isinstance(value, Tensor)}
            self._held[part] = batch._replace(days=len(batch.target), **held)
            self._sources[part] = partial(self._held.__getitem__, part)

    @contextmanager
    def _pass(self) -> Iterator[DayChunk]:
        """Yield the chunk; casts of weights are not kept from one pass to the next, random numbers are our own."""
        assert self._recorder is not None
        kind = self.device.type
        on, rounded = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        with drawing_from(self._recorder.generator), torch.autocast(kind, rounded, on, cache_enabled=False):
            yield self._sources[self.training]()

    def _step(self, update: bool = True) -> tuple[Tensor, ...]:
        self.zero_grad(set_to_none=True)
        with self._pass() as chunk:
            loss, figures = self.loss_and_figures(chunk)
        self._names, optimizer = tuple(figures), self._optimizer()
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()
            norms, clip = monitor.gradient_norms(self._parts), self.training_params.gradient_clip
            if clip:
                torch.nn.utils.clip_grads_with_norm_(self.parameters(), clip, norms.total)
            if update:
                with optimizer.reading(self._rates):
                    optimizer.step()
        return loss.detach(), monitor.stacked_figures(figures), monitor.stacked_figures(norms.by_part)

    def _task_norms(self) -> tuple[Tensor, ...]:
        with self._pass() as chunk:
            task = self.task_loss(chunk)
        with torch.autocast(self.device.type, enabled=False):
            return (monitor.stacked_figures(monitor.task_gradient_norms(self.model, task)),)

    def _validation(self) -> tuple[Tensor, ...]:
        with self._pass() as chunk:
            return self.validate(chunk)


def _tensors(chunk: DayChunk) -> list[Tensor]:
    return [value for value in chunk if isinstance(value, Tensor)]
