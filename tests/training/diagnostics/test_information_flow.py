"""The callback stops a training whose parts learn nothing, says which, and lets every other training be."""

import math

import pytest
import torch

from gogooku_kedro.model.gat import GraphBlock
from gogooku_kedro.model.grn import GatedFusion
from gogooku_kedro.training import fit_ensemble, market_tensors
from gogooku_kedro.training.diagnostics.information_flow import (
    InformationFlow,
    InformationFlowError,
    information_problems,
    optimizer_problems,
)
from gogooku_kedro.training.module import CrossSectionModule
from tests.training.conftest import ATTRIBUTES, LOSS, TRAIN, VALID, phase, tables, training_params
from tests.training.short import fit, network

HEALTHY = {
    "task_grad_norm/vsn": 0.1,
    "task_grad_norm/gat": 1e-4,
    "grad_norm/gat": 0.0,
    "gat/edge_count": 12.0,
    "gat/attention_entropy": 0.0,
    "train/score_dispersion": 0.01,
    "valid/score_dispersion": 0.01,
    "valid/rank_ic": 0.0,
}
NOBODY = frozenset[str]()
GRAPH = frozenset({"gat", "neutralise"})


def test_healthy_figures_are_no_problem():
    assert information_problems(HEALTHY, NOBODY) == []


@pytest.mark.parametrize("value", [0.0, 1e-12, math.nan])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("task_grad_norm/vsn", "task_grad_norm/vsn is"),
        ("task_grad_norm/gat", "task_grad_norm/gat is"),
        ("train/score_dispersion", "train/score_dispersion is"),
        ("valid/score_dispersion", "valid/score_dispersion is"),
    ],
)
def test_each_figure_that_is_zero_or_no_number_is_named(name, told, value):
    (problem,) = information_problems(HEALTHY | {name: value}, NOBODY)
    assert problem.startswith(told)
    assert ("not a number" in problem) == math.isnan(value)


def test_a_phase_without_graph_may_have_no_edges_and_no_gradient_in_the_gat():
    without = HEALTHY | {"task_grad_norm/gat": 0.0, "gat/edge_count": 0.0}
    assert information_problems(without, GRAPH) == []
    assert len(information_problems(without, NOBODY)) == 2
    assert len(information_problems(without | {"task_grad_norm/vsn": 0.0}, GRAPH)) == 1


def test_a_graph_of_self_loops_may_have_no_edges_and_nothing_to_neutralise():
    alone = HEALTHY | {"gat/edge_count": 0.0, "task_grad_norm/neutralise": 0.0}
    assert information_problems(alone, NOBODY, isolated=True) == []
    assert len(information_problems(alone, NOBODY)) == 2
    assert len(information_problems(alone | {"task_grad_norm/gat": 0.0}, NOBODY, isolated=True)) == 1


def test_a_gat_that_hears_nobody_is_trained_when_that_is_meant_and_only_then(model, tmp_path):
    features, labels, edges = tables()
    alone = market_tensors(features, labels, edges[edges["source"] == edges["target"]], ATTRIBUTES)
    arguments = (TRAIN, VALID, "hash", model, training_params(tmp_path, max_epochs=1))
    with pytest.raises(InformationFlowError, match="gat/edge_count is 0"):
        fit_ensemble(alone, *arguments)
    (member,) = fit_ensemble(alone, *arguments, isolated=True).ensemble.seed_models
    neighbours = market_tensors(features, labels, edges, ATTRIBUTES)
    with pytest.raises(ValueError, match="isolated: the graph has edges between different stocks"):
        fit_ensemble(neighbours, *arguments, isolated=True)
    assert member.training["n_parameters"] == network(neighbours, model).n_parameters()


def test_parts_that_have_nothing_to_learn(market, model, tmp_path):
    def idle(**changes):
        settings = training_params(tmp_path, **changes)
        return CrossSectionModule(network(market, model), model, settings, 1).idle_parts()

    assert idle() == NOBODY
    assert idle(phases=[phase(epochs=1, graph=False), phase()]) == GRAPH
    assert idle(loss=LOSS | {"quantile_weight": 0.0}) == {"quantile_head"}


def test_an_optimizer_must_hold_the_parameters_of_the_model_and_no_others():
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert optimizer_problems(model, torch.optim.SGD(model.parameters())) == []
    (missing,) = optimizer_problems(model, torch.optim.SGD([model.weight]))
    assert "does not hold bias (1 of 2" in missing
    (foreign,) = optimizer_problems(model, torch.optim.SGD([*model.parameters(), other.weight]))
    assert "holds 1 that are not the model's" in foreign


def test_a_gat_that_is_deaf_for_a_part_of_the_epoch_only_does_not_stop_it(market, model, tmp_path, monkeypatch):
    hear, calls = GraphBlock.forward, []

    def deaf_half_of_the_time(self, *inputs):
        message, attention = hear(self, *inputs)
        calls.append(self.training)
        return message * (len(calls) % 2), attention

    monkeypatch.setattr(GraphBlock, "forward", deaf_half_of_the_time)
    plain = model.model_copy(update={"gat": model.gat.model_copy(update={"neutralise_scores": False})})
    _, history = fit(market, plain, training_params(tmp_path, max_epochs=1), [InformationFlow()])
    assert len(history) == 1


@pytest.mark.parametrize("batches", [1, None], ids=["one batch", "all batches"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_one_batch_and_accumulated_steps_are_enough_to_tell(market, model, tmp_path, monkeypatch, batches, accumulate):
    settings = training_params(tmp_path, max_epochs=1)
    trainer = {"limit_train_batches": batches, "accumulate_grad_batches": accumulate}
    fit(market, model, settings, [InformationFlow()], **trainer)
    fuse = GatedFusion.forward
    monkeypatch.setattr(GatedFusion, "forward", lambda self, *inputs: fuse(self, *inputs) * 0.0)
    with pytest.raises(InformationFlowError, match="task_grad_norm/fusion is 0"):
        fit(market, model, settings, [InformationFlow()], **trainer)


def test_scores_that_only_validation_finds_equal_stop_the_run(market, model, tmp_path, monkeypatch):
    forward = CrossSectionModule.forward

    def constant_in_validation(self, chunk):
        output = forward(self, chunk)
        return output if self.training else output._replace(score=torch.full_like(output.score, 0.1))

    monkeypatch.setattr(CrossSectionModule, "forward", constant_in_validation)
    with pytest.raises(InformationFlowError, match="valid/score_dispersion is 0: all stocks") as stopped:
        fit(market, model, training_params(tmp_path, max_epochs=3), [InformationFlow()])
    assert "train/" not in str(stopped.value)
    assert str(stopped.value).startswith("epoch 1: ")


def test_the_run_stops_in_the_phase_that_begins_to_use_the_graph(market, model, tmp_path, monkeypatch):
    hear = GraphBlock.forward

    def without_edges(self, h, present, edge_index, edge_attr):
        return hear(self, h, present, edge_index[:, :0], edge_attr[:0])

    monkeypatch.setattr(GraphBlock, "forward", without_edges)
    settings = training_params(tmp_path, max_epochs=4, phases=[phase(epochs=2, graph=False), phase()])
    with pytest.raises(InformationFlowError, match=r"^epoch 3: gat/edge_count is 0"):
        fit(market, model, settings, [InformationFlow()])
