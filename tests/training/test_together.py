"""Models that train in one loop end as each does alone."""

import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._pytree import tree_leaves

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training import device as device_module
from gogooku_kedro.training import fit_ensemble, fit_model
from gogooku_kedro.training.together import INPUTS, Loop, pass_bytes, stacked_forward
from tests.conftest import settings_of
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, PowerCut, assert_equal_results, phase, training_params
from tests.training.test_ensemble import member_result

PATH = {"enabled": True, "neighbours": True}
pytestmark = pytest.mark.training

SEEDS = [0, 3, 5]


def fit(market, model, settings, *callbacks):
    return fit_ensemble(market, TRAIN, VALID, "hash", model, settings, callbacks)


def assert_close_results(one, other, atol=2e-5):
    pd.testing.assert_frame_equal(one.history, other.history, rtol=1e-3, atol=1e-5)
    for name, weight in one.seed_model.weights.items():
        np.testing.assert_allclose(weight, other.seed_model.weights[name], atol=atol, err_msg=name)
    assert one.seed_model.training["best_epoch"] == other.seed_model.training["best_epoch"]
    assert one.seed_model.training["epochs"] == other.seed_model.training["epochs"]


def test_each_model_ends_as_if_trained_alone(market, model, tmp_path):
    settings = training_params(tmp_path, seeds=SEEDS, seeds_together=True, max_epochs=3)
    together = fit(market, model, settings)
    for position, seed in enumerate(SEEDS):
        alone = fit_model(
            market, TRAIN, VALID, "hash", model, training_params(tmp_path / "alone", seed=seed, max_epochs=3)
        )
        assert_close_results(member_result(together, position), alone)


@pytest.mark.parametrize(("seed", "batch"), [(0, 0), (3, 4), (5, 4)])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(market, model, tmp_path, uninterrupted, batch, seed):
    whole = uninterrupted(seeds=SEEDS, seeds_together=True)
    settings = training_params(tmp_path, seeds=SEEDS, seeds_together=True)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, PowerCut(epoch=2, batch=batch, seed=seed))
    again = fit(market, model, settings)
    for position in range(len(SEEDS)):
        assert_equal_results(member_result(again, position), member_result(whole, position))


VARIANTS = {
    **{conv: {"gat": {"conv": conv}} for conv in ("gat", "gatv2", "sage", "gin", "transformer")},
    "two layers, diffusion": {"gat": {"layers": 2, "diffusion": {"enabled": True, "hops": 2, "restart": 0.2}}},
    "learned graph": {"gat": {"learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01}}},
    "no graph": {"gat": {"enabled": False}},
    "no selection, no levels": {"vsn": {"enabled": False}, "fan": {"enabled": False}, "san": {"enabled": False}},
}


def drawn(changes, seeds=SEEDS):
    gat = {"edge_dropout": 0.3} | changes.get("gat", {})
    params = model_params(dropout=0.3, linear_path=PATH, **(changes | {"gat": gat}))
    return [network(seed, params) for seed in seeds]


def network(seed, params):
    torch.manual_seed(seed)
    return ATFTGATFAN(params, 4, 2, 0).train().double()


def inputs_of(market, first_day):
    chunk = market.chunk(first_day, 5, 6)
    inputs = (getattr(chunk, name) for name in INPUTS)
    return tuple(x.double() if x.is_floating_point() else x for x in inputs)


def gradient(model, output):
    leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
    total = torch.stack([leaf.double().square().mean() for leaf in leaves]).sum()
    return torch.autograd.grad(total, list(model.parameters()), allow_unused=True, retain_graph=True)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_one_pass_of_all_gives_the_outputs_and_gradients_of_each(market, changes):
    models, days = drawn(changes), (12, 18, 30)
    inputs = [inputs_of(market, day) for day in days]
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    together = stacked_forward(models, inputs, generators)
    for seed, model, own, output, generator in zip(SEEDS, models, inputs, together, generators, strict=True):
        torch.manual_seed(seed)
        alone = model(*own)
        torch.testing.assert_close(output, alone, rtol=1e-6, atol=1e-9)
        assert torch.equal(generator.get_state(), torch.get_rng_state())  # it has drawn as much
        for one, other in zip(gradient(model, output), gradient(model, alone), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_the_models_of_one_pass_have_masks_of_their_own(market):
    models = drawn({}, seeds=[0, 0])
    inputs = [inputs_of(market, 12)] * 2
    one, other = stacked_forward(models, inputs, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    assert not torch.allclose(one.score, other.score)


IMPATIENT = {"seeds": SEEDS, "max_epochs": 12, "patience": 1, "learning_rate": 0.03}


def test_each_model_stops_when_its_own_patience_ends(market, model, tmp_path, uninterrupted):
    together = uninterrupted(seeds_together=True, **IMPATIENT)
    in_turn = fit(market, model, training_params(tmp_path, **IMPATIENT))
    epochs = [each.training["epochs"] for each in together.ensemble.seed_models]
    assert epochs == [each.training["epochs"] for each in in_turn.ensemble.seed_models]
    assert len(set(epochs)) > 1, "the seeds of this test should stop at different epochs"
    for position in range(len(SEEDS)):
        assert_close_results(member_result(together, position), member_result(in_turn, position))


def test_phases_without_graph_train_together_too(market, model, tmp_path):
    phases = [phase(name="warm-up", epochs=1, graph=False), phase(learning_rate_factor=0.5)]
    changes = {"seeds": SEEDS, "max_epochs": 2, "phases": phases, "accumulate": 2}
    together = fit(market, model, training_params(tmp_path, seeds_together=True, **changes))
    in_turn = fit(market, model, training_params(tmp_path / "x", **changes))
    for position in range(len(SEEDS)):  # AdamW enlarges the rounding of gradients that begin near 0
        assert_close_results(member_result(together, position), member_result(in_turn, position), atol=5e-4)


def test_a_finished_model_does_not_train_again(market, model, tmp_path, caplog, uninterrupted):
    whole = uninterrupted(seeds_together=True, **IMPATIENT)
    epochs = {each.training["seed"]: each.training["epochs"] for each in whole.ensemble.seed_models}
    longest = max(epochs, key=lambda seed: epochs[seed])
    settings = training_params(tmp_path, seeds_together=True, **IMPATIENT)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, PowerCut(epoch=epochs[longest] - 1, seed=longest))
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        again = fit(market, model, settings)
    assert "is finished already" in caplog.text
    for position in range(len(SEEDS)):
        assert_close_results(member_result(again, position), member_result(whole, position))


def test_nothing_of_a_failed_loop_goes_on(market, model, tmp_path):
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, training_params(tmp_path, seeds=SEEDS, seeds_together=True), PowerCut(epoch=0, seed=3))
    assert threading.active_count() == threads


def test_a_loop_that_is_interrupted_ends(monkeypatch):
    loop, reached = Loop(), []

    def training(seat):
        reached.append(seat)
        if len(reached) == 2:
            monkeypatch.setattr(loop.turn, "acquire", interrupted(loop.turn.acquire))
        seat.wait_for_all()
        reached.append(None)

    with pytest.raises(KeyboardInterrupt):
        loop.run([training, training, training])
    assert None not in reached


def interrupted(acquire):
    calls = iter([KeyboardInterrupt])

    def once(*arguments):
        for error in calls:
            raise error
        return acquire(*arguments)

    return once


def test_each_model_has_its_own_random_numbers_between_the_passes():
    def training(seat, seed, numbers):
        torch.manual_seed(seed)
        for _ in range(3):
            numbers.append(float(torch.rand(())))
            seat.wait_for_all()

    drawn = {seed: [] for seed in SEEDS}
    Loop().run([partial(training, seed=seed, numbers=numbers) for seed, numbers in drawn.items()])
    for seed, numbers in drawn.items():
        torch.manual_seed(seed)
        assert numbers == [float(torch.rand(())) for _ in range(3)]


@pytest.mark.parametrize(
    ("settings", "device", "free", "together"),
    [
        ({"seeds_together": "auto"}, "cpu", 0, False),
        ({"seeds_together": "auto"}, "cuda", 600, True),
        ({"seeds_together": "auto"}, "cuda", 599, False),
        ({"seeds_together": "auto", "cuda_graphs": "auto"}, "cuda", 600, True),
        ({"seeds_together": "auto", "cuda_graphs": "auto", "accumulate": 2}, "cuda", 600, True),
        ({"seeds_together": True}, "cpu", 0, True),
        ({"seeds_together": False}, "cuda", 600, False),
        ({"seeds_together": True, "devices": 2}, "cpu", 0, False),
        ({"seeds_together": True, "seeds": []}, "cpu", 0, False),
    ],
)
def test_when_models_train_together(tmp_path, monkeypatch, settings, device, free, together):
    monkeypatch.setattr(device_module, "resolve_device", lambda *_: device)
    monkeypatch.setattr(device_module, "free_memory", lambda: free)
    training = training_params(tmp_path, **({"seeds": SEEDS} | settings))
    assert device_module.resolve_seeds_together(training, needed=100) is together


def test_several_processes_train_in_turn_and_say_so(tmp_path, caplog):
    training = training_params(tmp_path, seeds=SEEDS, seeds_together=True, devices=2)
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        device_module.resolve_seeds_together(training, needed=1)
    assert caplog.messages == ["training.seeds_together: true, but training.devices is 2: in turn"]


def test_the_estimate_of_a_pass_is_that_of_the_measured_one():
    model = ModelParams.model_validate(settings_of("gat_production")["model"])
    market = SimpleNamespace(x=torch.empty(1, 4000, 182, device="meta"))
    assert pass_bytes(market, model, days=8) / 2**30 == pytest.approx(26.6, rel=0.15)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_each_model_trains_as_if_alone_too(market, model, tmp_path):
    changes = {"seeds": SEEDS, "device": "cuda", "compile": False, "max_epochs": 2}
    together = fit(market, model, training_params(tmp_path, seeds_together=True, **changes))
    in_turn = fit(market, model, training_params(tmp_path / "x", **changes))
    loss = "train/loss"
    np.testing.assert_allclose(together.history[loss], in_turn.history[loss], rtol=1e-3)
