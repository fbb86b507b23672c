"""What a single edge does to a score, against values by hand and a slow way of asking."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.explain.algorithm.utils import set_masks

from gogooku_kedro.explanation import GraphPart, attention_explainer, edge_importance, effect_agreement, gnn_explainer
from gogooku_kedro.explanation import graph_part as graph_part_module
from gogooku_kedro.explanation.edges import COLUMNS
from gogooku_kedro.training.predict import encode_days
from tests.explanation.conftest import HandMade, edge_table, real_model, subject
from tests.training.conftest import tables

DAY = 40
A, B, C = "13000", "13010", "13020"
VARIANTS = {
    "plain": {},
    "two_layers": {"layers": 2},
    "diffusion": {"diffusion": {"enabled": True, "hops": 2, "restart": 0.2}},
    "learned": {"learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01}},
}


def part_of(model, data=None) -> GraphPart:
    (day,) = encode_days(model, subject(model, data=data).market, [DAY])
    return GraphPart(model, day)


def hearing(edges: dict[tuple[str, str], float]):
    features, labels, _ = tables()
    return features, labels, edge_table(features.indexes["date"][5], edges)


def test_the_effect_is_that_of_the_hand_and_0_for_an_edge_that_is_ignored():
    data = hearing({(A, A): 0.5, (B, A): 0.5, (C, A): 0.0})
    part = part_of(HandMade([1.0, 0, 0, 0], [0, 2.0, 0, 0]), data)
    x = subject(HandMade([0.0] * 4, [0.0] * 4), data=data).market.x[DAY, :, 1]
    (effect_of_b,) = part.drop_effects(part.edge_index[0].eq(1).nonzero().flatten())
    (effect_of_c,) = part.drop_effects(part.edge_index[0].eq(2).nonzero().flatten())
    # With B, A hears the mean of itself and B; without, itself alone.
    with_b, without_b = 2.0 * (x[0] + x[1]) / 2, 2.0 * x[0]
    torch.testing.assert_close(effect_of_b, (with_b - without_b).expand(4))
    assert (effect_of_c == 0).all()
    torch.testing.assert_close(part.peers_effect(0), effect_of_b)
    assert (part.peers_effect(7) == 0).all()  # has no neighbours


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_many_edges_at_a_time_have_the_effects_they_have_one_by_one(changes, monkeypatch):
    model = real_model(gat=changes)
    part = part_of(model)
    edges = (part.edge_index[0] != part.edge_index[1]).nonzero().flatten()[:7]
    together = part.drop_effects(edges)
    assert (together != 0).any()
    monkeypatch.setattr(graph_part_module, "NODES_AT_A_TIME", 3 * part.x.size(0))
    torch.testing.assert_close(part.drop_effects(edges), together, rtol=1e-5, atol=1e-6)
    for edge, effect in zip(edges, together, strict=True):
        kept = torch.arange(part.edge_index.size(1)) != edge
        with torch.no_grad():
            without = part(part.x, part.edge_index[:, kept], part.edge_attr[kept])
        target = part.edge_index[1, edge]
        torch.testing.assert_close(part.scores()[target] - without[target], effect, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_graph_part_scores_as_the_model_does(changes):
    model = real_model(gat=changes)
    (day,) = encode_days(model, subject(model).market, [DAY])
    with torch.no_grad():
        expected = model.rank(day.hidden, day.present, day.edge_index, day.edge_attr)[0][0]
    torch.testing.assert_close(GraphPart(model, day).scores(), expected, rtol=1e-6, atol=1e-7)
    assert all(p.requires_grad for p in model.parameters())  # the model itself is left alone


def test_a_masked_edge_is_masked_on_every_way_to_the_score():
    # Convolution, difference channel and neutralisation: without a single edge nothing of a peer is left.
    part = part_of(real_model())
    with torch.no_grad():
        alone = part(part.x, part.edge_index[:, :0], part.edge_attr[:0])
        heard = part.scores()
        set_masks(part, torch.zeros(part.edge_index.size(1)), part.edge_index, apply_sigmoid=False)
        masked = part(part.x, part.edge_index, part.edge_attr)
    torch.testing.assert_close(masked, alone)
    assert (masked - heard).abs().max() > 1e-3


def test_gnn_explainer_finds_the_edges_that_the_score_needs():
    # A hears B, C and itself alike, but A's and C's own states are 0: only B moves the score.
    features, labels, edges = hearing({(A, A): 0.3, (B, A): 0.3, (C, A): 0.3, (A, B): 0.3, (C, B): 0.3})
    features["x"][DAY, [0, 2]] = 0.0
    part = part_of(HandMade([0.0] * 4, [1.0, 0, 0, 0]), (features, labels, edges))
    mask = gnn_explainer(part, 0, 0, steps=60, seed=0)
    source, target = part.edge_index
    of = {(int(s), int(t)): float(m) for s, t, m in zip(source, target, mask, strict=True)}
    assert of[1, 0] > 0.8
    assert max(of[0, 0], of[2, 0]) < 0.5
    assert torch.equal(mask, gnn_explainer(part, 0, 0, steps=60, seed=0))


def test_the_attention_explainer_takes_the_largest_head():
    model = real_model()
    of = subject(model)
    (day,) = encode_days(model, of.market, [DAY])
    with torch.no_grad():
        alpha = model.rank(day.hidden, day.present, day.edge_index, day.edge_attr)[2].alpha
    mask = attention_explainer(GraphPart(model, day), 4, 0)
    into = day.edge_index[1] == 4
    torch.testing.assert_close(mask[into], alpha.max(dim=1).values[into])
    without = real_model(gat={"conv": "gin"})
    assert attention_explainer(part_of(without), 4, 0).isnan().all()


def test_the_table_has_whole_neighbourhoods_of_sampled_days():
    of = subject(real_model(0), real_model(1))
    days = list(range(10, 50))
    table = edge_importance(of, days, number=3, edges=6, steps=3, seed=0)
    assert list(table) == COLUMNS
    assert table.groupby(["seed", "date"]).size().to_dict() == {
        (seed, date): 6 for seed in (0, 1) for date in table["date"].unique()
    }
    assert table["date"].nunique() == 3
    sampled = [frame[["date", "source", "target"]].reset_index(drop=True) for _, frame in table.groupby("seed")]
    pd.testing.assert_frame_equal(*sampled)  # members are asked about the same edges
    assert (table.groupby(["seed", "date"])["gnn_explainer"].count() == 1).all()  # a ring: one edge a stock
    pd.testing.assert_frame_equal(table, edge_importance(of, days, 3, 6, 3, 0))
    without = edge_importance(subject(real_model(gat={"enabled": False})), days, 2, 5, 3, 0)
    assert (len(without), list(without)) == (0, COLUMNS)
    assert effect_agreement(without)["1d"]["attention"] is None


def test_attention_can_agree_with_the_effect_within_a_stock_and_not_over_all():
    date = pd.Timestamp("2020-03-02")
    stocks = {"x": ([0.1, 0.2, 0.3], [1.0, -2.0, 3.0]), "y": ([0.4, 0.5, 0.6], [0.1, 0.2, -0.3])}
    rows = [
        {"date": date, "seed": 0, "target": target, "attention": a, "effect_1d": e}
        for target, (attention, effects) in stocks.items()
        for a, e in zip(attention, effects, strict=True)
    ]
    table = pd.DataFrame(rows).assign(effect_5d=1.0, effect_10d=1.0, effect_20d=1.0)
    table = table.assign(gnn_explainer=np.nan, attention_explainer=table["attention"])
    figures = effect_agreement(table)
    assert figures["edges"] == 6
    assert figures["1d"]["attention"] == pytest.approx(-0.542857, abs=1e-6)
    assert figures["1d"]["attention_within_stock"] == pytest.approx(1.0)
    assert figures["1d"]["attention_explainer_within_stock"] == pytest.approx(1.0)
    assert figures["1d"]["gnn_explainer_within_stock"] is None
    assert figures["5d"]["attention"] is None  # effects that do not differ have no order
