"""Edge attributes are measured against those of the training edges, self loops and flags apart."""

import pandas as pd
import torch

from gogooku_kedro.model.gat import EdgeScale
from gogooku_kedro.training import fit_model, market_tensors
from tests.training.conftest import ATTRIBUTES, TRAIN, VALID, tables, training_params

EDGES = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]])
ATTR = torch.tensor([[0.2, 1.0], [0.4, 0.0], [0.6, 1.0], [1.0, 0.0]])  # a correlation, a flag; a self loop last


def test_a_measured_attribute_is_standardised_and_a_flag_stays():
    scale = EdgeScale(2)
    scale.fit(EDGES, ATTR)
    out = scale(ATTR, EDGES[0] == EDGES[1])
    deviation = (0.08 / 3) ** 0.5
    expected = torch.tensor([[-0.2 / deviation, 1.0], [0.0, 0.0], [0.2 / deviation, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_before_it_is_fitted_and_without_edges_everything_stays():
    scale = EdgeScale(2)
    torch.testing.assert_close(scale(ATTR, EDGES[0] == EDGES[1]), ATTR)
    scale.fit(EDGES[:, 3:], ATTR[3:])  # a self loop alone is no measurement
    torch.testing.assert_close(scale(ATTR, EDGES[0] == EDGES[1]), ATTR)


def test_further_columns_are_passed_on():
    scale = EdgeScale(1)
    scale.fit(EDGES, ATTR[:, :1])
    torch.testing.assert_close(scale(ATTR, EDGES[0] == EDGES[1])[:, 1], ATTR[:, 1])


def test_the_scale_is_that_of_the_graphs_in_force_on_the_training_days(model, tmp_path):
    """The second graph of the market is in force inside the training part, a third only after it."""
    features, labels, edges = tables()
    last = pd.DatetimeIndex(features.indexes["date"])[TRAIN[1]]
    fits = []
    for later in (0.9, 0.1):
        third = edges[edges["asof"] == edges["asof"].max()].assign(asof=last)
        for name in ("correlation", "abs_correlation"):
            third[name] = third[name].where(third["is_self"] == 1, later)
            edges[name] = edges[name].where((edges["is_self"] == 1) | (edges["asof"] == edges["asof"].min()), 0.7)
        market = market_tensors(features, labels, pd.concat([edges, third]), ATTRIBUTES)
        settings = training_params(tmp_path / str(later), max_epochs=1, ema_decay=0.0)
        fits.append(fit_model(market, TRAIN, VALID, "hash", model, settings).seed_model.build("hash", model))
    first, second = (fit.gat.scale for fit in fits)
    torch.testing.assert_close(first.mean[:2], torch.tensor([0.6, 0.6]), rtol=0, atol=0.01)
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.deviation, second.deviation)
