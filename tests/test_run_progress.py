"""A run says how far it is, and after Ctrl-C how to go on."""

import logging
import re
import signal

import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from gogooku_kedro.datasets import JSONDataset
from gogooku_kedro.run_progress import TRAINING, RunProgress
from gogooku_kedro.run_status import RunStatus


def plus_one(x):
    return x + 1


@pytest.fixture
def run(tmp_path, caplog):
    """Run two stages; `train` is what the second one does."""

    def run(train=plus_one):
        paths = {name: tmp_path / "data/08_reporting" / f"{name}.json" for name in ("run_record", "a", "c")}
        catalog = DataCatalog({name: JSONDataset(filepath=str(path)) for name, path in paths.items()})
        catalog["x"] = MemoryDataset(1)
        pipeline = Pipeline(
            [
                node(plus_one, "x", "a", name="make_a", namespace="features"),
                node(plus_one, "a", "b", name="make_b", namespace="training"),
                node(train, "b", "c", name="train_model", namespace="training"),
            ]
        )
        progress, manager = RunProgress(), _create_hook_manager()
        manager.register(progress)
        progress.before_pipeline_run(pipeline=pipeline, catalog=catalog)
        try:
            with caplog.at_level(logging.INFO, "gogooku_kedro"):
                SequentialRunner().run(pipeline, catalog, manager)
                progress.after_pipeline_run()
        except Exception as error:
            progress.on_pipeline_error(error=error)
            raise
        return progress

    return run


def lines(caplog) -> list[str]:
    """Lines of the progress, with every number of seconds as 0."""
    told = [record.getMessage() for record in caplog.records if record.name == "gogooku_kedro.run_progress"]
    return [re.sub(r"\d+ s\b", "0 s", line) for line in told]


def test_every_stage_has_a_line_and_the_run_one(run, caplog, tmp_path):
    run()
    begin, *told = lines(caplog)
    assert begin == "run begins, stages: 2, nodes: 3"
    assert re.fullmatch(r"1/2 features, 0 s; about 1 min \d+ s left", told[0]), "training has a reference"
    assert told[1:] == ["2/2 training, 0 s", "2 stages in 0 s"]
    status = RunStatus.load(tmp_path / "data")
    assert (status.state, status.finished_stages, set(status.seconds)) == (
        "finished",
        ["features", "training"],
        {"features.make_a", "training.make_b", "training.train_model"},
    )
    run()
    assert set(RunStatus.load(tmp_path / "data").expected) == set(status.seconds)


def test_epochs_are_in_the_status_while_training_goes_on(run, tmp_path):
    seen = []

    def train(x):
        facts = {"seed": 2, "epoch": 1, "epochs": 4, "metrics": {"train/loss": 0.5}}
        logging.getLogger(f"{TRAINING}.callbacks").info("epoch", extra={"epoch_progress": facts})
        seen.append(RunStatus.load(tmp_path / "data"))
        return x

    run(train)
    assert seen[0].place() == "training (train_model, seed 2, epoch 1/4)"
    assert seen[0].state == "running"
    assert logging.getLogger(TRAINING).handlers == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_how_to_go_on(run, tmp_path, capsys, monkeypatch, number):
    monkeypatch.setattr("sys.argv", ["kedro", "run", "--env", "test", "--from-nodes=before"])
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        run(lambda x: signal.raise_signal(number))
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is before
    told = capsys.readouterr().err
    # b is in memory alone, so that the node that makes it runs again
    again = "kedro run --env test --from-nodes=training.make_b"
    assert told == (f"\nstopped in training (train_model); finished stages and epochs are kept\ngo on with: {again}\n")
    status = RunStatus.load(tmp_path / "data")
    assert (status.state, status.go_on) == ("stopped", again)


def test_a_run_says_that_it_begins_once_a_signal_ends_it_in_order(run, monkeypatch):
    said, handler = [], logging.Handler()
    handler.emit = lambda record: said.append((record.getMessage(), signal.getsignal(signal.SIGINT)))
    monkeypatch.setattr(logging.getLogger("gogooku_kedro.run_progress"), "handlers", [handler])
    progress = run()
    assert said[0] == ("run begins, stages: 2, nodes: 3", progress._stop)


def test_a_failure_is_in_the_status(run, tmp_path):
    def fail(x):
        raise ValueError("no edges\nand a page more")

    with pytest.raises(ValueError, match="no edges"):
        run(fail)
    status = RunStatus.load(tmp_path / "data")
    assert (status.state, status.error) == ("failed", "no edges")
