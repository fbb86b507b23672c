"""Every figure of a training run is what its name says, by hand on a small graph."""

import logging
import math

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from gogooku_kedro.model import AttentionEntropy, GraphAttention
from gogooku_kedro.training import monitor
from gogooku_kedro.training.module import MONITOR, CrossSectionModule
from tests.training.conftest import LOSS, phase, training_params
from tests.training.short import fit, network, without_graph

GRAPHS_OFF = [phase(name="warm-up", epochs=2, graph=False), phase()]


@pytest.fixture
def module(market, model, tmp_path) -> CrossSectionModule:
    return CrossSectionModule(network(market, model), model, training_params(tmp_path), 60)


def attention() -> GraphAttention:
    """Stock 2 hears stocks 0, 1 and itself; stock 0 hears itself alone; nobody is heard by 1 and 3."""
    edge_index = torch.tensor([[0, 1, 2, 0], [2, 2, 2, 0]])
    return GraphAttention(
        edge_index,
        torch.tensor([[0.5, 0.25], [0.25, 0.25], [0.25, 0.5], [1.0, 1.0]], requires_grad=True),
        torch.tensor([0.2, 0.6, 0.9, 0.7], requires_grad=True),
        torch.ones(4),
        edge_index[0] == edge_index[1],
        torch.zeros(()),
    )


def figures_of(attention):
    return monitor.graph_figures(attention, AttentionEntropy.of(attention, n_nodes=4))


def test_figures_of_the_graph_by_hand():
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    figures = figures_of(attention())
    assert {name: float(value) for name, value in figures.items()} == pytest.approx(
        {
            "gat/attention_entropy": entropy / math.log(3),
            "gat/edge_regularization": (0.2 + 0.6) / 2,
            "gat/edge_count": 2,
            "gat/avg_attention": (0.5 + 0.25 + 0.25 + 0.25) / 4,
            "gat/degree": 2 / 2,
            "gat/effective_neighbours": math.exp(entropy),
            "gat/gate_mean": (0.2 + 0.6 + 0.9 + 0.7) / 4,
        },
        rel=1e-5,
    )
    assert not any(value.requires_grad for value in figures.values())


def test_without_a_graph_and_without_edges_all_figures_are_zero():
    nothing = monitor.graph_figures(None, None)
    assert nothing.keys() == set(monitor.GRAPH_FIGURES)
    empty = GraphAttention(
        torch.zeros(2, 0, dtype=torch.long),
        torch.zeros(0, 2),
        *torch.zeros(2, 0),
        torch.zeros(0) > 0,
        torch.zeros(()),
    )
    for figures in (nothing, figures_of(empty)):
        assert all(value == 0 for value in figures.values())


def test_the_share_of_the_peers_score_by_horizon(market, model):
    with_peers = network(market, model)
    with torch.no_grad():
        with_peers.neutralise.strength.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]))
    shares = monitor.neutralisation_figures(with_peers)
    assert {name: float(v) for name, v in shares.items()} == pytest.approx(
        {f"gat/lambda_{h}d": 1 / (1 + math.exp(-s)) for h, s in zip((1, 5, 10, 20), (0, 1, -1, 2), strict=True)}
    )
    assert monitor.neutralisation_figures(network(market, without_graph(model))) == {}


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(1, 1), nn.Linear(1, 1)
        self.without_parameters = nn.ELU()


def test_gradient_norms_by_hand_and_the_task_alone_beside_the_total():
    parts = TwoParts()
    task = 3 * parts.used.weight.sum() + 4 * parts.used.bias.sum()
    penalty = 12 * parts.unused.weight.sum()
    norms = monitor.task_gradient_norms(parts, task)
    assert {name: float(norm) for name, norm in norms.items()} == {"used": 5.0, "unused": 0.0}
    assert parts.used.weight.grad is None
    (3 * parts.used.weight.sum() + 4 * parts.used.bias.sum() + penalty).backward()
    norms = monitor.gradient_norms(monitor.parameters_by_part(parts)).by_part
    assert {name: float(norm) for name, norm in norms.items()} == {"used": 5.0, "unused": 12.0}


def test_dispersion_is_that_of_the_least_dispersed_horizon_over_present_stocks():
    score = torch.zeros(3, 4, 2)
    score[0] = torch.tensor([[0.0, 0.0], [2.0, 20.0], [4.0, 40.0], [1e6, 1e6]])
    score[1] = torch.tensor([[1.0, 10.0], [1.0, 10.0], [3.0, 30.0], [3.0, 30.0]])
    present = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    assert monitor.score_dispersion(score, present).item() == pytest.approx(((8 / 3) ** 0.5 + 1) / 2)
    assert monitor.score_dispersion(torch.full((3, 997, 2), 0.1), torch.ones(3, 997) > 0) == 0
    assert monitor.score_dispersion(score, torch.zeros_like(present)) == 0
    score[..., 1] = 0.3
    assert monitor.score_dispersion(score, present) == 0
    score[1, 2, 0] = torch.nan
    assert monitor.score_dispersion(score, present).isnan()


@pytest.mark.parametrize(
    ("batches", "probes"),
    [(1, {0}), (3, {0, 1, 2}), (4, {0, 1, 2, 3}), (7, {0, 1, 3, 5}), (100, {0, 25, 50, 75})],
)
def test_probes_are_spread_over_the_epoch_and_include_the_first_batch(batches, probes):
    assert monitor.probe_batches(batches) == probes


def test_validation_figures_are_those_of_scipy():
    rng = np.random.default_rng(0)
    score, target = rng.normal(size=(2, 6, 30, 4)).astype(np.float32)
    target += 0.5 * score
    target[2, :, 0] = np.nan
    target[:, :, 3] = np.nan
    figures = monitor.validation_figures(score, target)
    daily = np.array(
        [[spearmanr(s[:, h], t[:, h]).statistic for h in range(3)] for s, t in zip(score, target, strict=True)]
    )
    means, ratios = np.nanmean(daily, axis=0), np.nanmean(daily, axis=0) / np.nanstd(daily, axis=0, ddof=1)
    assert [figures[f"rank_ic_{h}d"] for h in (1, 5, 10, 20)] == pytest.approx([*means, 0.0], abs=1e-6)
    assert [figures[f"rank_icir_{h}d"] for h in (1, 5, 10, 20)] == pytest.approx([*ratios, 0.0], abs=1e-6)
    assert figures["rank_ic"] == pytest.approx(np.mean([*means, 0.0]), abs=1e-6)
    assert figures["rank_icir"] == pytest.approx(ratios.mean(), abs=1e-6)


def test_only_terms_with_a_weight_are_in_the_loss_and_each_is_weighted(market, model, tmp_path, module):
    chunk = market.chunk(12, 3, model.window)
    module.model.eval()
    output = module(chunk)
    every = {name: 1.0 for name in LOSS}
    ones = CrossSectionModule(module.model, model, training_params(tmp_path, loss=every), 60)
    torch.manual_seed(0)
    unit = ones.loss_terms(output, chunk)
    assert set(unit) == {
        *("mse", "ic", "pairwise", "listnet", "soft_rank", "quantile"),
        *("fan", "san", "gat_entropy", "gat_edge"),
    }
    twice = CrossSectionModule(module.model, model, training_params(tmp_path, loss=dict.fromkeys(LOSS, 2.0)), 60)
    torch.manual_seed(0)
    for name, value in twice.loss_terms(output, chunk).items():
        factor = 1 if name.startswith("gat") else 2
        assert value.item() == pytest.approx(factor * unit[name].item(), rel=1e-5), name
    alone = dict.fromkeys(LOSS, 0.0) | {"listnet_weight": 1.0}
    only = CrossSectionModule(module.model, model, training_params(tmp_path, loss=alone), 60)
    assert set(only.loss_terms(output, chunk)) == {"listnet", "gat_entropy", "gat_edge"}


def test_the_weights_of_the_horizons_are_those_of_the_phase(market, model, tmp_path, module):
    module.model.eval()
    chunk = market.chunk(12, 3, model.window)
    output = module(chunk)
    equal = module.task_terms(output, chunk)["mse"]
    single = []
    for horizon in range(4):
        weights = [float(h == horizon) for h in range(4)]
        module.enter(training_params(tmp_path, phases=[phase(horizon_weights=weights)]).phases[0])
        single.append(module.task_terms(output, chunk)["mse"].item())
    assert np.mean(single) == pytest.approx(equal.item(), rel=1e-5)
    module.enter(training_params(tmp_path, phases=[phase(horizon_weights=[3.0, 0.0, 0.0, 9.0])]).phases[0])
    mixed = module.task_terms(output, chunk)["mse"].item()
    assert mixed == pytest.approx((single[0] + 3 * single[3]) / 4, rel=1e-5)


def test_penalties_are_of_what_is_built(market, model, tmp_path):
    def penalties(**changes):
        gat = model.gat.model_copy(update=changes)
        params = model.model_copy(update={"gat": gat})
        module = CrossSectionModule(network(market, params), params, training_params(tmp_path), 60)
        module.eval()
        return module.penalty_terms(module(market.chunk(12, 3, params.window)))

    learned = model.gat.learned_graph.model_copy(update={"enabled": True, "penalty": 0.25})
    assert set(penalties()) == {"gat_entropy", "gat_edge"}
    assert set(penalties(difference=False, neutralise_scores=False)) == {"gat_entropy"}
    terms = penalties(learned_graph=learned)
    assert set(terms) == {"gat_entropy", "gat_edge", "gat_learned_graph"}
    assert all(term.requires_grad for term in terms.values())
    twice = penalties(learned_graph=learned.model_copy(update={"penalty": 0.5}))
    assert twice["gat_learned_graph"].item() == pytest.approx(2 * terms["gat_learned_graph"].item())


def test_penalties_are_absent_without_regularisation(market, model, tmp_path):
    off = model.gat.regularization.model_copy(update={"enabled": False})
    params = model.model_copy(update={"gat": model.gat.model_copy(update={"regularization": off})})
    module = CrossSectionModule(network(market, params), params, training_params(tmp_path), 60)
    assert module.penalty_terms(module(market.chunk(12, 3, params.window))) == {}


class Watch(pl.Callback):
    """Note graph and learning rate of every step, and the graph in every validation."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, bool, float]] = []
        self.validations: list[bool] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        (rate,) = {group["lr"] for group in trainer.optimizers[0].param_groups}
        self.steps.append((trainer.current_epoch, pl_module.model.graph_enabled, rate))

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        self.validations.append(pl_module.model.graph_enabled)


def test_a_phase_decides_graph_and_learning_rate_in_training_and_validation(market, model, tmp_path):
    phases = [phase(name="warm-up", epochs=1, graph=False, learning_rate_factor=0.5), phase()]
    settings = training_params(tmp_path, max_epochs=2, phases=phases, warmup_share=0.25)
    watch = Watch()
    module, _ = fit(market, model, settings, [watch])
    assert {(epoch, graph) for epoch, graph, _ in watch.steps} == {(0, False), (1, True)}
    middle = len(watch.validations) // 2
    assert watch.validations == [False] * middle + [True] * middle
    assert module.model.graph_enabled
    for step, (epoch, _, rate) in enumerate(watch.steps):
        schedule = (step + 1) / 15 if step < 15 else 0.5 * (1 + math.cos(math.pi * (step - 15) / 45))
        assert rate == pytest.approx(0.01 * (0.5, 1.0)[epoch] * schedule), step


def test_an_epoch_without_graph_is_never_the_best_and_the_monitor_is_smoothed_after_it(market, model, tmp_path):
    settings = training_params(tmp_path, max_epochs=5, phases=GRAPHS_OFF, monitor_smoothing=0.75)
    _, history = fit(market, model, settings)
    icir = history["valid/rank_icir"]
    smooth = icir[2]
    assert history[MONITOR].tolist()[:3] == [-math.inf, -math.inf, pytest.approx(smooth)]
    for epoch in (3, 4):
        smooth = 0.75 * smooth + 0.25 * icir[epoch]
        assert history.loc[epoch, MONITOR] == pytest.approx(smooth)
    assert (history.loc[:1, [*monitor.GRAPH_FIGURES, "task_grad_norm/gat"]] == 0).all(axis=None)
    assert (history.loc[2:, [*monitor.GRAPH_FIGURES, "task_grad_norm/gat"]] > 0).all(axis=None)


def test_smoothing_begins_anew_after_a_phase_without_graph(market, model, tmp_path):
    phases = [phase(name="on", epochs=2), phase(name="off", epochs=1, graph=False), phase(name="again")]
    settings = training_params(tmp_path, max_epochs=4, phases=phases, monitor_smoothing=0.75)
    _, history = fit(market, model, settings)
    icir = history["valid/rank_icir"]
    expected = [icir[0], 0.75 * icir[0] + 0.25 * icir[1], -math.inf, icir[3]]
    assert history[MONITOR].tolist() == pytest.approx(expected)


def test_the_graph_is_on_again_when_training_was_cut_short_without_it(market, model, tmp_path):
    module, _ = fit(market, model, training_params(tmp_path, phases=GRAPHS_OFF), max_steps=2)
    assert not module.phase.graph
    assert module.model.graph_enabled


def test_without_a_gat_every_epoch_counts(market, model, tmp_path):
    settings = training_params(tmp_path, max_epochs=2, phases=[phase(epochs=1, graph=False), phase()])
    _, history = fit(market, without_graph(model), settings)
    assert history[MONITOR].tolist() == pytest.approx(history["valid/rank_icir"].tolist())
    assert not [name for name in history if name.startswith("gat/")]


def test_the_smoothed_monitor_travels_in_the_checkpoint(module):
    module.smoothed_icir = 0.25
    checkpoint: dict[str, object] = {}
    module.on_save_checkpoint(checkpoint)
    module.smoothed_icir = None
    module.on_load_checkpoint(checkpoint)
    assert module.smoothed_icir == 0.25


def test_every_figure_is_logged_once_per_epoch(market, model, tmp_path):
    _, history = fit(market, model, training_params(tmp_path, max_epochs=2))
    parts = [name for name, part in network(market, model).named_children() if list(part.parameters())]
    expected = {
        *monitor.GRAPH_FIGURES,
        *(f"gat/lambda_{h}d" for h in (1, 5, 10, 20)),
        *(f"{kind}/{part}" for kind in ("grad_norm", "task_grad_norm") for part in parts),
        *("train/score_dispersion", "valid/score_dispersion", "valid/rank_ic", "valid/rank_icir", MONITOR),
        *(f"train/{term}" for term in ("loss", "mse", "ic", "quantile", "fan", "san", "gat_entropy", "gat_edge")),
    }
    assert expected <= set(history.columns)
    assert len(history) == 2
    positive = [n for n in history if n.startswith(("task_grad_norm/", "gat/")) or n.endswith("dispersion")]
    assert (history[positive] > 0).all(axis=None)
    terms = [n for n in history if n.startswith("train/") and n not in ("train/loss", "train/score_dispersion")]
    np.testing.assert_allclose(history[terms].sum(axis=1), history["train/loss"], rtol=1e-5)


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_writes_one_line_per_step_and_changes_nothing(market, model, tmp_path, caplog, verbose):
    settings = training_params(tmp_path, max_epochs=1)
    with caplog.at_level(logging.DEBUG, logger="gogooku_kedro.training.module"):
        module, history = fit(market, model, settings, verbose=verbose, limit_train_batches=5)
    lines = [r.getMessage() for r in caplog.records if r.name == "gogooku_kedro.training.module"]
    assert [line.split(" | ")[0] for line in lines] == ([f"step {i}" for i in range(5)] if verbose else [])
    for line in lines:
        names = [part.split(" ")[0] for part in line.split(" | ")[1:]]
        assert names == [*monitor.GRAPH_FIGURES, "task_grad_norm/gat"]
    plain_module, plain = fit(market, model, settings, limit_train_batches=5)
    assert history.equals(plain)
    for one, other in zip(module.parameters(), plain_module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_gradient_of_the_task_is_measured_on_probes_only(market, model, tmp_path, monkeypatch):
    measured = []
    real = monitor.task_gradient_norms

    def count(network, task):
        measured.append(task.item())
        return real(network, task)

    monkeypatch.setattr(monitor, "task_gradient_norms", count)
    fit(market, model, training_params(tmp_path, max_epochs=1, chunk_days=2))
    assert len(measured) == 4
