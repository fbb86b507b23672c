"""A walk-forward that is killed, or whose disk is full, at a write."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from gogooku_kedro.refusals import sentence_of
from gogooku_kedro.walk_forward import models as fold_models
from gogooku_kedro.walk_forward import walk_forward as module
from gogooku_kedro.walk_forward.refit import History
from gogooku_kedro.walk_forward.store import FoldResult
from gogooku_kedro.walk_forward.walk_forward import walk_forward
from tests.accidents import contents, full, kill_at_writes, writes_of
from tests.walk_forward.conftest import fold_settings


def replayed(patch: pytest.MonkeyPatch, given: dict[str, Any], owner: Any, name: str, key: Callable[..., Any]) -> None:
    """Let a function give what it gave before for the same key: the writes around it stay, its sums go."""
    real = getattr(owner, name)

    def give(*arguments: Any, **named: Any) -> Any:
        which = (name, key(*arguments))
        if which not in given:
            given[which] = real(*arguments, **named)
        return given[which]

    patch.setattr(owner, name, give)


def number_of(fold: Any, *_: Any) -> int:
    return fold.number


def part_tested(market: Any, *_: Any) -> tuple[int, int]:
    return market.parts["test"]


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What the models and scores of a walk-forward were the first time."""
    return {}


@pytest.fixture
def work(history, splits, given, tmp_path, monkeypatch) -> Callable[[], list[FoldResult]]:
    """The walk-forward below `tmp_path`; after the first time its models and scores are those of that time."""
    replayed(monkeypatch, given, History, "fold", lambda _, number, *__: number)
    replayed(monkeypatch, given, fold_models, "fit_ensemble", lambda _, train, *__: train)
    replayed(monkeypatch, given, module, "fold_predictions", part_tested)
    replayed(monkeypatch, given, module, "fold_baselines", number_of)
    replayed(monkeypatch, given, module, "online_predictions", part_tested)
    replayed(monkeypatch, given, module, "stack_models", lambda scores, *_: str(scores["date"].min()))
    monkeypatch.setattr(module.time, "monotonic", lambda: 0.0)
    root = tmp_path / "folds"
    return lambda: walk_forward(history, splits, fold_settings(root), root)


SOME_OR_EVERY = pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "every"])


@SOME_OR_EVERY
def test_a_walk_forward_that_is_killed_at_a_write_ends_as_if_it_had_not_been(work, tmp_path, step):
    kill_at_writes(work, tmp_path / "folds", step, least=30)


@SOME_OR_EVERY
def test_a_walk_forward_whose_disk_is_full_at_a_write_goes_on_where_it_was(work, tmp_path, step):
    root = tmp_path / "folds"
    work()
    wanted = contents(root)
    shutil.rmtree(root)
    for number in range(1, writes_of(work) + 1, step):
        shutil.rmtree(root)
        sentence = sentence_of(full(work, number))
        assert "No space left on device; mend that" in sentence
        work()
        assert contents(root) == wanted, number
