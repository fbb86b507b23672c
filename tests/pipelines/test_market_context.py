"""Every node that reads the market hands its features of the market as a whole over as the context."""

import inspect

import pytest

from gogooku_kedro.params import ModelParams
from gogooku_kedro.pipelines.inference.nodes import rank_latest
from gogooku_kedro.pipelines.training.nodes import predict_scores, train_model
from gogooku_kedro.training import tensors as market
from tests.model.conftest import model_params

MANIFEST = {
    "hash": "abc",
    "features": [
        {"column": "return_1d_rank", "kind": "stock"},
        {"column": "trend_breadth_60d_past_z", "kind": "market"},
        {"column": "neighbour_gap_rank", "kind": "cross_section"},
        {"column": "index_return_1d_past_z", "kind": "market"},
    ],
}


class Reached(Exception):
    """Raised in place of building the tensors, with what they would be built from."""


def context_of(node, model: ModelParams, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    def stop(features, labels, edges, attributes, context=()):
        raise Reached(context)

    monkeypatch.setattr(market, "market_tensors", stop)
    inputs = dict.fromkeys(inspect.signature(node).parameters)
    with pytest.raises(Reached) as reached:
        node(**inputs | {"feature_manifest": MANIFEST, "model": model})
    return reached.value.args[0]


@pytest.mark.parametrize("node", [train_model, predict_scores, rank_latest])
def test_a_node_hands_the_market_columns_over_where_there_is_a_gate(node, monkeypatch):
    names = ("trend_breadth_60d_past_z", "index_return_1d_past_z")
    assert context_of(node, model_params(), monkeypatch) == names
    off = model_params(market_gate={"enabled": False})
    assert context_of(node, off, monkeypatch) == ()
