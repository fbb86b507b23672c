"""The nodes of the features pipeline hand on what decides the split."""

import logging

import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.market.blocks import assemble
from gogooku_kedro.params import FeaturesParams, LabelsParams, ModelParams, SplitParams
from gogooku_kedro.pipelines.features.nodes import (
    check_features,
    compute_features,
    describe_features,
    make_labels,
    split_sessions,
)
from tests.conftest import settings_of
from tests.features.conftest import make_panel
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


def test_a_market_that_lists_nobody_for_a_year_runs_with_the_settings_of_base(caplog):
    """Another seed of the sample market is such a market; what it cannot feed is named and left out."""
    panel = make_panel(n_dates=330, gaps=False)
    params = FeaturesParams.model_validate(settings_of()["features"] | {"families": ("calendar",)})
    market = (panel, xr.Dataset(), xr.Dataset(), params)
    raw, candidates = assemble(compute_features(*market)), describe_features(*market)
    dates = [str(date)[:10] for date in panel["date"].values]
    split = {"train": [dates[260], dates[290]], "valid": [dates[300], dates[320]]}
    labels = make_labels(panel, LabelsParams.model_validate(LABELS))
    with caplog.at_level(logging.INFO):
        manifest, report = check_features(raw, panel, labels, split, candidates, params)
    reason = "does not vary on 100.0% of the train and valid dates"
    assert manifest["dropped"] == {"sessions_listed_250d": reason}
    assert f"Feature 'sessions_listed_250d' is dropped: {reason}" in caplog.messages
    assert set(report.loc[report["failed_check"] == reason, "feature"]) == {"sessions_listed_250d"}
    assert [entry["name"] for entry in manifest["features"]] == [
        name for name in raw.data_vars if name != "sessions_listed_250d"
    ]
