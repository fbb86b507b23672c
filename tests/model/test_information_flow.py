"""The original erased the only time step its heads read. These tests follow the information through ours."""

from itertools import product

import pytest
import torch
from torch import nn

from tests.model.conftest import DAYS, STOCKS, WINDOW, build, model_params

ON, OFF = {"enabled": True}, {"enabled": False}
VARIANTS = {
    "+".join(name for name, off in zip(("vsn", "fan", "san", "gat"), switched, strict=True) if not off) or "bare": {
        name: OFF for name, off in zip(("vsn", "fan", "san", "gat"), switched, strict=True) if off
    }
    for switched in product((False, True), repeat=4)
}
VARIANTS |= {
    "no market gate": {"market_gate": OFF},
    "bare, no market gate": VARIANTS["bare"] | {"market_gate": OFF},
    "linear path": {"linear_path": ON},
    "linear path, own features": {"linear_path": ON | {"neighbours": False}},
    "bare, linear path": VARIANTS["bare"] | {"linear_path": ON},
}
variants = pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())


def task_loss(output, seed: int = 1):
    """A loss that reads every score and quantile and is no symmetric function of them."""
    generator = torch.Generator().manual_seed(seed)
    score, quantiles = output.score, output.quantiles
    return (score * torch.randn(score.shape, generator=generator)).sum() + (
        quantiles * torch.randn(quantiles.shape, generator=generator)
    ).sum()


@variants
def test_every_parameter_gets_a_gradient_from_the_task_alone(changes, chunk):
    model = build(**changes).train()
    task_loss(model(*chunk)).backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().max() <= 1e-9]
    assert dead == []


@variants
def test_score_loss_alone_reaches_everything_but_the_quantile_head(changes, chunk):
    model = build(**changes).train()
    output = model(*chunk)
    weights = torch.randn(output.score.shape, generator=torch.Generator().manual_seed(2))
    (output.score * weights).sum().backward()
    dead = {n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().max() <= 1e-9}
    assert dead == {n for n, _ in model.named_parameters() if n.startswith("quantile_head")}


@variants
def test_no_module_is_built_and_no_parameter_replaced_in_forward(changes, chunk, monkeypatch):
    model = build(**changes).train()
    before = {name: id(p) for name, p in model.named_parameters()}
    optimised = {id(p) for p in torch.optim.AdamW(model.parameters()).param_groups[0]["params"]}

    def refuse(self, *args, **kwargs):
        raise AssertionError(f"{type(self).__name__} built in forward")

    monkeypatch.setattr(nn.Module, "__init__", refuse)
    task_loss(model(*chunk)).backward()
    after = {name: id(p) for name, p in model.named_parameters()}
    assert after == before
    assert optimised == set(after.values())


@variants
def test_scores_react_to_every_day_of_the_window_the_last_one_above_all(changes, chunk):
    model, stock, day = build(**changes), 0, DAYS - 1
    x = chunk.x.clone().requires_grad_()
    model(*chunk._replace(x=x)).score[day, stock].sum().backward()
    by_day = x.grad[:, stock].abs().sum(dim=-1)
    window = by_day[day : day + WINDOW]
    assert (window > 0).all()
    assert window.argmax() == WINDOW - 1
    assert (by_day[:day] == 0).all(), "a day before the window reached the score"


@variants
def test_scores_react_to_every_feature(changes, chunk):
    model = build(**changes)
    x = chunk.x.clone().requires_grad_()
    model(*chunk._replace(x=x)).score[-1, 0].sum().backward()
    assert (x.grad[-1, 0].abs() > 0).all()


@pytest.mark.parametrize("name", [name for name in VARIANTS if not name.endswith("no market gate")])
def test_scores_react_to_every_value_of_the_context_in_the_window(name, chunk):
    context = chunk.context.clone().requires_grad_()
    build(**VARIANTS[name])(*chunk._replace(context=context)).score[-1, 0].sum().backward()
    assert (context.grad[-WINDOW:].abs() > 0).all()
    assert (context.grad[: DAYS - 1] == 0).all(), "a day before the window reached the score"


def test_without_a_market_gate_the_context_is_not_read(chunk):
    model = build(market_gate=OFF)
    assert torch.equal(model(*chunk._replace(context=chunk.context + 1)).score, model(*chunk).score)


@pytest.mark.parametrize("changes", [{}, {"fan": OFF}, {"san": OFF}], ids=["both", "san", "fan"])
def test_scores_react_to_every_day_of_the_levels(changes, chunk):
    levels = chunk.levels.clone().requires_grad_()
    build(**changes)(*chunk._replace(levels=levels)).score[-1, 0].sum().backward()
    assert (levels.grad[-WINDOW:, 0].abs().sum(dim=-1) > 0).all()
    assert (levels.grad[: DAYS - 1, 0] == 0).all()


def test_scores_react_to_neighbours_and_only_to_them(chunk):
    x = chunk.x.clone().requires_grad_()
    build()(*chunk._replace(x=x)).score[-1, 3].sum().backward()
    heard = (x.grad[-1].abs().sum(dim=-1) > 0).nonzero().flatten().tolist()
    # One layer: the neighbours' states; the neutralised score hears the neighbours' neighbours too.
    assert heard == [1, 2, 3, 4, 5]
    x = chunk.x.clone().requires_grad_()
    alone = build(gat={"neutralise_scores": False})
    alone(*chunk._replace(x=x)).score[-1, 3].sum().backward()
    assert (x.grad[-1].abs().sum(dim=-1) > 0).nonzero().flatten().tolist() == [2, 3, 4]


def test_without_gat_a_stock_hears_nobody(chunk):
    x = chunk.x.clone().requires_grad_()
    build(gat=OFF)(*chunk._replace(x=x)).score[-1, 3].sum().backward()
    assert (x.grad[-1].abs().sum(dim=-1) > 0).nonzero().flatten().tolist() == [3]


def test_rewiring_the_graph_changes_the_scores(chunk):
    model = build()
    rewired = chunk.edge_index.clone()
    rewired[0] = (rewired[0] + 2) % STOCKS + rewired[0] // STOCKS * STOCKS
    assert not torch.allclose(model(*chunk).score, model(*chunk._replace(edge_index=rewired)).score)


def test_the_sign_of_a_correlation_reaches_the_message(chunk):
    model = build()
    with torch.no_grad():  # attention blind to the attributes: only the message can carry the sign
        model.gat.layers[0].conv.conv.lin_edge.weight.zero_()
        for parameter in model.gat.edge_gate.parameters():
            parameter.zero_()
    flipped = chunk.edge_attr.clone()
    flipped[:, 0] = torch.where(flipped[:, 3] > 0, flipped[:, 0], -flipped[:, 0])
    assert not torch.allclose(model(*chunk).score, model(*chunk._replace(edge_attr=flipped)).score, atol=1e-4)


@variants
def test_renaming_the_stocks_renames_the_scores(changes, chunk):
    model = build(**changes)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    position = torch.argsort(order)
    day, stock = chunk.edge_index // STOCKS, chunk.edge_index % STOCKS
    permuted = chunk._replace(
        x=chunk.x[:, order],
        present=chunk.present[:, order],
        levels=chunk.levels[:, order],
        edge_index=day * STOCKS + position[stock],
    )
    torch.testing.assert_close(model(*permuted).score, model(*chunk).score[:, order], rtol=1e-4, atol=1e-5)


def test_attention_sums_to_one_in_training_too(chunk):
    model = build(gat={"edge_dropout": 0.5}, dropout=0.3).train()
    torch.manual_seed(0)
    output = model(*chunk)
    target = output.graph.edge_index[1]
    total = torch.zeros(DAYS * STOCKS + 1, 2).index_add_(0, target, output.graph.alpha)
    torch.testing.assert_close(total, torch.ones_like(total))  # of what was dropped at the padding node too
    torch.testing.assert_close(output.temporal_attention.sum(dim=-1), torch.ones(STOCKS, DAYS), rtol=0, atol=1e-5)
    torch.testing.assert_close(output.selection.sum(dim=-1), torch.ones(DAYS + WINDOW - 1, STOCKS))


@variants
def test_scores_differ_between_stocks(changes, chunk):
    assert (build(**changes)(*chunk).score.std(dim=1) > 1e-3).all()


def test_a_stock_does_not_depend_on_how_many_share_its_batch(chunk):
    model = build(gat=OFF)
    one = chunk._replace(x=chunk.x[:, :1], present=chunk.present[:, :1], levels=chunk.levels[:, :1])
    alone = model(*one)
    torch.testing.assert_close(alone.score[:, 0], model(*chunk).score[:, 0], rtol=0, atol=1e-5)


def test_absent_days_and_absent_levels_leave_finite_scores(chunk):
    present = chunk.present.clone()
    present[:, 4] = False
    levels = chunk.levels.clone()
    levels[:, 4] = torch.nan
    output = build()(*chunk._replace(present=present, levels=levels))
    assert output.score.isfinite().all()
    assert output.quantiles.isfinite().all()


def test_what_an_absent_day_holds_is_not_read(chunk):
    x = chunk.x.clone()
    x[1:3, 1] += 100.0  # the stock is absent on these days
    model = build()
    torch.testing.assert_close(model(*chunk._replace(x=x)).score, model(*chunk).score)


def test_no_edges_at_all_is_a_legal_graph(chunk):
    model = build().train()
    none = chunk._replace(edge_index=chunk.edge_index[:, :0], edge_attr=chunk.edge_attr[:0])
    output = model(*none)
    assert output.score.isfinite().all()
    task_loss(output).backward()


def test_quantiles_never_cross(chunk):
    assert (build()(*chunk).quantiles.diff(dim=-1) >= 0).all()


def test_full_width_stays_within_three_million_parameters():
    from gogooku_kedro.model import ATFTGATFAN

    params = model_params(
        hidden_size=256,
        window=60,
        vsn={"feature_size": 16},
        temporal={"heads": 8},
        fan={"predictor_size": 64},
        san={"slices": 12, "predictor_size": 64},
        gat={"heads": 4},
    )
    assert ATFTGATFAN(params, n_features=182, n_channels=5, n_context=35).n_parameters() <= 3_000_000


def test_zeroing_the_last_step_is_caught_by_the_gates(chunk):
    """The original's defect, planted again: the gates above must see it."""
    model = build()
    attend = model.temporal.forward

    def erase(tokens, present):
        hidden, attention = attend(tokens, present)
        return hidden * 0.0, attention

    model.temporal.forward = erase
    model.levels = None
    task_loss(model(*chunk)).backward()
    dead = {n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().max() <= 1e-9}
    assert any(n.startswith("vsn") for n in dead)
    assert (model(*chunk).score.std(dim=1) < 1e-3).all()
