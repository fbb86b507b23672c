"""A run goes on without MLflow where it cannot be tracked, and nothing is reported to anybody."""

import logging
import os

import mlflow
import pytest
from mlflow.tracking import MlflowClient

import gogooku_kedro  # noqa: F401  sets what is tested
from gogooku_kedro.hooks import Tracking
from gogooku_kedro.tracking import prepare_database, track


def test_nothing_is_reported():
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"].lower() == "true"
    assert os.environ["DO_NOT_TRACK"].lower() == "true"


def test_a_database_is_made_whole_and_used_by_mlflow(tmp_path):
    uri = f"sqlite:///{tmp_path / 'deep' / 'mlflow.db'}"
    prepare_database(uri)
    prepare_database(uri)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mlflow.db"]
    assert MlflowClient(uri).create_experiment("one") == "1"


@pytest.mark.parametrize("content", ["half", "", None])
def test_a_database_of_no_use_is_refused_at_once(tmp_path, content):
    path = tmp_path / "mlflow.db"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(OSError, match=r"mlflow.db: .*(not a database|no such table|unable to open).*; if it is of no"):
        prepare_database(f"sqlite:///{path}")


def test_the_first_failure_is_said_in_one_line_and_ends_the_tracking(tmp_path, caplog):
    before = mlflow.get_tracking_uri()
    calls = []

    def full(number):
        calls.append(number)
        raise OSError("[Errno 28] No space left on device\nand a page more")

    try:
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
        prepare_database(mlflow.get_tracking_uri())
        mlflow.start_run()
        with caplog.at_level(logging.WARNING, "gogooku_kedro"):
            track(full, 1)
            track(full, 2)
    finally:
        mlflow.end_run()
        mlflow.set_tracking_uri(before)
    assert calls == [1]
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("gogooku_kedro")]
    assert "goes on without MLflow" in line
    assert "No space left" in line
    assert "\n" not in line


def test_hooks_are_silent_after_the_first_failure(caplog):
    tracking, calls = Tracking(), []

    def fail():
        calls.append(1)
        raise ValueError("no")

    with caplog.at_level(logging.WARNING, "gogooku_kedro"):
        tracking._attempt(fail)
        tracking._attempt(fail)
    assert calls == [1]
    assert len(caplog.records) == 1
