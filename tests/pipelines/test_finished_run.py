"""What one `kedro run` leaves behind, on the small sample market."""

import json
import re
import shutil
import sqlite3
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.pipelines.report.figures import OWN
from gogooku_kedro.report.cards import terminal_lines
from gogooku_kedro.report.formats import format_number
from gogooku_kedro.report.names import short_name, shown_models
from gogooku_kedro.report.results import KeyResults, parse
from tests.conftest import FinishedProcess, kedro, listing

pytestmark = pytest.mark.pipeline

HORIZONS = ["1d", "5d", "10d", "20d"]
RULES = ("reversal_1d", "reversal_5d", "momentum_20d")
NEUTRALISED = ("model", "lightgbm", "lightgbm_own", "lightgbm_peers", "lstm", "ridge", *RULES)
MODELS = {
    *NEUTRALISED,
    *("random", "oracle", "oracle_without_graph", "blend", "blend_baselines"),
    *("blend_pca_neutral", "blend_baselines_pca_neutral"),
    *(f"{model}_{v}" for model in NEUTRALISED for v in ("neutral", "pca_neutral", "sector_neutral")),
}
FIGURES = {
    *("coverage", "dispersion", "distinct_share", "score_autocorrelation", "score_autocorrelation_h"),
    *("monotonicity", "profile_monotonicity"),
    *(
        "rank_ic",
        "rank_ic_t",
        "rank_ic_p",
        "rank_ic_ci",
        "ic",
        "icir",
        "rank_icir",
        "hit_rate",
        "decile_spread",
        "turnover",
    ),
    *("sharpe_gross", "sharpe_net", "sharpe_net_ci", "rank_ic_one_day_late", "days"),
}
EPOCHS = 2


@pytest.fixture(scope="module")
def metrics(finished_run):
    return json.loads((finished_run / "08_reporting/metrics.json").read_text())


def test_metrics_have_every_figure_of_every_model_and_horizon(metrics):
    assert set(metrics) == {"run", "split", "universe", "valid", "test", "blends", "seeds", "trading"}
    for part in ("valid", "test"):
        assert set(metrics[part]) == MODELS
        for model, horizons in metrics[part].items():
            assert list(horizons) == HORIZONS, model
            assert all(set(figures) == FIGURES for figures in horizons.values()), model


def test_metrics_are_plausible_fractions(metrics):
    for horizons in metrics["test"].values():
        for figures in horizons.values():
            low, high = figures["sharpe_net_ci"]
            assert -1 <= figures["rank_ic"] <= 1
            assert 0 <= figures["hit_rate"] <= 1
            assert 0 <= figures["turnover"] <= 4
            assert low < figures["sharpe_net"] < high
            assert figures["sharpe_net"] < figures["sharpe_gross"]
            assert abs(figures["decile_spread"]) < 0.2
    days = {horizon: figures["days"] for horizon, figures in metrics["test"]["model"].items()}
    assert days["1d"] > days["5d"] > days["20d"] > 50


def test_metrics_say_what_ran(metrics):
    run = metrics["run"]
    required = {"git_sha", "config_hash", "data_hash", "seed", "device", "n_parameters", "seconds"}
    assert required <= set(run)
    assert set(run["seconds"]) == {"ingestion", "features", "graph", "training", "baselines", "evaluation"}
    assert all(seconds >= 0 for seconds in run["seconds"].values())
    assert (run["environment"], run["device"], run["seed"], run["seeds"]) == ("test", "cpu", 0, [0])
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", run["git_sha"])
    assert run["n_parameters"] > 1000


def test_metrics_say_on_what_it_ran(metrics, finished_run):
    split = metrics["split"]
    assert set(split) == {"train", "valid", "test", "purge_sessions"}
    assert split["train"][1] == "2020-05-29"
    assert split["valid"][1] == "2020-09-30"
    assert split["train"] < split["valid"] < split["test"]
    manifest = json.loads((finished_run / "05_model_input/feature_manifest.json").read_text())
    assert metrics["universe"] == {"codes": 60, "sessions": 543, "features": manifest["n_features"]}
    assert manifest["dropped"] == {}  # a feature of base that breaks is dropped there, and seen here


def test_predictions_cover_validation_and_test_and_never_training(finished_run, metrics):
    predictions = pd.read_parquet(finished_run / "07_model_output/predictions.parquet")
    quantiles = [f"q{q:02d}_{h}" for h in HORIZONS for q in (5, 25, 50, 75, 95)]
    assert list(predictions) == ["date", "code", "split", *(f"score_{h}" for h in HORIZONS), *quantiles]
    spans = predictions.groupby("split")["date"].agg(["min", "max"])
    assert set(spans.index) == {"valid", "test"}
    for part, (first, last) in spans.iterrows():
        assert [f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"] == metrics["split"][part]
    assert not predictions.duplicated(["date", "code"]).any()
    assert predictions.filter(like="score_").notna().all(axis=None)
    for horizon in HORIZONS:
        columns = [name for name in quantiles if name.endswith(f"_{horizon}")]
        assert (predictions[columns].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_portfolios_of_every_model_are_there_at_every_cost(finished_run, metrics):
    returns = pd.read_parquet(finished_run / "08_reporting/portfolio_returns.parquet")
    shown = json.loads((finished_run / "08_reporting/portfolio_metrics.json").read_text())
    portfolios = {"long_short", "long_only"}
    assert set(returns["model"]) == MODELS
    assert set(returns["portfolio"]) == portfolios
    assert not returns.duplicated(["model", "split", "portfolio", "horizon", "cost_bps", "date"]).any()
    free = returns[returns["cost_bps"] == 0]
    pd.testing.assert_series_equal(free["net"], free["gross"], check_names=False)
    assert shown["rules"]["loanable"]["source"] == "margin balances"
    assert shown["trials"]["test"]["count"] == (len(MODELS) - 2) * len(portfolios) * len(HORIZONS)
    for part in ("valid", "test"):
        for model, horizon in product(MODELS, HORIZONS):
            for portfolio in portfolios:
                figures = shown[part][model][portfolio][horizon]
                assert set(figures["costs"]) == {"0", "10"}
                assert figures["days"] == metrics[part][model]["1d"]["days"]
    for name in ("portfolio_equity", "portfolio_drawdown"):
        curves = json.loads((finished_run / f"08_reporting/{name}.json").read_text())["data"]
        assert {curve["name"] for curve in curves} == set(shown_models(sorted(MODELS)))


def rank_ic_by_hand(finished_run: Path, horizon: int) -> pd.Series:
    """Daily test rank IC from the predictions and the price file alone, with entry at the next open."""
    bars = pd.read_parquet(finished_run / "02_intermediate/daily_bars.parquet")
    predictions = pd.read_parquet(finished_run / "07_model_output/predictions.parquet")
    bars["price"] = bars["open"] / bars.groupby("code")["adj_factor"].cumprod()
    locked = (bars["limit_up"] | bars["limit_down"]) & (bars["high"] == bars["low"])
    bars["entry"] = bars["price"].where(~locked)  # nobody sells at a limit that holds all day
    price, entry = (bars.pivot(index="date", columns="code", values=name) for name in ("price", "entry"))
    ret = (price.shift(-1 - horizon) / entry.shift(-1) - 1).astype(np.float32)  # equal returns are ties
    test = predictions[predictions["split"] == "test"]
    score = test.pivot(index="date", columns="code", values=f"score_{horizon}d")
    ret = ret.reindex(index=score.index, columns=score.columns)
    both = score.notna() & ret.notna()
    return score.where(both).rank(axis=1).corrwith(ret.where(both).rank(axis=1), axis=1)


def test_the_rank_ic_is_that_of_an_independent_evaluator(finished_run, metrics):
    for horizon in (1, 5, 10, 20):
        ours, theirs = metrics["test"]["model"][f"{horizon}d"], rank_ic_by_hand(finished_run, horizon)
        assert ours["days"] == theirs.notna().sum()
        assert ours["rank_ic"] == pytest.approx(theirs.mean(), abs=1e-6), horizon


def test_the_series_behind_the_metrics_are_kept(finished_run, metrics):
    folder = finished_run / "08_reporting"
    daily, deciles, members, quantiles = (
        pd.read_parquet(folder / f"{name}.parquet")
        for name in ("daily_metrics", "daily_deciles", "seed_daily_metrics", "daily_quantiles")
    )
    assert set(daily["model"]) == set(deciles["model"]) == MODELS
    assert not deciles.duplicated(["model", "split", "horizon", "date", "decile"]).any()
    # The one seed of this run is the model itself.
    assert list(members) == [*daily, "seed"]
    assert set(members["seed"]) == {0}
    alone = daily[daily["model"] == "model"].reset_index(drop=True)
    pd.testing.assert_series_equal(members["rank_ic"], alone["rank_ic"])
    assert set(quantiles["level"]) == {0.05, 0.25, 0.5, 0.75, 0.95}
    calibration = pd.read_csv(folder / "quantile_calibration.csv")
    assert len(calibration) == 2 * 4 * 5
    assert (calibration["crossing"] == 0).all()  # they are built not to cross
    assert calibration["share_below"].between(0, 1).all()
    # A rule has no score for a stock without the past price.
    learned = sorted({*NEUTRALISED, "random"} - {*RULES})
    assert {metrics["test"][model]["1d"]["coverage"] for model in learned} == {1.0}


class Resources(HTMLParser):
    """Collect what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        fetched = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}.get(tag)
        self.found += [value for name, value in attrs if name == fetched and value]


def test_the_report_opens_offline(finished_run):
    html = (finished_run / "08_reporting/report.html").read_text()
    resources = Resources()
    resources.feed(html)
    assert [url for url in resources.found if not url.startswith("data:")] == []
    styles = "".join(re.findall(r"<style.*?</style>", html, re.DOTALL))
    assert not re.search(r"@import|url\(['\"]?https?:", styles)
    assert "Synthetic market." in html


def test_no_file_is_pickled(finished_run):
    open_formats = {".parquet", ".json", ".csv", ".html", ".md", ".safetensors", ".db"}
    registered = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "pyfunc_model.py"}  # text of MLflow's
    for path in listing(finished_run):
        if path.suffix == ".npz":  # a zip of plain arrays: numpy refuses to unpickle here
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays.files), path
            continue
        start = path.read_bytes()[:2]
        assert start not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK"), path
        inside_zarr = any(part.endswith(".zarr") for part in path.parts)
        assert inside_zarr or path.suffix in open_formats or path.name in registered, path
        if path.name in (".zarray", "zarr.json"):
            assert "pickle" not in path.read_text(), path


def test_only_the_data_root_was_written(finished_process: FinishedProcess):
    assert finished_process.data_after == finished_process.data_before


def test_the_terminal_shows_the_table_and_where_the_report_is(finished_process: FinishedProcess):
    output, root = finished_process.output, finished_process.data_root
    assert "Newey-West t" in output
    for model in map(short_name, shown_models(sorted(MODELS))):
        # name, then for every horizon "rank IC (t)"
        assert re.search(rf"^ *{model} +([+−]0\.\d{{3}} \([+−]?\d+\.\d\) *){{4}}$", output, re.MULTILINE), model
    for bound in ("expected oracle", "expected, no graph"):
        assert re.search(rf"^ *{bound} +(\+0\.\d{{4}} *){{4}}$", output, re.MULTILINE), bound
    assert f"report: {root}/08_reporting/report.html\n" in output
    assert f"metrics: {root}/08_reporting/metrics.json\n" in output
    answers = json.loads((root / "08_reporting/key_results.json").read_text())
    for line in terminal_lines(parse(KeyResults, answers)):
        assert f"{line}\n" in output


def test_the_report_and_the_card_show_the_answers_and_name_what_was_not_run(finished_run):
    folder = finished_run / "08_reporting"
    answers = json.loads((folder / "key_results.json").read_text())
    html, card = (folder / "report.html").read_text(), (folder / "model_card.md").read_text()
    assert answers["graph"]["state"] == "absent"
    for pipeline in ("ablation", "explanation", "walk_forward"):
        assert f"kedro run --pipelines={pipeline} --env test" in html
    difference = format_number(answers["better"]["horizons"]["5d"]["difference"])
    assert f"<td>{difference} " in html
    assert f"| {difference} " in card
    assert "## Not intended" in card


def test_the_log_is_short_and_free_of_warnings(finished_process: FinishedProcess):
    output = finished_process.output
    assert not re.search(r"warning|error|traceback|deprecat", output, re.IGNORECASE)
    assert len(re.findall(r"epoch \d+/2 full \| loss", output)) == EPOCHS
    assert output.count("[GAT-INIT]") == 1
    lines = [line for line in output.splitlines() if " INFO " in line]
    # One of the graph cache, one of the split, one that counts the features, five of the learned baselines, one of the
    # GAT, two of the linear path, one of the device, one per epoch, one per stage, two of the whole.
    assert len(lines) <= 3 + 5 + 4 + EPOCHS + 7 + 2, "\n".join(lines)
    assert re.search(r"\d+ of \d+ sessions are warm-up; train 20\d\d-\S+ to 2020-05-29 \(\d+\), valid", output)
    assert re.findall(r"INFO +(\d)/7 (\w+), (?:\d+ min )?\d+ s", output)[-1] == ("7", "report")
    assert re.search(r"INFO +7 stages in (\d+ min )?\d+ s", output)
    assert len(re.findall(r"seed 0 epoch \d/2", output)) == EPOCHS


def test_the_terminal_says_what_the_ingestion_did_and_where_the_whole_report_is(finished_process, finished_run):
    output, report = finished_process.output, finished_run / "02_intermediate/quality_report.json"
    rows = json.loads(report.read_text())["rows_in"]
    assert output.count(f"bars.parquet: {rows:,} rows in, ") == 1
    assert f"quality_report: {report}" in output


@pytest.fixture(scope="module")
def mlflow_run(finished_run: Path):
    with sqlite3.connect(finished_run / "mlflow.db") as database:
        (run,) = database.execute("select run_uuid, name, status, artifact_uri from runs").fetchall()
        params = dict(database.execute("select key, value from params").fetchall())
        metrics = pd.read_sql("select key, value, step from metrics", database)
    return run, params, metrics


def test_mlflow_holds_one_finished_run_below_the_data_root(mlflow_run, finished_run):
    _, name, status, artifacts = mlflow_run[0]
    assert (name, status) == ("sample_market, test, seed 0", "FINISHED")
    assert Path(artifacts.removeprefix("file://")).is_relative_to(finished_run)
    logged = {path.name for path in (finished_run / "mlartifacts").rglob("*") if path.is_file()}
    assert {"report.html", "model_card.md", *(f"{name}.html" for names in OWN.values() for name in names)} <= logged


def test_what_mlflow_stores_opens_offline(finished_run):
    pages = list((finished_run / "mlartifacts").rglob("*.html"))
    assert len(pages) > len(OWN)
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text())
        assert [url for url in resources.found if not url.startswith("data:")] == [], page.name


def test_stages_stand_in_the_order_in_which_they_run(metrics):
    stages = ["ingestion", "graph", "features", "training", "baselines", "evaluation"]
    assert list(metrics["run"]["seconds"]) == stages


def test_a_finished_run_is_verified_and_what_is_not_as_it_should_be_is_listed(finished_run, tmp_path):
    data = Path(shutil.copytree(finished_run, tmp_path / "data", ignore=shutil.ignore_patterns("mlartifacts")))
    where = ("verify", "--env", "test", "--params", f"data_root={data}")
    assert "every file is there, as it was written, and of these settings" in kedro(*where).stdout
    (data / "08_reporting/metrics.json").unlink()
    history = data / "06_models/training_history.csv"
    history.write_bytes(history.read_bytes()[:-5])
    found = kedro(*where[:-1], f"{where[-1]},labels.entry=close", expect=[1]).stdout
    assert f"{data}/08_reporting/metrics.json does not exist; " in found
    assert f"{history} is damaged (it is not as it was written); " in found
    assert 'labels.entry was "next_open" then and is "close" now' in found


def test_mlflow_has_a_row_for_every_setting(mlflow_run):
    params = mlflow_run[1]
    assert params["model.gat.heads"] == "4"
    assert params["model.gat.regularization.edge_weight_penalty"] == "0.01"
    assert params["training.max_epochs"] == str(EPOCHS)
    assert params["split.train_end"] == "2020-05-29"
    assert params["features.families"] == "['oscillators', 'volume', 'liquidity', 'lead_lag', 'neighbours']"


def test_mlflow_has_the_metrics_of_every_epoch(mlflow_run):
    steps = mlflow_run[2].groupby("key")["step"].nunique()
    graph = ("attention_entropy", "edge_regularization", "edge_count", "avg_attention", "degree")
    per_epoch = [
        *("train/loss", "train/mse", "train/ic", "train/quantile", "valid/rank_ic", "valid/rank_ic_1d"),
        *("train/gat_entropy", "train/gat_edge"),
        *(f"gat/{name}" for name in graph),
        *(f"grad_norm/{module}" for module in ("vsn", "temporal", "levels", "gat", "fusion", "score_head")),
    ]
    assert {name: steps.get(name, 0) for name in per_epoch} == dict.fromkeys(per_epoch, EPOCHS)


def test_mlflow_has_the_final_metrics(mlflow_run, metrics, finished_run):
    logged = mlflow_run[2].set_index("key")["value"]
    answers = json.loads((finished_run / "08_reporting/key_results.json").read_text())
    gain = answers["better"]["horizons"]["5d"]["difference"]
    assert logged["less_best_baseline_5d/rank_ic"] == pytest.approx(gain)
    assert logged["test/rank_ic_1d"] == pytest.approx(metrics["test"]["model"]["1d"]["rank_ic"])
    assert logged["final_valid/rank_ic_20d"] == pytest.approx(metrics["valid"]["model"]["20d"]["rank_ic"])
