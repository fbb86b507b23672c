"""`training.compile` changes the speed of a training and nothing else."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training import FitResult, fit_model
from gogooku_kedro.training.acceleration import accelerate, pays
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, training_params

pytestmark = pytest.mark.training


@pytest.fixture(autouse=True)
def _a_fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def assert_same_training(one: FitResult, other: FitResult) -> None:
    """Two trainings agree to rounding in every figure and weight."""
    pd.testing.assert_frame_equal(one.history, other.history, rtol=1e-4, atol=1e-5)
    assert set(one.seed_model.weights) == set(other.seed_model.weights)
    for name, weight in one.seed_model.weights.items():
        np.testing.assert_allclose(weight, other.seed_model.weights[name], rtol=0, atol=1e-5, err_msg=name)


def explain(market, params, training: bool):
    """What the compiler makes of one forward pass of a whole model."""
    sizes = (market.x.size(-1), market.levels.size(-1), market.context.size(-1))
    chunk = market.chunk(12, 5, params.window)
    return torch._dynamo.explain(ATFTGATFAN(params, *sizes).train(training))(
        chunk.x, chunk.present, chunk.levels, chunk.context, chunk.edge_index, chunk.edge_attr
    )


EXTENDED = {
    "layers": 2,
    "diffusion": {"enabled": True, "hops": 2, "restart": 0.2},
    "learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01},
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(
    "gat",
    [*({"conv": conv} for conv in ("gat", "gatv2", "sage", "gin", "transformer")), EXTENDED],
    ids=["gat", "gatv2", "sage", "gin", "transformer", "all parts"],
)
def test_the_compiler_takes_the_whole_model_as_one_graph(market, gat, training):
    explained = explain(market, model_params(dropout=0.2, gat=gat | {"edge_dropout": 0.2}), training=training)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0), explained.break_reasons


def test_one_compilation_serves_all_chunks_of_training_and_one_those_of_validation(
    market, model, tmp_path, monkeypatch
):
    """The first and the last chunk of an epoch are shorter, and the graph changes at session 30."""
    compiled, compile_in_place = [], ATFTGATFAN.compile

    def counting(graph, _):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(ATFTGATFAN, "compile", lambda n, **s: compile_in_place(n, backend=counting, fullgraph=True))
    market = replace(market, graph=drop_edges(market.graph, 3))
    assert len(set(market.graph.edges_of_day[slice(*TRAIN)])) == 2
    fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, compile=True, max_epochs=3))
    assert len(compiled) == 2


def drop_edges(graph, number):
    """The graphs without the last edges of the last one."""
    offset = graph.offset.clone()
    offset[-1] -= number
    return replace(graph, offset=offset)


def test_with_auto_a_model_that_cannot_be_compiled_is_trained_all_the_same(
    market, model, tmp_path, monkeypatch, caplog
):
    compile_in_place = ATFTGATFAN.compile

    def refuse(graph, inputs):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(ATFTGATFAN, "compile", lambda n, **settings: compile_in_place(n, backend=refuse))
    monkeypatch.setattr("gogooku_kedro.training.acceleration.resolve_device", lambda device: "cuda")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (2**40, 2**40))
    monkeypatch.setattr("gogooku_kedro.model.vsn_kernels.vsn_triton", None)
    monkeypatch.setattr("gogooku_kedro.training.acceleration.COMPILATION", 0.0)
    settings = {"max_epochs": 2, "max_batches": 3}
    plain = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, **settings))
    tried = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, compile="auto", **settings))
    assert "training.compile: auto goes on without compilation, which failed" in caplog.text
    assert "are kept for the backward pass" in caplog.text
    assert_same_training(plain, tried)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="no such kernel"):
        fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path / "x", compile=True, **settings))


def test_auto_compiles_where_a_training_gains_more_than_it_costs():
    small, large = 11 * 1026 * 125 * 4, 67 * 4000 * 182 * 16
    assert not pays(small, 1000)
    assert pays(small, 10_000)
    assert pays(large, 2000)
    assert not pays(large, 100)
    assert pays(large, 20_000, captured=True)
    assert not pays(large, 2000, captured=True)
    assert not pays(small, 100_000, captured=True)


def test_on_a_cpu_auto_neither_compiles_nor_keeps_more(market, model, tmp_path, caplog):
    network = ATFTGATFAN(model, 4, 2, 0)
    accelerate(network, training_params(tmp_path, compile="auto"), 4000, 10**9)
    assert network._compiled_call_impl is None
    assert network.vsn.recompute
    assert caplog.text == ""


def test_memory_decides_whether_the_variable_selection_computes_twice(model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("gogooku_kedro.training.acceleration.resolve_device", lambda device: "cuda")
    monkeypatch.setattr("gogooku_kedro.model.vsn_kernels.vsn_triton", None)
    training = training_params(tmp_path, chunk_days=5)
    tokens = 20 * (5 + model.window - 1)
    for free, computes_twice in ((2 * 30 * tokens * 4 * 4, False), (2 * 30 * tokens * 4 * 4 - 1, True)):
        network = ATFTGATFAN(model, 4, 2, 0)  # 4 features of 4 channels
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda free=free: (free, free))
        accelerate(network, training, 20, 1)
        assert network.vsn.recompute == computes_twice
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(("precision", "kept"), [("bf16-mixed", 2), ("32-true", 4)])
def test_kernels_keep_one_value_where_pytorch_keeps_eight(model, tmp_path, monkeypatch, caplog, precision, kept):
    monkeypatch.setattr("gogooku_kedro.training.acceleration.resolve_device", lambda device: "cuda")
    monkeypatch.setattr("gogooku_kedro.model.vsn_kernels.vsn_triton", "there")
    monkeypatch.setattr("gogooku_kedro.model.vsn_kernels.triton_works", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (9, 0))
    network = ATFTGATFAN(model, 4, 2, 0)  # 4 features of 4 channels
    days = 2**26 - model.window + 1  # 2**26 tokens of one stock
    accelerate(network, training_params(tmp_path, chunk_days=days, precision=precision), 1, 1)
    assert caplog.messages == [f"the variable selection runs in kernels of its own, which keep {kept}.0 GiB"]


def test_the_variable_selection_is_the_same_whether_or_not_it_computes_twice(model):
    torch.manual_seed(0)
    vsn = ATFTGATFAN(model, 4, 2, 0).vsn.eval()
    x, results = torch.randn(700, 4), []
    for vsn.recompute in (True, False):
        vsn.zero_grad()
        tokens, weights = vsn(x)
        tokens.square().sum().backward()
        results.append([tokens, weights, *(p.grad.clone() for p in vsn.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_under_autocast_the_variable_selection_rounds_but_does_not_drift(model):
    torch.manual_seed(0)
    vsn = ATFTGATFAN(model, 4, 2, 0).vsn.eval()
    x = torch.randn(700, 4)
    plain = vsn(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = vsn(x)[0]
    assert (rounded - plain).square().mean().sqrt() < 0.02 * plain.std()


def test_the_model_is_compiled_in_place_for_one_size(market, model, tmp_path, monkeypatch):
    """Traced by the compiler, computed by PyTorch itself: code is generated in the test below alone."""
    asked = []
    compile_in_place = ATFTGATFAN.compile

    def traced(network, **settings):
        asked.append(settings)
        compile_in_place(network, backend="eager", dynamic=settings["dynamic"])

    monkeypatch.setattr(ATFTGATFAN, "compile", traced)
    changes = {"max_epochs": 2, "max_batches": 3}
    eager = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, **changes))
    assert asked == []
    compiled = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, compile=True, **changes))
    assert asked == [{"dynamic": False, "mode": None}]
    assert_same_training(eager, compiled)


@pytest.mark.slow  # a C++ compiler builds the model for training and for validation
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) is installed")
def test_compiled_code_trains_as_eager_code_does(market, tmp_path):
    model = model_params()  # without dropout: generated code draws other random numbers
    settings = {"max_epochs": 2, "max_batches": 3}
    eager, compiled = (
        fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, compile=on, **settings))
        for on in (False, True)
    )
    assert_same_training(eager, compiled)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) is installed")
def test_compiled_code_trains_with_dropped_edges(market, model, tmp_path):
    settings = training_params(tmp_path, compile=True, max_epochs=1, max_batches=2)
    history = fit_model(market, TRAIN, VALID, "h", model, settings).history
    assert np.isfinite(history.to_numpy()).all()
    assert (history.filter(like="grad_norm/") > 0).all(axis=None)
