"""The two templates train: their model settings as written, on a market of twenty stocks, for one epoch."""

import numpy as np
import pytest

from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training import fit_model, market_tensors
from tests.conftest import settings_of
from tests.training import conftest as tiny

pytestmark = pytest.mark.training


@pytest.mark.parametrize("env", ["gat_minimal", "gat_production"])
def test_a_template_trains(env, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "SESSIONS", 160)
    settings = settings_of(env)
    model = ModelParams.model_validate(settings["model"])
    training = TrainingParams.model_validate(
        settings["training"]
        | {"device": "cpu", "precision": "32-true", "max_epochs": 1, "checkpoint_dir": str(tmp_path)}
    )
    market = market_tensors(*tiny.tables(), model.gat.edge_attributes)
    result = fit_model(market, (60, 124), (128, 150), "hash", model, training)
    assert result.seed_model.params.hidden_size == settings["model"]["hidden_size"]
    (epoch,) = result.history.to_dict("records")
    assert np.isfinite(list(epoch.values())).all()
    assert epoch["gat/edge_count"] > 0
    assert epoch["grad_norm/gat"] > 0
