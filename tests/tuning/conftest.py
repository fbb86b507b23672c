"""Settings of a small tuning, a study file that is made once, and a score without a training."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gogooku_kedro.params import FeaturesParams, ModelParams, TrainingParams, TuningParams
from gogooku_kedro.tuning.search import Search, run_trials
from gogooku_kedro.tuning.space import Settings, tuned_base
from gogooku_kedro.tuning.store import FILE, Identity, StudyStore
from tests.conftest import settings_of
from tests.walk_forward.conftest import history, splits

__all__ = ["history", "splits"]

CHOICES = {"model.gat.heads": [1, 2], "model.dropout": [0.0, 0.1, 0.2]}
RANGES = {"training.learning_rate": {"low": 0.001, "high": 0.1, "scale": "log"}}
SPACES = {
    "small": {"sampler": "grid", "choices": CHOICES, "ranges": {}},
    "free": {"sampler": "tpe", "choices": {"model.gat.heads": [1, 2]}, "ranges": RANGES},
}
SPLITS: list[dict[str, Any]] = [
    {
        "train": ["2020-01-06", "2020-03-31"],
        "valid": ["2020-05-01", "2020-05-29"],
        "test": ["2020-07-01", "2020-07-31"],
    },
    {
        "train": ["2020-01-06", "2020-04-30"],
        "valid": ["2020-06-01", "2020-06-30"],
        "test": ["2020-08-03", "2020-08-31"],
    },
]


def tuning_params(**changes: Any) -> TuningParams:
    settings = settings_of("test")["tuning"] | {"spaces": SPACES, "space": "small", "trials": 3} | changes
    return TuningParams.model_validate(settings)


def base_settings(params: TuningParams) -> Settings:
    written = settings_of("test")
    model, training = (
        ModelParams.model_validate(written["model"]),
        TrainingParams.model_validate(written["training"]),
    )
    return tuned_base(params, model, training)


def search_of(**changes: Any) -> Search:
    params = tuning_params(**changes)
    features = FeaturesParams.model_validate(settings_of("test")["features"])
    return Search(params, base_settings(params), features, SPLITS)


class FakeScore:
    """The rank IC grows with heads and falls with dropout and with the distance of the learning rate from 0.01.

    Attributes:
        asked: Fold and settings of every call.
    """

    def __init__(self, change: Callable[[int, Settings], None] = lambda number, settings: None) -> None:
        self.asked: list[tuple[int, int, float]] = []
        self.change = change

    def __call__(self, number: int, settings: Settings, name: str) -> dict[str, Any]:
        model = settings.model
        self.change(number, settings)
        self.asked.append((number, model.gat.heads, model.dropout))
        value = (
            0.01 * model.gat.heads - 0.1 * model.dropout - abs(settings.training.learning_rate - 0.01) + 0.001 * number
        )
        by_horizon = {f"{h}d": value + 0.001 * k for k, h in enumerate((1, 5, 10, 20))}
        return {"rank_ic": by_horizon, "rank_icir": by_horizon, "epochs": [1], "seconds": 1.0}


OWN = Identity("data", "hash", "study")


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty file of studies: to make it takes longer than to copy it."""
    folder = tmp_path_factory.mktemp("studies")
    StudyStore(folder, "unused", Identity("other", "other", "other"))
    return folder / FILE


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made, tmp_path / FILE)
    return tmp_path


@pytest.fixture
def tune(folder: Path) -> Callable[..., StudyStore]:
    """Run trials in the folder, and return the store."""

    def run(score: FakeScore, identity: Identity = OWN, **changes: Any) -> StudyStore:
        search = search_of(**changes)
        store = StudyStore(folder, search.params.study, identity)
        run_trials(store, search, score)
        return store

    return run
