"""Train several models in one loop, their passes through the network computed as one.

Each model has a trainer of its own, in a thread of its own, with all that a trainer keeps: optimiser, averaged weights,
early stopping, checkpoints, history. One thread runs at a time, until it asks for a pass through the network or for its
gradient; when all have asked, those that ask alike are answered by one pass over stacked weights. On a GPU ten small
models then start hardly more kernels than one. Where steps are recorded as CUDA graphs, one graph holds the steps of
all models side by side. What a model computes does not depend on the others but in rounding.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Generator, Tensor
from torch.func import functional_call
from torch.utils import _pytree as pytree

from gogooku_kedro.model import ATFTGATFAN, ModelOutput
from gogooku_kedro.model.dropout import own_generators
from gogooku_kedro.model.vsn import KEPT
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.captured import CudaRecorder, Function, Part, Replay
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.tensors import DayChunk, MarketTensors

INPUTS = ("x", "present", "levels", "context", "edge_index", "edge_attr")


class Request(NamedTuple):
    """What a model waits for; requests with one key are answered together."""

    key: tuple[Any, ...]
    content: Any


class Closed(RuntimeError):
    """The training of another model has failed."""


class Seat:
    """The place of one model in the loop; its methods are called in the model's thread.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: "Loop") -> None:
        self.loop, self.turn = loop, threading.Semaphore(0)
        self.request: Request | None = None
        self.answer: Any = None
        self.group: Sequence[Seat] = ()
        self.random_state: dict[str, Tensor] = {}
        self.parts: dict[str, Part] = {}
        self.finished = False
        self.error: BaseException | None = None

    def __deepcopy__(self, memo: Any) -> "Seat":
        """Averaged weights are those of a copy of the module, which has the same seat."""
        return self

    def forward(self, model: ATFTGATFAN, chunk: DayChunk) -> ModelOutput:
        """Return what the model makes of a chunk."""
        inputs = tuple(getattr(chunk, name) for name in INPUTS)
        modes = (model.training, model.graph_enabled, torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        output: ModelOutput = self._ask(("forward", *modes, *(x.shape for x in inputs)), (model, inputs))
        return output

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to the model's weights."""
        self._ask(("backward",), loss)

    def record(self, name: str, part: Part) -> None:
        """Record a pass, as one with those of the others where they have got here too.

        Raises:
            RuntimeError: If it cannot be recorded, in the thread of every model.
        """
        self.parts[name] = part
        if (error := self._ask(("record", name), None)) is not None:
            raise error

    def replay(self, name: str) -> tuple[Tensor, ...]:
        """Return what the recorded pass of this name returns, replayed with those of the others."""
        found: tuple[Tensor, ...] = self._ask(("replay", name), None)
        return found

    def wait_for_all(self) -> None:
        """Return when every model has got here or has finished."""
        self._ask(("wait",), None)

    def _ask(self, key: tuple[Any, ...], content: Any) -> Any:
        self.request, self.random_state = Request(key, content), _random_state()
        self._pass_the_turn()
        while self.group:  # this thread, whose modes are those of all of them, answers
            group, self.group = self.group, ()
            ANSWERS[group[0].request.key[0]](group)  # type: ignore[union-attr]
            self._pass_the_turn()
        for device, state in self.random_state.items():
            _generator(device).set_state(state)
        answer, self.answer = self.answer, None
        return answer

    def _pass_the_turn(self) -> None:
        self.loop.turn.release()
        self.turn.acquire()
        if self.loop.closed:
            raise Closed


class Loop:
    """Let the threads of several models run in turn."""

    def __init__(self) -> None:
        self.turn, self.closed = threading.Semaphore(0), False
        self.seats: tuple[Seat, ...] = ()
        self.recordings: dict[str, dict[tuple[Seat, ...], Replay]] = {}

    def run(self, trainings: Sequence[Callable[..., None]]) -> None:
        """Call all trainings with a `seat` and return when all have ended.

        Raises:
            BaseException: Of the first training that fails; the others are stopped where they are.
        """
        self.seats = seats = tuple(Seat(self) for _ in trainings)
        threads = [
            threading.Thread(target=self._sit, args=pair, daemon=True) for pair in zip(seats, trainings, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            while any(not seat.finished for seat in seats):
                for seat in seats:
                    if seat.request is None and not seat.finished:
                        self._let(seat)
                self._answer([seat for seat in seats if not seat.finished])
        finally:
            self.closed = True
            for seat, thread in zip(seats, threads, strict=True):
                if not seat.finished:
                    seat.turn.release()
                thread.join()

    def recording(self, name: str, group: tuple[Seat, ...]) -> Replay:
        """Return what replays a pass of a group of models as one; it is recorded if it has not been."""
        of_name = self.recordings.setdefault(name, {})
        if group not in of_name:
            for outdated in [seats for seats in of_name if any(seat.finished for seat in seats)]:
                del of_name[outdated]  # gives its memory back
            parts = [seat.parts[name] for seat in group]
            states = [part.recorder.generator.get_state() for part in parts]  # a recording warms up with a pass
            of_name[group] = parts[0].recorder.record_together(parts)
            for part, state in zip(parts, states, strict=True):
                part.recorder.generator.set_state(state)
        return of_name[group]

    def groups(self, waiting: Sequence[Seat]) -> list[tuple[Seat, ...]]:
        """Part models into those whose recorded passes are one: all that train on, or each by itself."""
        together = all(seat.finished or seat in waiting for seat in self.seats)
        return [tuple(waiting)] if together else [(seat,) for seat in waiting]

    def _answer(self, waiting: Sequence[Seat]) -> None:
        groups: dict[tuple[Any, ...], list[Seat]] = {}
        for seat in waiting:
            assert seat.request is not None
            groups.setdefault(seat.request.key, []).append(seat)
        for key, group in groups.items():
            if key == ("wait",):
                if len(groups) > 1:
                    continue
            else:
                group[0].group = group
                self._let(group[0])
            for seat in group:
                seat.request = None

    def _let(self, seat: Seat) -> None:
        seat.turn.release()
        try:
            self.turn.acquire()
        except BaseException:  # KeyboardInterrupt: the thread still runs, up to what it asks for next
            self.turn.acquire()
            raise
        if seat.error is not None:
            raise seat.error

    def _sit(self, seat: Seat, training: Callable[..., None]) -> None:
        seat.turn.acquire()
        try:
            if not self.closed:
                training(seat=seat)
        except Closed:
            pass
        except BaseException as error:  # raised again where the loop runs
            seat.error = error
        finally:
            seat.finished = True
            self.turn.release()


class SeatedModule(CrossSectionModule):
    """A module whose passes through the network are computed with those of other models.

    The few passes that measure the gradient of the task alone are computed by themselves.

    Args:
        seat: Its place in the loop.
        arguments: As of `CrossSectionModule`.
    """

    def __init__(self, seat: Seat, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.seat, self._alone = seat, False

    def forward(self, chunk: DayChunk) -> ModelOutput:
        """Score a chunk of sessions."""
        return super().forward(chunk) if self._alone else self.seat.forward(self.model, chunk)

    def backward(self, loss: Tensor, *arguments: Any, **named: Any) -> None:
        """Compute the gradients of all models of the loop."""
        self.seat.backward(loss)

    def _task_gradient_norms(self, chunk: DayChunk) -> dict[str, Tensor]:
        self._alone = True
        try:
            return super()._task_gradient_norms(chunk)
        finally:
            self._alone = False


class SeatedRecorder:
    """Records the passes of a model as parts of those of all models of the loop.

    Args:
        seat: The place of the model in the loop.
        make: Makes the recorder of a device.
        device: The device.
    """

    def __init__(self, seat: Seat, make: Callable[[torch.device], CudaRecorder], device: torch.device) -> None:
        self.seat, self.own = seat, make(device)
        self.generator, self.rates = self.own.generator, self.own.rates

    def record(self, name: str, function: Function, warm_up: Function) -> Function:
        """Return what repeats `function` when the other models repeat theirs of this name."""
        self.seat.record(name, Part(self.own, function, warm_up))
        return partial(self.seat.replay, name)


class EpochsTogether(pl.Callback):
    """Begin an epoch when all models have saved the one before: a restart finds them at one epoch."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the others."""
        self.seat.wait_for_all()


def stacked_forward(
    models: Sequence[ATFTGATFAN], inputs: Sequence[tuple[Tensor, ...]], generators: Sequence[Generator]
) -> list[ModelOutput]:
    """Return what each model makes of its own inputs, computed in one pass.

    Args:
        models: Models of one structure and in one mode.
        inputs: Of each model, all of the same shapes.
        generators: What each model's random numbers are drawn from.
    """
    parameters = _stack([dict(model.named_parameters()) for model in models])
    buffers = _stack([dict(model.named_buffers()) for model in models])
    structure: list[Any] = []

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], *x: Tensor) -> tuple[Tensor, ...]:
        leaves, spec = pytree.tree_flatten(functional_call(models[0], (parameters, buffers), x))
        structure[:] = [spec, [isinstance(leaf, Tensor) for leaf in leaves]]
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))

    with own_generators(generators):
        found = torch.vmap(one)(parameters, buffers, *(torch.stack(each) for each in zip(*inputs, strict=True)))
    spec, is_tensor = structure
    outputs = []
    for each in zip(*(tensor.unbind() for tensor in found), strict=True):
        tensors = iter(each)
        outputs.append(pytree.tree_unflatten([next(tensors) if known else None for known in is_tensor], spec))
    return outputs


def pass_bytes(market: MarketTensors, params: ModelParams, days: int) -> int:
    """Estimate what one model keeps of a chunk of `days` for the backward pass, most of it of variable selection."""
    _, stocks, features = market.x.shape
    tokens = stocks * (days + params.window - 1)
    width = features * params.vsn.feature_size if params.vsn.enabled else 0
    return KEPT * tokens * (width + params.hidden_size)


def _stack(of_models: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([of_model[name] for of_model in of_models]) for name in of_models[0]}


def _answer_forward(group: Sequence[Seat]) -> None:
    models, inputs = zip(*(seat.request.content for seat in group), strict=True)  # type: ignore[union-attr]
    device = inputs[0][0].device
    generators = [Generator(device).set_state(seat.random_state[device.type]) for seat in group]
    for seat, answer in zip(group, stacked_forward(models, inputs, generators), strict=True):
        seat.answer = answer
    for seat, generator in zip(group, generators, strict=True):
        seat.random_state[device.type] = generator.get_state()


def _answer_backward(group: Sequence[Seat]) -> None:
    torch.stack([seat.request.content for seat in group]).sum().backward()  # type: ignore[union-attr]


def _answer_record(group: Sequence[Seat]) -> None:
    name, loop = _name(group), group[0].loop
    for seats in list(loop.recordings.get(name, {})):
        if set(seats) & set(group):  # of another phase
            del loop.recordings[name][seats]
    try:
        for seats in loop.groups(group):
            loop.recording(name, seats)
    except RuntimeError as error:  # what CUDA and PyTorch raise
        for seat in group:
            seat.answer = error


def _answer_replay(group: Sequence[Seat]) -> None:
    name, loop = _name(group), group[0].loop
    for seats in loop.groups(group):
        for seat, found in zip(seats, loop.recording(name, seats)(), strict=True):
            seat.answer = found


def _name(group: Sequence[Seat]) -> str:
    assert group[0].request is not None
    return str(group[0].request.key[1])


ANSWERS: dict[str, Callable[[Sequence[Seat]], None]] = {
    "forward": _answer_forward,
    "backward": _answer_backward,
    "record": _answer_record,
    "replay": _answer_replay,
}


def _generator(device: str) -> Generator:
    return torch.cuda.default_generators[torch.cuda.current_device()] if device == "cuda" else torch.default_generator


def _random_state() -> dict[str, Tensor]:
    devices = ("cpu", "cuda") if torch.cuda.is_available() and torch.cuda.is_initialized() else ("cpu",)
    return {device: _generator(device).get_state() for device in devices}
