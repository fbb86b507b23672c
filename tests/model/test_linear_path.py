"""The linear path scores as a linear regression on the day's features and the neighbours' means would."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from gogooku_kedro.model import ATFTGATFAN
from tests.model.conftest import DAYS, STOCKS, Chunk, build, model_params
from tests.model.test_information_flow import OFF, ON

PATH = {"linear_path": ON}
CORRELATION = 0


def neighbour_means(chunk: Chunk) -> Tensor:
    """Features of the scored days, averaged over the neighbours by hand: a matrix of weights for every day."""
    nodes = DAYS * STOCKS
    weight = torch.zeros(nodes, nodes, dtype=torch.float64)
    for (source, target), attributes in zip(chunk.edge_index.T.tolist(), chunk.edge_attr.tolist(), strict=True):
        if source != target < nodes:
            weight[target, source] = attributes[CORRELATION]
    weight = weight / weight.abs().sum(dim=1, keepdim=True).clamp_min(1e-12)
    return (weight @ chunk.x[-DAYS:].flatten(0, 1).double()).unflatten(0, (DAYS, STOCKS))


def path_alone(model: ATFTGATFAN) -> ATFTGATFAN:
    """The model without what its network says."""
    torch.nn.init.zeros_(model.linear_path.network_scale)
    return model


def test_scores_are_those_of_the_regression(chunk):
    model = path_alone(build(**PATH))
    own, told = model.linear_path.weight.detach().double().split(4)
    expected = chunk.x[-DAYS:].double() @ own.T + neighbour_means(chunk) @ told.T
    torch.testing.assert_close(model(*chunk).score.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_stock_without_neighbours_hears_none(chunk):
    alone = chunk.edge_index[0] == chunk.edge_index[1]
    isolated = chunk._replace(edge_index=chunk.edge_index[:, alone], edge_attr=chunk.edge_attr[alone])
    model = path_alone(build(**PATH))
    own = model.linear_path.weight.detach()[:4]
    torch.testing.assert_close(model(*isolated).score, chunk.x[-DAYS:] @ own.T)


@pytest.mark.parametrize("changes", [{"gat": OFF}, {}], ids=["never built", "switched off"])
def test_without_the_graph_the_own_features_are_left(changes, chunk):
    model = path_alone(build(**PATH, **changes))
    model.graph_enabled = False
    torch.testing.assert_close(model(*chunk).score, chunk.x[-DAYS:] @ model.linear_path.weight.detach()[:4].T)
    assert len(model.linear_path.weight) == (4 if changes else 8)


def network_of(model: ATFTGATFAN) -> ATFTGATFAN:
    """A model of the same weights without a linear path."""
    without = build()
    without.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("linear_path")})
    return without


def test_scores_are_mixed_and_quantiles_move_with_them(chunk):
    model = build(**PATH)
    model.linear_path.mix(model.linear_path.weight.clone(), torch.tensor([2.0, 1.0, 0.5, 0.0]))
    both, network = model(*chunk), network_of(model)(*chunk)
    linear = path_alone(model)(*chunk).score
    torch.testing.assert_close(both.score, torch.tensor([2.0, 1.0, 0.5, 0.0]) * network.score + linear)
    moved = (both.score - network.score).unsqueeze(-1)
    torch.testing.assert_close(both.quantiles, network.quantiles + moved)


def test_the_network_learns_alone(chunk):
    model = build(**PATH).train()
    network = network_of(model).train()
    torch.testing.assert_close(model(*chunk).score, network(*chunk).score)
    assert not [name for name, _ in model.named_parameters() if name.startswith("linear_path")]


def test_a_path_that_is_not_set_says_nothing(chunk):
    model = ATFTGATFAN(model_params(**PATH), chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
    assert not model.linear_path.weight.any()
    assert model.linear_path.network_scale.tolist() == [1.0] * 4


def test_without_correlations_all_neighbours_count_alike(chunk):
    model = path_alone(build(**PATH, gat={"edge_attributes": ["is_self"]}))
    alike = chunk._replace(edge_attr=chunk.edge_attr[:, 3:])
    own, told = model.linear_path.weight.detach().double().split(4)
    means = neighbour_means(chunk._replace(edge_attr=torch.ones_like(chunk.edge_attr)))
    expected = chunk.x[-DAYS:].double() @ own.T + means @ told.T
    torch.testing.assert_close(model(*alike).score.double(), expected, rtol=1e-5, atol=1e-5)


def test_filling_of_the_list_of_edges_is_not_heard(chunk):
    model, nodes = build(**PATH), DAYS * STOCKS
    filled = chunk._replace(
        edge_index=torch.cat([torch.full((2, 5), nodes), chunk.edge_index], dim=1),
        edge_attr=torch.cat([torch.zeros(5, chunk.edge_attr.size(1)), chunk.edge_attr]),
    )
    torch.testing.assert_close(model(*filled).score, model(*chunk).score)


def test_many_models_at_once_score_as_each_alone(chunk):
    models = [build(seed, **PATH) for seed in (0, 1)]
    parameters, buffers = stack_module_state(models)
    skeleton = deepcopy(models[0]).to("meta")
    together = vmap(lambda weights: functional_call(skeleton, weights, tuple(chunk)).score)(parameters | buffers)
    for model, score in zip(models, together, strict=True):
        torch.testing.assert_close(score, model(*chunk).score)
