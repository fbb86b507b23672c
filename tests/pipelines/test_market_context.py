"""The tensors of a run take the features of the market as a whole for the context."""

import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.params import ModelParams
from gogooku_kedro.pipelines.training.nodes import build_tensors
from gogooku_kedro.training import market
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


def context_of(model: ModelParams, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    def stop(features, labels, edges, attributes, context=()):
        raise Reached(context)

    monkeypatch.setattr(market, "market_tensors", stop)
    empty = xr.Dataset({"target": ((), 0.0)}, {"date": pd.DatetimeIndex([]), "code": []})
    monkeypatch.setattr(market, "part_range", lambda *_: (0, 0))
    built = build_tensors(empty, empty, None, {}, MANIFEST, model)
    with pytest.raises(Reached) as reached:
        _ = built.tensors
    return reached.value.args[0]


def test_the_market_columns_are_the_context_where_there_is_a_gate(monkeypatch):
    names = ("trend_breadth_60d_past_z", "index_return_1d_past_z")
    assert context_of(model_params(), monkeypatch) == names
    off = model_params(market_gate={"enabled": False})
    assert context_of(off, monkeypatch) == ()
