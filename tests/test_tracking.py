"""A run goes on without MLflow where it cannot be tracked, and nothing is reported to anybody."""

import logging
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import plotly.graph_objects as go
import pytest
from mlflow.tracking import MlflowClient

import gogooku_kedro  # noqa: F401  sets what is tested
from gogooku_kedro import tracking
from gogooku_kedro.report import publish
from gogooku_kedro.tracking import child_run, prepare_database, run_name, track
from gogooku_kedro.training.run_logger import RunLogger


@pytest.fixture
def open_run():
    """Open a run in a database of its own below a folder, and return the database."""
    before = mlflow.get_tracking_uri()

    def start(folder: Path) -> Path:
        database = folder / "mlflow.db"
        prepare_database(f"sqlite:///{database}")
        mlflow.set_tracking_uri(f"sqlite:///{database}")
        mlflow.start_run()
        return database

    tracking.begin()
    yield start
    tracking.close_runs("FINISHED")
    tracking.begin()
    mlflow.set_tracking_uri(before)


def test_nothing_is_reported():
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"].lower() == "true"
    assert os.environ["DO_NOT_TRACK"].lower() == "true"


def test_a_database_is_made_whole_and_used_by_mlflow(tmp_path):
    uri = f"sqlite:///{tmp_path / 'deep' / 'mlflow.db'}"
    prepare_database(uri)
    prepare_database(uri)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mlflow.db"]
    assert MlflowClient(uri).create_experiment("one") == "1"


@pytest.mark.parametrize("content", ["half", "", "tables"])
def test_half_a_database_is_put_aside_and_a_new_one_made(tmp_path, content, caplog):
    path = tmp_path / "mlflow.db"
    if content == "tables":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE runs (name TEXT)")
    else:
        path.write_text(content)
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING, "gogooku_kedro"):
        prepare_database(f"sqlite:///{path}")
    (aside,) = tmp_path.glob("mlflow.db.damaged-*")
    assert aside.read_bytes() == before
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("gogooku_kedro")]
    assert line == f"{path} is no database of MLflow, or half of one: it is called {aside.name} now"
    assert MlflowClient(f"sqlite:///{path}").create_experiment("one") == "1"
    prepare_database(f"sqlite:///{path}")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_database_that_another_process_writes_is_left_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    prepare_database(f"sqlite:///{path}")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, timeout=0.0))
    with closing(connect(path)) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"mlflow.db: database is locked"):
            prepare_database(f"sqlite:///{path}")
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_folder_in_the_place_of_the_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(OSError, match=r"mlflow.db: unable to open database file"):
        prepare_database(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_the_first_failure_is_said_in_one_line_and_ends_the_tracking(tmp_path, caplog, open_run):
    calls = []

    def full(number):
        calls.append(number)
        raise OSError("[Errno 28] No space left on device\nand a page more")

    open_run(tmp_path)
    with caplog.at_level(logging.WARNING, "gogooku_kedro"):
        track(full, 1)
        track(full, 2)
    assert calls == [1]
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("gogooku_kedro")]
    assert "goes on without MLflow" in line
    assert "No space left" in line
    assert "\n" not in line


def test_hooks_are_silent_after_the_first_failure(caplog):
    calls = []

    def fail():
        calls.append(1)
        raise ValueError("no")

    tracking.begin()
    with caplog.at_level(logging.WARNING, "gogooku_kedro"):
        tracking.attempt(fail)
        tracking.attempt(fail)
    assert calls == [1]
    assert len(caplog.records) == 1
    tracking.begin()
    tracking.attempt(calls.append, 2)
    assert calls == [1, 2]


def delete(path: Path) -> None:
    path.unlink()


def make_useless(path: Path) -> None:
    path.write_bytes(b"no database any more")


def break_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("metrics", "latest_metrics", "params"):
            database.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize("accident", [break_tables, make_useless, delete])
def test_a_database_that_breaks_midway_ends_no_training_and_is_said_at_most_once(tmp_path, accident, open_run, caplog):
    database = open_run(tmp_path)
    run = mlflow.active_run().info.run_id
    curves = RunLogger(mlflow.get_tracking_uri(), run, "seed_1")
    done = []
    with caplog.at_level(logging.WARNING, "gogooku_kedro"), child_run("fold_1"):
        curves.log_metrics({"train/loss": 1.0}, step=0)
        accident(database)
        for step in (1, 2, 3):
            curves.log_metrics({"train/loss": 0.5}, step)
            done.append(step)
        track(mlflow.log_metric, "after", 1.0)
    assert done == [1, 2, 3]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("gogooku_kedro")]
    assert len(lines) <= 1
    if accident is not delete:  # SQLite goes on writing to a deleted file
        (line,) = lines
        assert line.startswith("the run goes on without MLflow: ")
        assert mlflow.active_run() is None


def test_a_server_that_is_gone_ends_no_training(tmp_path, open_run, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    open_run(tmp_path)
    curves = RunLogger("http://127.0.0.1:9", "r", "")
    with caplog.at_level(logging.WARNING, "gogooku_kedro"):
        curves.log_metrics({"train/loss": 1.0}, step=0)
        curves.log_metrics({"train/loss": 0.5}, step=1)
    assert [r.getMessage()[:31] for r in caplog.records if r.name == "gogooku_kedro.tracking"] == [
        "the run goes on without MLflow:"
    ]


def test_curves_go_to_the_run_under_their_prefix_and_leave_it_open(tmp_path, open_run):
    open_run(tmp_path)
    run = mlflow.active_run().info.run_id
    for prefix, loss in (("", 1.0), ("seed_1", 0.5)):
        curves = RunLogger(mlflow.get_tracking_uri(), run, prefix)
        curves.log_metrics({"train/loss": loss}, step=3)
        curves.finalize("success")
    stored = MlflowClient().get_run(run)
    assert stored.data.metrics == {"train/loss": 1.0, "seed_1-train/loss": 0.5}
    assert stored.info.status == "RUNNING"


def test_a_child_run_is_closed_with_its_context_and_failed_with_an_error(tmp_path, open_run):
    open_run(tmp_path)
    parent = mlflow.active_run().info.run_id
    with child_run("one"):
        assert mlflow.active_run().info.run_id != parent
    with pytest.raises(ValueError, match="no"), child_run("two"):
        raise ValueError("no")
    assert mlflow.active_run().info.run_id == parent
    found = {run.info.run_name: run.info.status for run in MlflowClient().search_runs(["0"])}
    assert (found["one"], found["two"]) == ("FINISHED", "FAILED")


def test_without_a_run_there_is_no_child():
    with child_run("one"):
        assert mlflow.active_run() is None


def test_figures_in_mlflow_open_offline(tmp_path, open_run, monkeypatch):
    open_run(tmp_path)
    stored = {}
    monkeypatch.setattr(mlflow, "log_text", lambda text, name: stored.update({name: text}))
    publish.log_report("<html>", "card", {"loss_curves": go.Figure(go.Bar(y=[1.0]))})
    page = stored["figures/loss_curves.html"]
    assert "Plotly.newPlot" in page
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[^>]*", page) == []
    assert len(page) > 1_000_000  # plotly.js itself


@pytest.mark.parametrize(
    ("asked", "source", "record", "name"),
    [
        ({"pipeline_names": None}, "prices.parquet", {"preset": "production"}, "prices.parquet, production, seeds 0 1"),
        ({"pipeline_names": ["__default__"]}, "sample market", {}, "sample market, ohlcv, seeds 0 1"),
        (
            {"pipeline_names": ["data", "ablation"]},
            "p.csv",
            {"seeds": [7]},
            "data+ablation, p.csv, ohlcv, seed 7",
        ),
    ],
)
def test_a_run_is_called_after_its_pipelines_file_preset_and_seeds(asked, source, record, name):
    assert run_name(asked, source, {"environment": "ohlcv", "preset": "none", "seeds": [0, 1]} | record) == name
