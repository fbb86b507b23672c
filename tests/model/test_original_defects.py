"""The original's six failure phases and the true cause, planted again: each is caught, by name.

A defect in the network is shown to :func:`check_gradients` and, in a real training of the tiny market, to the
callback :class:`InformationFlow`; a defect of settings or of the graph to what reads them first.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from torch import nn

from gogooku_kedro.graph import check_graph
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.model.gat import GraphBlock
from gogooku_kedro.model.grn import GatedFusion
from gogooku_kedro.training import fit_model, market_tensors
from gogooku_kedro.training.diagnostics.gradient_check import check_gradients
from gogooku_kedro.training.diagnostics.information_flow import InformationFlow, InformationFlowError
from gogooku_kedro.training.diagnostics.trial import random_chunk
from gogooku_kedro.validation import configuration_problems
from tests.conftest import settings_of
from tests.model.conftest import model_params
from tests.training.conftest import ATTRIBUTES, TRAIN, VALID, phase, tables, training_params

pytestmark = pytest.mark.training

REGULARISED = {"enabled": True, "edge_weight_penalty": 0.01, "attention_entropy_penalty": 0.001}


class Defect(NamedTuple):
    """What is done to the network, and what catches it."""

    plant: Callable[[pytest.MonkeyPatch], None]
    checks: set[str]
    told: tuple[str, ...]
    neutralise: bool = True


def wrap(patch: pytest.MonkeyPatch, owner: type, name: str, defect: Callable[..., Any]) -> None:
    """Replace a method by `defect(self, method, *arguments)`."""
    method = getattr(owner, name)
    patch.setattr(owner, name, lambda self, *arguments: defect(self, method, *arguments))


def edges_not_passed(patch):
    def forget(block, hear, h, present, edge_index, edge_attr):
        return hear(block, h, present, edge_index[:, :0], edge_attr[:0])

    wrap(patch, GraphBlock, "forward", forget)


def graph_detached(patch):
    def detach(block, hear, *inputs):
        message, attention = hear(block, *inputs)
        return message.detach(), attention._make(value.detach() for value in attention)

    wrap(patch, GraphBlock, "forward", detach)


def message_erased(patch):
    def erase(block, hear, *inputs):
        message, attention = hear(block, *inputs)
        return message * 0.0, attention

    wrap(patch, GraphBlock, "forward", erase)


def layer_built_in_forward(patch):
    def project(block, hear, *inputs):
        message, attention = hear(block, *inputs)
        block.projection = nn.Linear(message.size(-1), message.size(-1))
        return block.projection(message), attention

    wrap(patch, GraphBlock, "forward", project)


def last_step_zeroed(patch):
    """The block between the GAT and the heads left nothing of the day the heads read."""
    wrap(patch, GatedFusion, "forward", lambda fusion, fuse, *inputs: fuse(fusion, *inputs) * 0.0)


ERASED = {
    *(f"task_gradient_of_{part}" for part in ("vsn", "temporal", "levels", "fusion")),
    *("last_day_reaches_the_scores", "every_day_reaches_the_scores", "every_feature_reaches_the_scores"),
    "neighbours_reach_the_scores",
}
SILENT = tuple(f"task_grad_norm/{part} is 0" for part in ("fusion", "levels", "temporal", "vsn"))
DEFECTS = {
    "phase 1: edges not passed": Defect(
        edges_not_passed,
        {"edges_reach_the_gat", "neighbours_reach_the_scores"},
        ("gat/edge_count is 0",),
    ),
    "phase 2: detached": Defect(
        graph_detached,
        {"graph_reaches_every_parameter", "task_gradient_of_gat"},
        ("task_grad_norm/gat is 0: the task has taught 'gat' nothing",),
    ),
    "phase 4: layer built in forward": Defect(
        layer_built_in_forward,
        {"optimizer_holds_every_parameter", "same_parameters_after_a_step", "nothing_is_built_in_forward"},
        ("the optimizer does not hold gat.projection",),
    ),
    "phase 6: a penalty hides a dead GAT": Defect(
        message_erased,
        {"task_gradient_of_gat", "task_gradient_of_every_parameter"},
        ("task_grad_norm/gat is 0", "(grad_norm/gat) is no evidence against that"),
        neutralise=False,
    ),
    "the cause: last step zeroed": Defect(
        last_step_zeroed,
        ERASED | {"scores_differ_between_stocks"},
        (*SILENT, "valid/score_dispersion is 0"),
        neutralise=False,
    ),
    "the cause, peers' scores taken out": Defect(
        last_step_zeroed,
        {"task_gradient_of_fusion"},
        ("task_grad_norm/fusion is 0",),
    ),
}
every_defect = pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())


def params(neutralise: bool = True):
    return model_params(dropout=0.2, gat={"neutralise_scores": neutralise, "regularization": REGULARISED})


def check(settings, folder: Path, chunk=None):
    chunk = chunk or random_chunk(settings, seed=0)
    torch.manual_seed(0)
    network = ATFTGATFAN(settings, chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
    return check_gradients(network, chunk, settings, training_params(folder))


@every_defect
def test_the_gradient_check_names_the_defect(defect, tmp_path, monkeypatch):
    settings = params(defect.neutralise)
    healthy = check(settings, tmp_path)
    assert healthy.failures == [], str(healthy)
    defect.plant(monkeypatch)
    assert defect.checks <= set(check(settings, tmp_path).failures)


@every_defect
def test_the_first_epoch_of_a_training_ends_with_the_defect_named(defect, market, tmp_path, monkeypatch):
    defect.plant(monkeypatch)
    with pytest.raises(InformationFlowError, match=r"^epoch 1: ") as stopped:
        fit_model(market, TRAIN, VALID, "hash", params(defect.neutralise), training_params(tmp_path))
    assert [phrase for phrase in defect.told if phrase not in str(stopped.value)] == []


@pytest.fixture
def market():
    return market_tensors(*tables(), ATTRIBUTES)


def test_a_healthy_model_trains_to_the_end_through_every_phase(market, tmp_path):
    phases = [phase(name="warm-up", epochs=1, graph=False), phase()]
    settings = training_params(tmp_path, max_epochs=3, phases=phases)
    history = fit_model(market, TRAIN, VALID, "hash", params(), settings).history
    assert len(history) == 3


def test_a_penalty_gives_a_dead_gat_a_gradient_and_the_task_gives_it_none(market, tmp_path, monkeypatch):
    """What the original took for the repair: `grad_norm/gat` > 0 and a GAT nobody listens to."""
    message_erased(monkeypatch)
    seen = {}

    def note(callback, run, trainer, module):
        seen.update({name: float(value) for name, value in trainer.callback_metrics.items()})
        run(callback, trainer, module)

    wrap(monkeypatch, InformationFlow, "on_train_epoch_end", note)
    with pytest.raises(InformationFlowError, match="'gat' nothing"):
        fit_model(market, TRAIN, VALID, "hash", params(neutralise=False), training_params(tmp_path))
    assert seen["grad_norm/gat"] > 1e-6
    assert seen["task_grad_norm/gat"] == 0.0
    assert seen["gat/edge_count"] > 0
    assert seen["valid/score_dispersion"] > 1e-3


def test_phase_5_a_graph_that_was_never_built_is_refused_before_training():
    features, _, edges = tables()
    train = [str(features.indexes["date"][day].date()) for day in (TRAIN[0], TRAIN[1] - 1)]
    check_graph(edges, ATTRIBUTES, train)
    own = edges[edges["source"] == edges["target"]]
    with pytest.raises(ValueError, match=r"model\.gat\.enabled: true, but the graph has no edge"):
        check_graph(own, ATTRIBUTES, train)
    with pytest.raises(ValueError, match=r"graph\.window: the first graph is of"):
        check_graph(edges.assign(asof=pd.Timestamp(train[1])), ATTRIBUTES, train)


def test_phase_5_training_on_self_loops_alone_stops(tmp_path):
    features, labels, edges = tables()
    alone = market_tensors(features, labels, edges[edges["source"] == edges["target"]], ATTRIBUTES)
    with pytest.raises(InformationFlowError, match="gat/edge_count is 0"):
        fit_model(alone, TRAIN, VALID, "hash", params(), training_params(tmp_path))


def test_phase_5_the_gradient_check_misses_the_edges(tmp_path):
    chunk = random_chunk(params(), seed=0)
    own = chunk.edge_index[0] == chunk.edge_index[1]
    alone = chunk._replace(edge_index=chunk.edge_index[:, own], edge_attr=chunk.edge_attr[own])
    failures = check(params(), tmp_path, alone).failures
    assert {"edges_reach_the_gat", "neighbours_reach_the_scores"} <= set(failures)


def test_phase_5_a_gat_that_is_not_used_in_training_is_no_setting():
    (problem,) = configuration_problems(settings_of(model__gat__use_in_training=False))
    assert problem.startswith("model.gat.use_in_training: false while model.gat.enabled is true")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model__gat__regularization": ...}, "model.gat.regularization is missing"),
        ({"model__gat__regularization": None}, "model.gat.regularization is missing"),
        (
            {"model__gat__regularization__edge_weight_penalty": 0.0},
            "model.gat.regularization.edge_weight_penalty: 0 with regularization enabled",
        ),
    ],
)
def test_phase_6_a_missing_regulariser_is_no_setting(change, message):
    (problem,) = configuration_problems(settings_of(**change))
    assert problem.startswith(message)
