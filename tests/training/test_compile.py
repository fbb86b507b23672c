"""`training.compile` changes the speed of a training and nothing else."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training import FitResult, fit_model
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


@pytest.mark.parametrize("conv", ["gat", "gatv2", "sage", "gin", "transformer"])
def test_the_compiler_takes_the_whole_model_as_one_graph(market, conv):
    explained = explain(market, model_params(dropout=0.2, gat={"conv": conv}), training=True)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0), explained.break_reasons


def test_the_graph_breaks_where_edges_are_dropped_and_nowhere_else(market, model):
    assert model.gat.edge_dropout > 0
    assert explain(market, model, training=False).graph_break_count == 0
    torch._dynamo.reset()
    reasons = explain(market, model, training=True).break_reasons
    assert {reason.user_stack[-1].name for reason in reasons} <= {"_drop"}


def test_the_model_is_compiled_in_place_for_chunks_of_any_size(market, model, tmp_path, monkeypatch):
    """Traced by the compiler, computed by PyTorch itself: code is generated in the test below alone."""
    asked = []
    compile_in_place = ATFTGATFAN.compile

    def traced(network, **settings):
        asked.append(settings)
        compile_in_place(network, backend="eager", **settings)

    monkeypatch.setattr(ATFTGATFAN, "compile", traced)
    changes = {"max_epochs": 2, "max_batches": 3}
    eager = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, **changes))
    assert asked == []
    compiled = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path, compile=True, **changes))
    assert asked == [{"dynamic": True}]
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
