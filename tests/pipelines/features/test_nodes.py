"""The nodes of the features pipeline hand on what decides the split."""

import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.params import LabelsParams, ModelParams, SplitParams
from gogooku_kedro.pipelines.features.nodes import split_sessions
from tests.graph.conftest import graph_params
from tests.model.conftest import model_params

DATES = pd.bdate_range("2020-01-06", periods=400)
MANIFEST = {"features": [{"lookback": 60, "family": "returns"}]}
LABELS = {
    "entry": "next_open",
    "limit_entry": "missing",
    "delisting": "missing",
    "residual": "none",
    "residual_window": 120,
    "pca_factors": 2,
    "pca_cadence": 20,
}


def first_trained(model: ModelParams, **labels: object) -> int:
    """Position of the first training session."""
    panel = xr.Dataset(coords={"date": DATES})
    split = SplitParams(train_end="auto", valid_end="auto", purge_sessions=22)
    chosen = LabelsParams.model_validate(LABELS | labels)
    found = split_sessions(panel, MANIFEST, split, chosen, graph_params(cadence=5), model)
    return int(DATES.get_loc(found["train"][0]))


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        ({}, 66),  # 60 sessions of the features and the model's window of 6
        ({"residual": "market"}, 120),  # residual targets look back over 120
        ({"residual": ["none", "none", "none", "pca"]}, 120),
        ({"residual": "sector", "residual_window": 40}, 66),
    ],
)
def test_the_training_part_begins_when_features_window_and_residual_targets_have_warmed_up(labels, first):
    model = model_params()
    assert model.window == 6
    assert first_trained(model, **labels) == first
