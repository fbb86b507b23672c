"""What a stock's own features add to its score, for all stocks at once."""

import numpy as np
import pytest

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.explanation.attribution import integrated_gradients
from gogooku_kedro.explanation.reasons import largest_reasons, own_attributions
from tests.explanation.conftest import HandMade, real_model, subject

DAY = 45


def present(of) -> np.ndarray:
    return np.flatnonzero(of.market.present[DAY].numpy())


def test_without_a_way_back_they_are_the_gradients_of_the_explanation():
    of = subject(real_model(market_gate={"enabled": False}, gat={"neutralise_scores": False}))
    found = own_attributions(of, of.models[0], DAY, 1, 8)
    for stock in present(of):
        made = integrated_gradients(of, of.models[0], DAY, int(stock), 1, 8)
        np.testing.assert_allclose(found.attribution[stock], made.attribution.sum(axis=0), atol=2e-6)
        assert found.score[stock] == pytest.approx(made.score, abs=1e-6)
        assert found.baseline[stock] == pytest.approx(made.baseline_score, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gat": {"layers": 2}},
        {"gat": {"learned_graph": {"enabled": True, "k": 2, "perspectives": 2, "penalty": 0.01}}},
        {"gat": {"enabled": False}},
    ],
)
def test_the_score_beside_the_session_is_the_models_with_every_kind_of_graph(changes):
    of = subject(real_model(market_gate={"enabled": False}, **changes))
    found = own_attributions(of, of.models[0], DAY, 0, 1)
    here = present(of)
    ((_, model, encoded),) = of.encoded([DAY])
    scores = model.rank(encoded.hidden, encoded.present, encoded.edge_index, encoded.edge_attr)[0][0, :, 0]
    np.testing.assert_allclose(found.score[here], scores.detach().numpy()[here], atol=2e-6)


def test_the_largest_are_named_with_value_and_what_they_add():
    of = subject(HandMade(own=[1.0, 0.0, -3.0, 0.5], heard=[0.0] * 4))
    made = own_attributions(of, of.models[0], DAY, 1, 2)
    np.testing.assert_allclose(made.attribution.sum(axis=1), made.score - made.baseline, atol=1e-6)
    reasons = largest_reasons(of, DAY, HORIZONS[1], 2, 2)
    assert list(reasons.columns) == ["reason_1", "reason_2"]
    assert set(reasons.index) == {str(of.codes[stock]) for stock in present(of)}
    for code, row in reasons.iterrows():
        x = of.market.x[DAY, of.codes.get_loc(code)].numpy()
        added = x * np.array([1.0, 0.0, -3.0, 0.5])
        first = int(np.argmax(np.abs(added)))
        assert row["reason_1"] == f"{'abcd'[first]} {x[first]:+.2f} ({added[first]:+.4f})"
