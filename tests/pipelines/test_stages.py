"""Every registered pipeline runs by its own name, on top of what a finished run left behind."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from gogooku_kedro.pipeline_registry import register_pipelines
from tests.conftest import entries_of, kedro
from tests.pipelines.test_registry import MEMORY

pytestmark = pytest.mark.pipeline

SETTINGS = {
    **dict.fromkeys(("training", "inference", "baselines", "evaluation"), ",training.max_epochs=1"),
    **dict.fromkeys(("walk_forward", "explanation", "report"), ",training.max_epochs=1"),
    "ablation": ",training.max_epochs=1,training.max_batches=3",
    "tuning": ",training.max_epochs=1,training.max_batches=2,tuning.trials=2,tuning.walk_forward.folds=1",
}
STAGES = (
    *("ingestion", "features", "graph", "data", "training", "inference", "baselines", "evaluation"),
    *("walk_forward", "ablation", "explanation", "report", "tuning"),
)


@pytest.fixture(scope="module")
def data_root(finished_run, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("stages") / "data"
    return Path(shutil.copytree(finished_run, root))


def last_writes(data_root: Path) -> dict[str, int]:
    """Dataset -> when its file, or the newest file of its folder, was written; 0 if it is not there."""
    catalog = entries_of("test", data_root=str(data_root))
    paths = {name: Path(entry["filepath"]) for name, entry in catalog.items() if "filepath" in entry}
    return {
        name: max((p.stat().st_mtime_ns for p in [path, *path.rglob("*")] if p.exists()), default=0)
        for name, path in paths.items()
    }


def test_every_registered_name_is_tried():
    assert set(register_pipelines()) == {
        *STAGES,
        "__default__",
        "jquants",
        "daily",
    }  # tests/jquants and tests/daily run the last ones


@pytest.mark.parametrize("name", STAGES)
def test_a_pipeline_writes_its_own_outputs_and_nothing_else(name, data_root):
    before = last_writes(data_root)
    params = f"data_root={data_root}{SETTINGS.get(name, '')}"
    run = kedro("run", "--env", "test", f"--pipelines={name}", "--params", params)
    after = last_writes(data_root)
    written = {dataset for dataset in after if after[dataset] > before[dataset]}
    assert written == register_pipelines()[name].all_outputs() - MEMORY | {"run_record"}
    assert "warning" not in run.stdout.lower()
    if name == "inference":
        first = pd.read_csv(data_root / "07_model_output/latest_ranking.csv", dtype=str).iloc[0]
        assert f"session {first['date']}, " in run.stdout
        assert re.search(rf"(?m)^ *1 +{first['code']} +{first['sector'][:12]}", run.stdout)
    record = json.loads((data_root / "08_reporting/run_record.json").read_text())
    assert name == "data" or name in record["seconds"]


def test_inference_ranks_the_latest_session(data_root, finished_run):
    ranking = pd.read_csv(data_root / "07_model_output/latest_ranking.csv", dtype={"code": str})
    bars = pd.read_parquet(finished_run / "02_intermediate/daily_bars.parquet")
    assert set(ranking["date"]) == {f"{bars['date'].max():%Y-%m-%d}"}
    assert ranking["score_20d"].is_monotonic_decreasing
    assert list(ranking)[:5] == ["date", "code", "sector", "rank", "percentile"]
    assert ranking["rank"].iloc[0] == 1
    assert ranking["percentile"].iloc[0] == 1.0
    assert ranking["percentile"].iloc[-1] == pytest.approx(1 / len(ranking))
    sector = bars.set_index("code")["sector"]
    assert all(sector[code].iloc[0] == named for code, named in zip(ranking["code"], ranking["sector"], strict=True))
    assert ranking["code"].is_unique
    assert len(ranking) > 40


def test_evaluation_measures_the_predictions_that_are_there(data_root, finished_run):
    # The copy was trained for one epoch less than the finished run.
    one, two = (json.loads((root / "08_reporting/metrics.json").read_text()) for root in (data_root, finished_run))
    assert one["test"]["model"] != two["test"]["model"]
    assert one["test"]["ridge"] == two["test"]["ridge"]
    assert one["run"]["data_hash"] == two["run"]["data_hash"]


def test_walk_forward_measures_every_fold_beside_the_baselines(data_root):
    metrics = json.loads((data_root / "08_reporting/walk_forward_metrics.json").read_text())
    plan, splits = metrics["plan"], [fold["split"] for fold in metrics["folds"]]
    assert (plan["folds"], plan["test_sessions"], len(splits)) == (2, 60, 2)
    assert splits[0]["test"] < splits[1]["test"]
    assert {"model", "model_neutral", "model_pca_neutral", "lightgbm", "ridge", "random"} <= set(metrics["test"])
    for horizons in metrics["test"].values():
        assert list(horizons) == ["1d", "5d", "10d", "20d"]
        assert set(horizons["5d"]["folds"]) == {"1", "2"}
        assert horizons["1d"]["days"] > horizons["20d"]["days"] > 60
    predictions = pd.read_parquet(data_root / "07_model_output/walk_forward_predictions.parquet")
    spans = predictions.groupby("fold")["date"].agg(["min", "max"]).astype(str)
    assert spans.to_numpy().tolist() == [split["test"] for split in splits]
    daily = pd.read_parquet(data_root / "08_reporting/walk_forward_daily_metrics.parquet")
    own = daily[(daily["model"] == "model") & (daily["horizon"] == "5d")]
    assert metrics["test"]["model"]["5d"]["rank_ic"] == pytest.approx(own["rank_ic"].mean())
    assert len(list((data_root / "06_models/walk_forward").iterdir())) == 2
    with sqlite3.connect(data_root / "mlflow.db") as database:
        runs = {name for (name,) in database.execute("select name from runs").fetchall()}
    assert {"fold_1", "fold_2"} <= runs
    assert any("walk_forward" in name and name.endswith("test, seed 0") for name in runs)


def test_explanation_says_what_was_learned_of_the_planted_market(data_root):
    folder = data_root / "08_reporting/explanation"
    pairs = pd.read_parquet(folder / "attention_pairs.parquet")
    planted = json.loads((folder / "planted_pairs.json").read_text())
    assert planted["pairs"] == len(pairs) > 100
    assert 0 < planted["base_rate"] < 1
    assert 0 < planted["attention"]["auc"] < 1
    edges = pd.read_parquet(folder / "edge_importance.parquet")
    assert len(edges) == json.loads((folder / "effect_agreement.json").read_text())["edges"] == 40
    weights = pd.read_csv(folder / "feature_weights.csv")
    assert weights["weight"].sum() == pytest.approx(1.0)
    importance = pd.read_csv(folder / "family_importance.csv")
    assert set(importance["family"]) == {*weights["family"], "raw price channels"}


def test_the_ablation_leaves_the_effect_and_a_child_run_for_every_variant(data_root):
    folder = data_root / "08_reporting"
    effect = json.loads((folder / "gat_effect.json").read_text())
    assert {"1d", "5d", "10d", "20d", "controls", "seeds", "folds"} <= set(effect)
    assert (effect["seeds"], effect["folds"], effect["run"]["max_epochs"]) == ([0, 1], 1, 1)
    table = pd.read_csv(folder / "ablation_table.csv")
    assert table["variant"].unique().tolist() == ["on", "off"]
    assert effect["1d"]["rank_ic"]["on"] == pytest.approx(table["rank_ic"][0])
    with sqlite3.connect(data_root / "mlflow.db") as database:
        children = database.execute(
            "SELECT name FROM runs JOIN tags USING (run_uuid) WHERE key = 'mlflow.parentRunId'"
        ).fetchall()
    assert {("on / fold 1",), ("off / fold 1",)} <= set(children)
