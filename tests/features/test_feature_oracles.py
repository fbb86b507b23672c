"""Every feature against an implementation that shares no code with it (tests/features/oracles)."""

import numpy as np
import pytest

from gogooku_kedro.features import FAMILIES, FEATURES, compute_features
from tests.features.oracles import ORACLES, TAIL, Frames

EVENT_FAMILIES = {"statements", "margin", "investor_flows"}  # tests/features/test_event_features.py
RELATIVE = 2e-6  # float32 keeps 6e-8; pandas adds and subtracts in its running sums
ABSOLUTE = 1e-9  # of fractions whose exact value is near 0

EVERY = {name: oracle for family in ORACLES.values() for name, oracle in family.items()}


@pytest.fixture(scope="module", params=["complete", "gaps"])
def market(request, panel_factory):
    gaps = request.param == "gaps"
    panel = panel_factory(n_dates=420, seed=8, gaps=gaps, events=True)
    return compute_features(panel, list(ORACLES)), Frames(panel), gaps


def test_every_feature_of_these_families_has_an_oracle():
    assert set(ORACLES) == set(FAMILIES) - EVENT_FAMILIES
    for family, oracles in ORACLES.items():
        assert set(oracles) == {feature.name for feature in FAMILIES[family]}, family


@pytest.mark.parametrize("name", EVERY)
def test_a_feature_is_what_its_definition_says(market, name):
    computed, frames, gaps = market
    found = computed[name].values[-TAIL:]
    expected = EVERY[name](frames).to_numpy()[-TAIL:]
    if FEATURES[name].family == "calendar" and name == "days_to_session":
        found, expected = found[:-1], expected[:-1]  # the calendar knows the session after the panel
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE)
    assert np.isfinite(found).mean() > (0.5 if gaps else 0.8)
