"""A baseline is one file and one entry: from there it stands in every table."""

import weakref
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines import stack, table
from gogooku_kedro.baselines.rows import FitContext, FitSettings
from gogooku_kedro.baselines.rules import random
from gogooku_kedro.baselines.stack import fit_baselines
from gogooku_kedro.baselines.table import Model
from gogooku_kedro.metrics.daily import summarise_metrics
from gogooku_kedro.params import LabelsParams
from gogooku_kedro.pipelines.baselines import nodes as baselines
from gogooku_kedro.pipelines.evaluation import nodes as evaluation
from gogooku_kedro.report.figures.ranking import cumulative_rank_ic, rank_ic_by_fold
from gogooku_kedro.report.page import render_report
from gogooku_kedro.report.publish import log_metrics
from gogooku_kedro.report.results import WalkForward, parse
from gogooku_kedro.report.tables import fold_tables
from gogooku_kedro.training import Market, market_tensors
from gogooku_kedro.walk_forward.models import fold_baselines
from gogooku_kedro.walk_forward.refit import Fold
from gogooku_kedro.walk_forward.table import measure_folds, summarise_folds
from tests.baselines.conftest import CODES, COORDS, DATES, NO_EDGES, SPLIT
from tests.report.report_run import evidence_of
from tests.walk_forward.conftest import evaluation_params, fold_settings

TOY = Model(
    "toy",
    "Toy of one file",
    "#123456",
    "learned",
    "tests.baselines.toy:fit",
    neutral=("neighbours",),
    first_screen=True,
)
NAMES = {"toy", "toy_neutral"}
HORIZONS = [1, 5, 10, 20]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table with one more entry, and without what takes long to fit."""
    quick = [model for model in table.MODELS if model.role != "learned"]
    monkeypatch.setattr(table, "MODELS", (*quick, TOY))


@pytest.fixture
def data() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Features, labels and panel of forty stocks."""
    rng = np.random.default_rng(0)
    grid = ("date", "code")
    moves = 0.01 * rng.normal(size=(120, 40))
    close = xr.DataArray(100 * np.exp(moves.cumsum(axis=0)), COORDS, grid)
    panel = xr.Dataset({"adj_close": close, "ret_1d": (grid, moves)}).assign_coords(sector=("code", ["banks"] * 40))
    x = (("date", "code", "feature"), rng.normal(size=(120, 40, 2)).astype(np.float32))
    inside = (grid, np.ones((120, 40), bool))
    features = xr.Dataset({"x": x, "in_universe": inside}, {**COORDS, "feature": ["a", "b"]})
    ret = (("date", "code", "horizon"), 0.01 * rng.normal(size=(120, 40, 4)).astype(np.float32))
    labels = xr.Dataset({"ret": ret, "target": ret}, {**COORDS, "horizon": HORIZONS})
    return features, labels, panel


def network() -> pd.DataFrame:
    """Predictions of the network: noise."""
    parts = [(DATES[66:90], "valid"), (DATES[96:], "test")]
    frames = [
        pd.MultiIndex.from_product([dates, CODES], names=["date", "code"]).to_frame(index=False).assign(split=part)
        for dates, part in parts
    ]
    rows = pd.concat(frames, ignore_index=True)
    rng = np.random.default_rng(1)
    return rows.assign(**{f"score_{h}d": rng.normal(size=len(rows)) for h in HORIZONS})


def test_a_model_of_one_file_and_one_entry_stands_in_every_table(registered, data, monkeypatch):
    features, labels, panel = data
    settings = FitSettings(seed=0, window=6, device="cpu")
    market = Market(lambda: None, DATES, CODES, {}, (), NO_EDGES, {})
    blocks = baselines.fit_baselines(features, labels, panel, NO_EDGES, SPLIT, {"features": []}, market, settings)
    frames = [block.rows for block in blocks]
    fitted = pd.concat(frames, ignore_index=True)
    assert list(fitted) == ["model", "date", "code", "split", *(f"score_{h}d" for h in HORIZONS)]
    assert fitted["model"].unique().tolist() == ["reversal_1d", "reversal_5d", "momentum_20d", "random", "toy"]

    params = evaluation_params()
    labelling = LabelsParams(
        entry="next_open",
        limit_entry="missing",
        delisting="missing",
        residual="none",
        residual_window=20,
        pca_factors=1,
        pca_cadence=10,
    )
    oracles = baselines.predict_oracle(pd.DataFrame(), network(), SPLIT, labelling)
    blocks = baselines.stack_predictions(network(), frames, oracles, {}, pd.DataFrame(), NO_EDGES, panel, params)
    stacked = pd.concat([block.rows for block in blocks], ignore_index=True)
    assert list(stacked) == list(fitted)
    assert set(stacked.loc[stacked["model"].str.startswith("toy"), "model"]) == NAMES

    daily, _ = evaluation.measure_days(stacked, features, labels, params)
    metrics = summarise_metrics(daily, 245, replications=20, seed=0)
    assert set(metrics["test"]) >= {"model", *NAMES}
    trace = next(trace for trace in cumulative_rank_ic(daily, "5d").data if trace.name == "toy")
    assert trace.line.color == TOY.colour

    stored: dict[str, Any] = {}
    monkeypatch.setattr(mlflow, "log_metrics", lambda _: None)
    monkeypatch.setattr(mlflow, "log_dict", lambda found, name: stored.update({name: found}))
    log_metrics(metrics, "")
    assert stored["metrics.json"]["test"]["toy"] == metrics["test"]["toy"]

    page = render_report(evidence_of(daily), [])
    for cell in ("toy", "toy_neutral", TOY.label):
        assert f'<th scope="row">{cell}</th>' in page, cell


def test_baselines_of_rows_are_fitted_without_the_tensors_and_those_of_sequences_leave_theirs(data, monkeypatch):
    features, labels, panel = data
    features = features.assign(levels=features["x"].rename(feature="channel")).assign_coords(channel=["c", "d"])
    market = Market(lambda: market_tensors(features, labels, NO_EDGES, ()), DATES, CODES, {}, (), NO_EDGES, {})
    before, read = weakref.ref(market.tensors), []  # a node before has read them

    def of_rows(context):
        assert before() is None
        return random(context)

    def of_sequences(context):
        read.append(context.tensors())
        return random(context)

    monkeypatch.setattr(table, "fit_function", lambda model: {"lstm": of_sequences}.get(model.name, of_rows))
    settings = FitSettings(seed=0, window=6, device="cpu")
    list(baselines.fit_baselines(features, labels, panel, NO_EDGES, SPLIT, {"features": []}, market, settings))
    assert len(read) == 1
    assert read[0] is market.tensors


def test_what_a_baseline_has_freed_is_given_back_before_the_next(registered, data, monkeypatch):
    features, labels, panel = data
    steps = []
    monkeypatch.setattr(stack, "give_back", lambda: steps.append("give back"))
    monkeypatch.setattr(
        table, "fit_function", lambda model: lambda context: steps.append(model.name) or random(context)
    )
    settings = FitSettings(seed=0, window=6, device="cpu")
    fit_baselines(FitContext(features, labels, panel, NO_EDGES, SPLIT, {"features": []}, settings))
    assert steps[::2] == ["give back"] * 5
    assert steps[1::2] == ["reversal_1d", "reversal_5d", "momentum_20d", "random", "toy"]


def test_no_baseline_of_rows_is_learned_after_one_of_sequences():
    assert [model.name for model in table.MODELS if model.role == "learned" and model.fit][-1] == "lstm"


def test_it_stands_in_the_table_over_folds_too(registered, data, tmp_path):
    features, labels, panel = data
    fold = Fold(1, SPLIT, features, labels, NO_EDGES, {"features": []})
    scores = fold_baselines(fold, panel, fold_settings(tmp_path))
    assert set(scores["split"]) == {"valid", "test"}
    scores = scores[scores["split"] == "test"]
    daily = measure_folds(scores.assign(fold=1), labels, [SPLIT], cost_bps=10.0)
    folds = {"test": summarise_folds(daily, 245, replications=20, seed=0), "folds": [{"split": SPLIT}]}
    assert [name for name, _ in fold_tables(parse(WalkForward, folds))[0].rows][-1] == "toy"
    assert rank_ic_by_fold(folds["test"], [SPLIT], ["toy"]).data[0].marker.color == TOY.colour


def test_names_are_unique_and_every_fit_is_there():
    assert len({model.name for model in table.MODELS}) == len(table.MODELS)
    assert all(callable(table.fit_function(model)) for model in table.MODELS if model.fit)
    assert table.on_first_screen()[0].name == table.REFERENCE
    assert {table.NETWORK, *table.GRAPH_PAIR} <= {model.name for model in table.MODELS}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ridge", ("ridge", None)),
        ("ridge_neutral", ("ridge", "neighbours")),
        ("lightgbm_own_pca_neutral", ("lightgbm_own", "pca")),
        ("model_sector_neutral", ("model", "sector")),
    ],
)
def test_a_name_says_the_model_and_what_was_taken_out(name, expected):
    assert table.split_name(name) == expected
