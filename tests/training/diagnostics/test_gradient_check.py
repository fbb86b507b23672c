"""The gradient check passes a healthy model, names what is wrong with a sick one, and changes neither."""

import copy

import pytest
import torch
from torch import nn

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.diagnostics.gradient_check import check_gradients
from gogooku_kedro.training.diagnostics.trial import InputNames, random_chunk, with_variation
from gogooku_kedro.training.module import CrossSectionModule
from tests.model.conftest import model_params
from tests.training.conftest import LOSS, phase, training_params

OFF = {"enabled": False}
VARIANTS = {
    **{conv: {"gat": {"conv": conv}} for conv in ("gat", "gatv2", "sage", "gin", "transformer")},
    "three layers": {"gat": {"layers": 3}},
    "learned graph": {"gat": {"learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01}}},
    "diffusion": {"gat": {"diffusion": {"enabled": True, "hops": 2, "restart": 0.2}}},
    "plain": {"gat": {"difference": False, "neutralise_scores": False}},
    "no gat": {"gat": OFF},
    "no fan": {"fan": OFF},
    "no san": {"san": OFF},
    "no levels": {"fan": OFF, "san": OFF},
    "no vsn": {"vsn": OFF},
    "no gate of the market": {"market_gate": OFF},
    "dropout": {"dropout": 0.3},
}


def run(tmp_path, chunk=None, training=None, before=lambda model: None, names=None, **changes):
    """Check a new model, sick in the way of `before`."""
    params = model_params(**changes)
    chunk = chunk or random_chunk(params, seed=0)
    torch.manual_seed(0)
    model = ATFTGATFAN(params, chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
    before(model)
    return check_gradients(model, chunk, params, training or training_params(tmp_path), names)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_healthy_model_passes_every_check(tmp_path, changes):
    report = run(tmp_path, **changes)
    assert report.failures == [], str(report)
    assert report.passed
    assert {c.stage[0] for c in report.checks} == set("1234")


def test_it_passes_on_the_first_chunk_of_a_market(market, model, tmp_path):
    chunk = market.chunk(12, 5, model.window)
    torch.manual_seed(0)
    network = ATFTGATFAN(model, chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
    report = check_gradients(network, chunk, model, training_params(tmp_path))
    assert report.failures == [], str(report)


def test_stocks_without_a_window_of_levels_do_not_hide_the_others(tmp_path):
    chunk = random_chunk(model_params(), seed=0)
    levels = chunk.levels.clone()
    levels[:, 4:9] = torch.nan
    assert run(tmp_path, chunk._replace(levels=levels)).failures == []
    levels[..., 1] = torch.nan
    assert run(tmp_path, chunk._replace(levels=levels)).failures == ["every_channel_reaches_the_scores"]


def test_the_checks_have_these_names(tmp_path):
    assert [c.name for c in run(tmp_path).checks] == [
        "graph_reaches_every_parameter",
        "edges_reach_the_gat",
        "optimizer_holds_every_parameter",
        "same_parameters_after_a_step",
        "nothing_is_built_in_forward",
        *(f"task_gradient_of_{name}" for name, part in parts_of_the_model() if list(part.parameters())),
        "task_gradient_of_every_parameter",
        "scores_differ_between_stocks",
        "last_day_reaches_the_scores",
        "every_day_reaches_the_scores",
        "every_feature_reaches_the_scores",
        "every_day_of_the_levels_reaches_the_scores",
        "every_channel_reaches_the_scores",
        "every_market_feature_reaches_the_scores",
        "neighbours_reach_the_scores",
    ]


def parts_of_the_model():
    return ATFTGATFAN(model_params(), 16, 3, 3).named_children()


def test_the_model_is_left_as_it_was(tmp_path):
    params = model_params(dropout=0.2)
    chunk = random_chunk(params, seed=0)
    model = ATFTGATFAN(params, 16, 3, 3).eval()
    model.graph_enabled = False
    before = copy.deepcopy(model.state_dict())
    assert check_gradients(model, chunk, params, training_params(tmp_path)).passed
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not model.training
    assert not model.graph_enabled
    assert all(p.grad is None for p in model.parameters())


def test_a_loss_without_quantiles_does_not_ask_for_their_gradient(tmp_path):
    training = training_params(tmp_path, loss=LOSS | {"quantile_weight": 0.0})
    report = run(tmp_path, training=training)
    assert report.passed
    assert "task_gradient_of_quantile_head" not in [c.name for c in report.checks]


def test_the_phase_with_graph_is_checked_even_if_training_begins_without(tmp_path):
    phases = [phase(name="warm-up", epochs=1, graph=False), phase()]
    assert run(tmp_path, training=training_params(tmp_path, phases=phases)).passed


def deaf_to(part: str, where: tuple):
    """Multiply part of an input by 0 before the model sees it."""

    def make_deaf(model: ATFTGATFAN) -> None:
        forward = model.forward
        position = ("x", "present", "levels", "context").index(part)

        def with_zeros(*inputs):
            mask = torch.ones_like(inputs[position])
            mask[where] = 0.0
            heard = (*inputs[:position], inputs[position] * mask, *inputs[position + 1 :])
            return forward(*heard)

        model.forward = with_zeros

    return make_deaf


@pytest.mark.parametrize(
    ("part", "where", "failures", "told"),
    [
        ("x", (-1,), ["last_day_reaches_the_scores", "every_day_reaches_the_scores"], "day 5 (counted"),
        ("x", (-3,), ["every_day_reaches_the_scores"], "day 3 (counted"),
        ("x", (..., 2), ["every_feature_reaches_the_scores"], "feature 2 (counted"),
        ("levels", (-2,), ["every_day_of_the_levels_reaches_the_scores"], "day 4 (counted"),
        ("levels", (..., 1), ["every_channel_reaches_the_scores"], "channel 1 (counted"),
        ("context", (..., 0), ["every_market_feature_reaches_the_scores"], "feature 0 (counted"),
    ],
)
def test_an_input_that_is_not_heard_is_named(tmp_path, part, where, failures, told):
    report = run(tmp_path, before=deaf_to(part, where))
    assert set(failures) <= set(report.failures)
    assert {n for n in report.failures if n.endswith("_scores")} <= set(failures) | {"neighbours_reach_the_scores"}
    assert f"react to {told}" in str(report)


def test_inputs_are_called_by_their_names(tmp_path):
    chunk = random_chunk(model_params(), seed=0)
    named = InputNames(*(tuple(f"{kind}_{i}" for i in range(n)) for kind, n in (("f", 16), ("c", 3), ("m", 3))))
    for part, told in (("x", "feature f_2"), ("levels", "channel c_1"), ("context", "feature m_0")):
        place = (..., int(told[-1]))
        report = run(tmp_path, chunk, before=deaf_to(part, place), names=named)
        assert f"the scores do not react to {told}\n" in f"{report}\n"


def test_only_inputs_without_variation_get_random_numbers():
    chunk = random_chunk(model_params(), seed=0)
    present = chunk.present.clone()
    present[:, :3] = False
    x, levels, context = chunk.x.clone(), chunk.levels.clone(), chunk.context.clone()
    x[:, 3:, 4] = 0.25  # varies where no stock is alone
    levels[..., 1] = torch.nan
    context[:, 2] = -1.0
    before = chunk._replace(x=x, levels=levels, context=context, present=present)
    after, replaced = with_variation(before, InputNames.numbered(before), seed=0)
    assert replaced == ("feature 4 (counted from 0)", "channel 1 (counted from 0)", "market feature 2 (counted from 0)")
    assert after.x[:, 3:, 4].std() > 0.5
    assert after.levels[:, 3:, 1].std() > 0.5
    assert after.context[:, 2].std() > 0.1
    after.x[..., 4], after.levels[..., 1], after.context[:, 2] = x[..., 4], levels[..., 1], context[:, 2]
    for name, value, as_it_was in zip(before._fields, after, before, strict=True):
        assert value is as_it_was or torch.equal(value.nan_to_num(7.0), as_it_was.nan_to_num(7.0)), name


def test_a_parameter_that_no_optimizer_holds_is_named(tmp_path, monkeypatch):
    real = CrossSectionModule.configure_optimizers

    def forget(self):
        optimizers = real(self)
        optimizers["optimizer"].param_groups[1]["params"].pop()
        return optimizers

    monkeypatch.setattr(CrossSectionModule, "configure_optimizers", forget)
    report = run(tmp_path)
    assert report.failures == ["optimizer_holds_every_parameter"]
    (last,) = list(report_names(report, "does not hold"))
    assert "(1 of" in last


def report_names(report, words):
    return [line for line in str(report).splitlines() if words in line]


def test_a_layer_built_and_thrown_away_in_forward_is_named(tmp_path):
    def build_every_time(model):
        forward = model.fusion.forward

        def rebuilt(own, message):
            return forward(own, nn.Linear(message.size(-1), message.size(-1))(message))

        model.fusion.forward = rebuilt

    report = run(tmp_path, before=build_every_time)
    assert report.failures == ["nothing_is_built_in_forward"]
    assert "forward built Linear.weight, Linear.bias" in str(report)


def test_scores_without_any_gradient_fail_without_an_exception(tmp_path):
    def freeze(model):
        forward = model.forward

        def detached(*inputs):
            output = forward(*inputs)
            return output._replace(score=output.score.detach(), quantiles=output.quantiles.detach())

        model.forward = detached

    report = run(tmp_path, before=freeze)
    assert {"graph_reaches_every_parameter", "task_gradient_of_vsn", "last_day_reaches_the_scores"} <= set(
        report.failures
    )


def test_the_table_has_a_line_per_check_and_a_hint_for_every_failure(tmp_path):
    healthy = run(tmp_path)
    lines = str(healthy).splitlines()
    assert len(lines) == len(healthy.checks)
    assert all(line.endswith("  ok") for line in lines)
    assert lines[0].startswith("1 graph continuity")
    sick = run(tmp_path, before=deaf_to("x", (..., 2)))
    failed = [line for line in str(sick).splitlines() if "FAILED: " in line]
    assert len(failed) == len(sick.failures)
    assert all(len(line.split("FAILED: ")[1]) > 20 for line in failed)


def test_a_random_chunk_repeats_itself_and_holds_every_input():
    params = model_params()
    chunk, again, other = random_chunk(params, 0), random_chunk(params, 0), random_chunk(params, 1)
    assert torch.equal(chunk.x, again.x)
    assert not torch.equal(chunk.x, other.x)
    own = chunk.edge_index[0] == chunk.edge_index[1]
    assert torch.equal(chunk.edge_attr[:, 3] == 1, own)
    assert own.sum() == 4 * 30
    day, stocks = chunk.edge_index // 30, chunk.edge_index % 30
    assert torch.equal(day[0], day[1])
    assert torch.bincount(stocks[1]).tolist() == [4 * 6] * 30
