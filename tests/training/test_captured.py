"""Recorded steps compute what the steps themselves do; where there is no CUDA, a recording is run again."""

import logging
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gogooku_kedro.training import fit_ensemble, fit_model, train_seed
from gogooku_kedro.training.captured import Part, ReplayedAdamW
from gogooku_kedro.training.data import DayChunkDataModule
from gogooku_kedro.training.device import resolve_cuda_graphs
from gogooku_kedro.training.monitor import PROBES
from gogooku_kedro.training.tensors import DayChunk
from tests.model.conftest import model_params
from tests.training.conftest import LOSS, TRAIN, VALID, PowerCut, assert_equal_results, phase, training_params
from tests.training.test_compile import drop_edges
from tests.training.test_ensemble import member_result

pytestmark = pytest.mark.training


TENSORS = [name for name, kind in DayChunk.__annotations__.items() if kind is torch.Tensor]


class Places(TorchDispatchMode):
    """Note the memory that a function reads and has not made itself."""

    def __init__(self):
        super().__init__()
        self.read, self._made = [], {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in tensors_of((args, kwargs)):
            place = tensor.untyped_storage().data_ptr()
            if place not in self._made and place not in self.read:
                self.read.append(place)
        found = func(*args, **(kwargs or {}))
        for tensor in tensors_of(found):  # held, so that no place is given away a second time
            if tensor.untyped_storage().data_ptr() not in self.read:
                self._made[tensor.untyped_storage().data_ptr()] = tensor
        return found


def tensors_of(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Rerun:
    """A recorder for the CPU: a replay calls the function again, which must read the memory that it read before."""

    log: ClassVar[list[str]] = []
    watched = True
    rates = torch.float64

    def __init__(self, device):
        self.generator = torch.Generator(device)

    def record(self, name, function, warm_up):
        replay = self.record_together([Part(self, function, warm_up)])
        return lambda: replay()[0]

    @classmethod
    def record_together(cls, parts):
        name = parts[0].function.__name__
        for part in parts:
            part.warm_up()
        cls.log.append(f"record {len(parts)} {name}")
        recorded = []

        def replay():
            cls.log.append(f"replay {len(parts)} {name}")
            if not cls.watched:
                return [part.function() for part in parts]
            with Places() as places:
                found = [part.function() for part in parts]
            recorded.append(places.read)
            assert places.read == recorded[0], "the memory that a recording reads is not what it is replayed on"
            return found

        return replay


@pytest.fixture
def recorded(monkeypatch):
    """Train with recordings on the CPU."""
    Rerun.log.clear()
    chosen = lambda training, watched=False, say=False: training.cuda_graphs is not False  # noqa: E731
    monkeypatch.setattr(train_seed, "resolve_cuda_graphs", chosen)
    monkeypatch.setattr(train_seed, "CudaRecorder", Rerun)


def fit(market, model, settings, *callbacks):
    return fit_model(market, TRAIN, VALID, "h", model, settings, callbacks)


VARIANTS = {
    **{conv: {"gat": {"conv": conv}} for conv in ("gat", "gatv2", "sage", "gin", "transformer")},
    "all parts": {
        "gat": {
            "layers": 2,
            "diffusion": {"enabled": True, "hops": 2, "restart": 0.2},
            "learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01},
        },
        "feature_dropout": 0.3,
    },
    "no graph": {"gat": {"enabled": False}},
}


@pytest.mark.parametrize(
    ("changes", "memory"),
    [*((changes, "device") for changes in VARIANTS.values()), (VARIANTS["gatv2"], "host")],
    ids=[*VARIANTS, "market in host memory"],
)
def test_recorded_steps_train_as_the_steps_themselves(market, tmp_path, recorded, changes, memory):
    gat = {"edge_dropout": 0.3} | changes.get("gat", {})
    model = model_params(dropout=0.2, **(changes | {"gat": gat}))
    settings = {"max_epochs": 2, "market_memory": memory}
    plain = fit(market, model, training_params(tmp_path / "a", **settings))
    assert Rerun.log == []
    replayed = fit(market, model, training_params(tmp_path / "b", cuda_graphs=True, **settings))
    assert_equal_results(replayed, plain)
    assert [Rerun.log.count(f"record 1 {name}") for name in ("_step", "_task_norms", "_validation")] == [1, 1, 1]
    steps = sum(len(cuts(epoch)) for epoch in range(2))
    assert Rerun.log.count("replay 1 _step") == steps - 1
    assert Rerun.log.count("replay 1 _task_norms") == 2 * PROBES - 1
    assert Rerun.log.count("replay 1 _validation") == 2 * 3


def cuts(epoch):
    module = DayChunkDataModule(None, TRAIN, VALID, 5, 6, seed=0)
    return module.epoch_cuts(epoch)


def test_every_phase_is_recorded_anew_after_a_step_of_its_own(market, model, tmp_path, recorded):
    phases = [phase(name="own", epochs=1, graph=False), phase(learning_rate_factor=0.5)]
    settings = {"phases": phases, "max_epochs": 2}
    plain = fit(market, model, training_params(tmp_path / "a", **settings))
    replayed = fit(market, model, training_params(tmp_path / "b", cuda_graphs=True, **settings))
    assert_equal_results(replayed, plain)
    assert Rerun.log.count("record 1 _step") == 2


def test_a_recorded_run_that_was_cut_off_goes_on(market, model, tmp_path, recorded):
    changes = {"cuda_graphs": True, "max_epochs": 2}
    whole = fit(market, model, training_params(tmp_path / "whole", **changes))
    for batch in (0, 3):
        settings = training_params(tmp_path / f"cut in batch {batch}", **changes)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(market, model, settings, PowerCut(epoch=1, batch=batch))
        assert_equal_results(fit(market, model, settings), whole)


def test_recorded_steps_of_one_loop_train_each_model_as_alone(market, tmp_path, recorded, monkeypatch):
    """Also after one of them has stopped, and in steps that they do not take together."""
    monkeypatch.setattr(Rerun, "watched", False)
    model, seeds = model_params(dropout=0.2), [0, 3, 5]
    settings = {"cuda_graphs": True, "patience": 1, "max_epochs": 4, "learning_rate": 0.03}
    one_loop = training_params(tmp_path, seeds=seeds, seeds_together=True, **settings)
    together = fit_ensemble(market, TRAIN, VALID, "h", model, one_loop)
    epochs = [each.training["epochs"] for each in together.ensemble.seed_models]
    assert len(set(epochs)) == 2, "a seed of this test should stop before the others"
    joined = [line for line in Rerun.log if line.startswith("replay 3 _step")]
    assert len(joined) > 0.7 * sum(len(cuts(epoch)) for epoch in range(min(epochs))), "most steps are steps of all"
    assert Rerun.log.count("record 3 _step") == 1
    assert Rerun.log.count("record 2 _step") + Rerun.log.count("record 1 _step") <= 4, "nothing is recorded twice"
    for position, seed in enumerate(seeds):
        alone = fit(market, model, training_params(tmp_path / "alone", seed=seed, **settings | {"cuda_graphs": False}))
        assert_equal_results(member_result(together, position), alone)


def test_a_recorded_loop_that_was_cut_off_goes_on(market, model, tmp_path, recorded, monkeypatch):
    monkeypatch.setattr(Rerun, "watched", False)
    changes = {"cuda_graphs": True, "max_epochs": 2, "seeds": [0, 3], "seeds_together": True}
    whole = fit_ensemble(market, TRAIN, VALID, "h", model, training_params(tmp_path / "whole", **changes))
    settings = training_params(tmp_path / "cut", **changes)
    with pytest.raises(RuntimeError, match="power cut"):
        fit_ensemble(market, TRAIN, VALID, "h", model, settings, (PowerCut(epoch=1, batch=3, seed=3),))
    again = fit_ensemble(market, TRAIN, VALID, "h", model, settings)
    for position in range(2):
        assert_equal_results(member_result(again, position), member_result(whole, position))


class Refusing(Rerun):
    @classmethod
    def record_together(cls, parts):
        for part in parts:
            part.warm_up()
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def test_with_auto_a_step_that_cannot_be_recorded_is_computed(market, model, tmp_path, recorded, monkeypatch, caplog):
    monkeypatch.setattr(train_seed, "CudaRecorder", Refusing)
    settings = {"max_epochs": 2}
    plain = fit(market, model, training_params(tmp_path / "a", **settings))
    tried = fit(market, model, training_params(tmp_path / "b", cuda_graphs="auto", **settings))
    assert_equal_results(tried, plain)
    (said,) = [m for m in caplog.messages if "CUDA graphs" in m]
    assert said.endswith("goes on without CUDA graphs, which failed: operation not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not permitted"):
        fit(market, model, training_params(tmp_path / "c", cuda_graphs=True, **settings))


def test_with_auto_the_models_of_a_loop_go_on_without_what_cannot_be_recorded(
    market, model, tmp_path, recorded, monkeypatch, caplog
):
    monkeypatch.setattr(train_seed, "CudaRecorder", Refusing)
    settings = {"max_epochs": 2, "cuda_graphs": "auto"}
    one_loop = training_params(tmp_path, seeds=[0, 3], seeds_together=True, **settings)
    tried = fit_ensemble(market, TRAIN, VALID, "h", model, one_loop)
    assert len([m for m in caplog.messages if "CUDA graphs, which failed" in m]) == 2
    plain = fit(market, model, training_params(tmp_path / "a", seed=3, max_epochs=2))
    assert_equal_results(member_result(tried, 1), plain)


def test_a_chunk_without_labels_is_refused_before_it_is_replayed(market, model, tmp_path, recorded):
    target = market.target.clone()
    target[20:40] = torch.nan
    without = replace(market, target=target)
    with pytest.raises(ValueError, match="no label on the chunk of days that begins at"):
        fit(without, model, training_params(tmp_path, cuda_graphs=True))


@pytest.mark.parametrize(
    ("changes", "watched", "reason"),
    [
        ({"devices": 2}, False, "training.devices is above 1"),
        ({"accumulate": 2}, False, "training.accumulate is above 1"),
        ({}, True, "debug.gat_verbose logs every step"),
        ({"loss": LOSS | {"pairwise_weight": 0.1}}, False, "training.loss.pairwise_weight draws its pairs on the host"),
    ],
)
def test_what_cannot_be_recorded_is_said(tmp_path, monkeypatch, caplog, changes, watched, reason):
    monkeypatch.setattr("gogooku_kedro.training.device.resolve_device", lambda device: "cuda")
    caplog.set_level(logging.INFO, logger="gogooku_kedro")
    assert resolve_cuda_graphs(training_params(tmp_path, cuda_graphs="auto"), say=True)
    assert caplog.messages == []
    assert not resolve_cuda_graphs(training_params(tmp_path, cuda_graphs="auto", **changes), watched, say=True)
    assert caplog.messages == [f"no CUDA graphs: {reason}"]
    assert not resolve_cuda_graphs(training_params(tmp_path, cuda_graphs=False))


def test_on_a_cpu_nothing_is_recorded(tmp_path):
    assert not resolve_cuda_graphs(training_params(tmp_path, cuda_graphs=True))


def test_an_optimiser_reads_its_learning_rates_where_a_recorded_step_finds_them():
    weight, plain = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    rates = torch.tensor([0.125])
    optimizer, reference = ReplayedAdamW([weight], lr=0.5, fused=True), torch.optim.AdamW([plain], lr=0.125, fused=True)
    weight.grad, plain.grad = torch.ones(2, 2), torch.ones(2, 2)
    with optimizer.reading(rates):
        optimizer.step()
    reference.step()
    torch.testing.assert_close(weight, plain)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["capturable"]) == (0.5, False)


@pytest.mark.parametrize("counted", [1, 3, 5])
@pytest.mark.parametrize("first_day", [5, 28, 40, 55, 57])
def test_a_chunk_cut_on_the_device_is_the_chunk(market, first_day, counted):
    counted = min(counted, len(market.present) - first_day)
    market = replace(market, graph=drop_edges(market.graph, 3))
    wanted = market.chunk(first_day, 5, 6, counted, 40)
    found = market.chunk_at(torch.tensor(first_day), torch.tensor(counted), (5, 6, 40))
    for name in TENSORS:
        one, other = getattr(found, name), getattr(wanted, name)
        assert torch.equal(one.nan_to_num(9.0), other.nan_to_num(9.0)), name
        assert one.dtype == other.dtype
        assert one.is_contiguous()
