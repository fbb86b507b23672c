"""The flow in Python runs the nodes of the pipelines, each when its result is first asked for."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import gogooku_kedro as gk
from gogooku_kedro.features import registry
from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.conftest import ROOT

SMALL = {
    "features.families": ["volume", "liquidity"],
    "features.min_history": 20,
    "features.checks.on_failure": "drop",
    "graph.window": 40,
    "graph.min_observations": 30,
    "ingestion.extra_columns": {"rating": 1},
}


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    table = generate_sample_market(SampleMarketSettings(n_codes=24, start="2018-10-01", end="2020-05-29", seed=5))
    names = {"Date": "date", "Code": "code", "O": "open", "H": "high", "L": "low", "C": "close", "Vo": "volume"}
    frame = table["bars"].rename(columns=names)[[*names.values()]]
    return frame.assign(rating=np.random.default_rng(0).normal(size=len(frame)))


@pytest.fixture(scope="module")
def study(bars, tmp_path_factory) -> gk.Study:
    return gk.Study(bars, data_root=tmp_path_factory.mktemp("study"), params=SMALL)


def test_a_data_frame_becomes_panel_graph_and_features(study, bars):
    assert study.env == "ohlcv"
    assert study.panel.sizes["code"] == bars["code"].nunique()
    assert {"source", "target"} <= set(study.graph_edges)
    assert "extra_rating_rank" in study.features["feature"].values
    assert not (study.data_root / "06_models").exists()  # nothing was asked of a model


def test_what_is_there_is_not_computed_again(study, bars, monkeypatch):
    study["features"]
    again = gk.Study(bars, data_root=study.data_root, params=SMALL)
    monkeypatch.setattr(gk.Study, "_run", lambda *_: pytest.fail("computed again"))
    again["features"]


def test_what_is_of_other_settings_or_bars_is_refused(study, bars):
    study["panel"]
    other = gk.Study(bars, data_root=study.data_root, params=SMALL | {"ingestion.max_move": 0.4})
    with pytest.raises(ValueError, match=r"ingestion\.max_move was 0\.5 then and is 0\.4 now"):
        other["panel"]
    elsewhere = gk.Study(bars.assign(close=bars["close"] * 1.01), data_root=study.data_root, params=SMALL)
    with pytest.raises(ValueError, match="was not made under the settings and from the inputs"):
        elsewhere["panel"]
    assert study.panel.equals(gk.Study(bars, data_root=study.data_root, params=SMALL).panel)  # as they were


def test_a_registered_feature_makes_stored_features_stale(study, monkeypatch):
    study["raw_features"]
    monkeypatch.setattr(registry, "REGISTERED", {})
    gk.feature(needs=["adj_close"], lookback=0, name="level")(lambda panel: panel["adj_close"])
    with pytest.raises(ValueError, match=r"features\.families\.registered\.level was absent then"):
        study["raw_features"]


def test_a_wrong_name_is_told(study, tmp_path):
    with pytest.raises(KeyError, match="'feature' is no dataset; there are"):
        study["feature"]
    with pytest.raises(ValueError, match="--env small: no such environment"):
        gk.Study(env="small", data_root=tmp_path)
    with pytest.raises(ValueError, match=r"training\.max_epoch"):
        gk.load_settings(params={"training.max_epoch": 3})


def test_settings_are_those_of_the_configuration():
    assert gk.load_settings()["labels"]["entry"] == "next_open"
    assert gk.load_settings("ohlcv")["ingestion"]["calendar"] is None
    assert gk.load_settings("ohlcv", {"training": {"max_epochs": 3}, "split.purge_sessions": 30})["split"] == {
        "train_end": "auto",
        "valid_end": "auto",
        "purge_sessions": 30,
    }


def test_the_import_is_light_and_every_public_name_is_there():
    code = (
        "import sys, gogooku_kedro as gk; "
        "heavy = {'torch', 'pandas', 'xarray', 'kedro', 'mlflow'} & sys.modules.keys(); "
        "assert not heavy, heavy; print([getattr(gk, name).__name__ for name in gk.__all__])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "src", check=False)
    assert ran.returncode == 0, ran.stderr
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        gk.evalute  # noqa: B018
