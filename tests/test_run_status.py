"""`kedro status` says how far a run is, whether it died, and how to go on."""

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from gogooku_kedro.cli import cli
from gogooku_kedro.run_status import FILE, OTHER, REFERENCE, SETTLED, RunStatus, duration
from tests.conftest import ROOT


def status(**changes) -> RunStatus:
    now = time.time()
    known = {
        "process": os.getpid(),
        "command": "kedro run --env test",
        "started": now,
        "stages": 3,
        "nodes": 4,
        "stage": "training",
        "node": "training.train_model",
        "node_started": now - 60,
        "finished_stages": ["features"],
        "seconds": {"features.compute_features": 18.0},
    }
    return RunStatus(**known | changes)


TRAINING = {
    "node": "training.train_model",
    "seed": 1,
    "refit": False,
    "epoch": 3,
    "epochs": 12,
    "metrics": {"valid/rank_ic": 0.0123},
}


def printed(root) -> list[str]:
    os.chdir(ROOT)
    result = CliRunner().invoke(cli, ["status", "--env", "test", "--params", f"data_root={root}"])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.mark.parametrize(("seconds", "words"), [(41.4, "41 s"), (221, "3 min 41 s"), (7530, "2 h 5 min")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_run_that_goes_on(tmp_path):
    assert printed(tmp_path) == [f"no run yet in {tmp_path}"]
    status(training=TRAINING, left=90.0, go_on="kedro run --from-nodes=x").save(tmp_path)
    first, command, left, epoch = printed(tmp_path)
    assert first.endswith(
        f"as process {os.getpid()}: 1 of 3 stages finished, in training (train_model, seed 1, epoch 3/12)"
    )
    assert command == "command: kedro run --env test"
    assert left.startswith("about 1 min ")
    assert epoch == "last epoch of the network, seed 1: valid/rank_ic 0.0123"


@pytest.mark.parametrize(
    ("node", "name", "refit", "whose"),
    [
        ("training.train_model", "without graph", False, "of the network without graph, seed 1"),
        ("training.train_model", "", True, "of the network, seed 1 refit"),
        ("walk_forward.train_folds", "", False, "in train_folds, seed 1"),
    ],
)
def test_the_last_epoch_says_of_which_model_it_is_whatever_runs_now(node, name, refit, whose):
    epoch = TRAINING | {"node": node, "name": name, "refit": refit}
    for now in ("training.train_model", "report.write_report"):
        assert status(node=now, training=epoch).lines()[-1] == f"last epoch {whose}: valid/rank_ic 0.0123"


def test_a_run_that_was_killed_and_another_process_with_its_number(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for process, started in ((gone.pid, time.time()), (os.getpid(), 1e9)):
        status(process=process, started=started, go_on="kedro run --from-nodes=x").save(tmp_path)
        first, _, last = printed(tmp_path)
        assert first.startswith(f"died without a word, process {process} is not there any more: 1 of 3 stages")
        assert last == "go on with: kedro run --from-nodes=x"


def test_a_run_that_ended(tmp_path):
    ended = time.time()
    status(state="finished", started=ended - 221, ended=ended, go_on="x").save(tmp_path)
    first, command = printed(tmp_path)
    assert first.startswith("finished on 20")
    assert first.endswith(" after 3 min 41 s")
    status(state="failed", ended=ended, error="no edges", go_on="kedro run").save(tmp_path)
    assert printed(tmp_path)[0].startswith("failed on 20")
    assert printed(tmp_path)[1:] == ["no edges", command, "go on with: kedro run"]


def test_a_status_of_another_version_counts_as_none(tmp_path):
    status().save(tmp_path)
    stored = json.loads((tmp_path / FILE).read_text())
    del stored["nodes"]
    (tmp_path / FILE).write_text(json.dumps(stored))
    assert RunStatus.load(tmp_path) is None


def test_what_is_left_follows_the_run_before_the_epochs_and_the_pace():
    todo = ["training.train_model", "report.write_report"]
    assert status(node="", seconds={}, expected={}).remaining(todo) is None
    before = {"training.train_model": 100.0, "report.write_report": 4.0}
    assert status(expected=before).remaining(todo) == pytest.approx(40 + 4, abs=0.5)
    slow = {f"stage.{name}": 2 * seconds for name, seconds in REFERENCE.items() if name != "train_model"}
    ended = sum(slow.values()) / 2
    pace = (2 * ended + SETTLED) / (ended + SETTLED)
    by_epoch = status(training=TRAINING, seconds=slow).remaining(todo)  # 3 of 12 in a minute
    assert by_epoch == pytest.approx(180 + pace * OTHER, abs=0.3)
    assert status(seconds=slow).remaining(todo) == pytest.approx(pace * (120 + OTHER) - 60, abs=0.3)


def test_the_first_short_nodes_do_not_foretell_the_whole_run():
    todo = ["training.train_model", "report.write_report"]
    short = {f"ingestion.{name}": 4 * OTHER for name in ("make", "read")}
    assert status(node="", seconds=short).remaining(todo) < 1.5 * (REFERENCE["train_model"] + OTHER)
