"""Studies on disk: one SQLite file of Optuna, in which no trial is lost, repeated or counted twice."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from gogooku_kedro.artifacts import atomic_file, key
from gogooku_kedro.labels.split import Split
from gogooku_kedro.params import FeaturesParams, TuningParams
from gogooku_kedro.params.base import flatten
from gogooku_kedro.tuning.space import Settings
from gogooku_kedro.walk_forward.refit import History
from gogooku_kedro.walk_forward.store import read_until

logger = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)

FORMAT = 1
FILE = "studies.db"
KEY, FOLDS, DIVERGED = "key", "folds", "diverged"
"""What is kept of a trial: the name of its training, what every finished fold gave, and whether it diverged."""
NAME, DATA, DATA_HASH = "name", "data", "data_hash"
"""What is kept of a study: its name in the settings, and the data that its folds and its run read."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Identity:
    """What trials of a study have in common.

    Attributes:
        data: Name of all that the folds read.
        data_hash: Hash of the data of the run.
        study: Name of data, folds, settings and space together.
    """

    data: str
    data_hash: str
    study: str


def identify(
    history: History, splits: Sequence[Split], base: Settings, features: FeaturesParams, params: TuningParams, raw: str
) -> Identity:
    """Return the identity of a study; what comes after the training part, and where files lie, is not part of it.

    Args:
        history: What the data stages leave.
        splits: Of the folds.
        base: Settings that the points of the space change.
        features: Section `features`.
        params: Section `tuning`.
        raw: `data_hash` of the run.
    """
    data = key(format=FORMAT, **read_until(history, splits[-1]["test"][1]))
    space = params.spaces[params.space]
    chosen = {*space.choices, *space.ranges}
    own = flatten({"model": base.model.identity(), "training": base.training.identity()})
    search = [params.objective, params.sampler_seed, params.pruner, params.unpruned_trials, space]
    study = key(
        data=data,
        splits=list(splits),
        features=features,
        search=search,
        settings={name: value for name, value in own.items() if name not in chosen},
    )
    return Identity(data, raw, study)


class StudyStore:
    """The study of the settings of now among all studies of a file.

    Args:
        folder: Holds the file.
        name: `tuning.study`.
        identity: Of the study.

    Attributes:
        study: Optuna's.

    Raises:
        ValueError: The file cannot be read or written; the message names it.
    """

    def __init__(self, folder: Path, name: str, identity: Identity) -> None:
        self.path, self.identity = folder / FILE, identity
        try:
            self._storage = _storage(self.path)
            others = [each for each in self._storage.get_all_studies() if each.user_attrs.get(NAME) == name]
            own_name = f"{name}_{identity.study[:12]}"
            if others and own_name not in [each.study_name for each in others]:
                logger.info("tuning.study %s: its data or settings are others than before; it begins anew", name)
            self.study: Study = optuna.create_study(
                storage=self._storage, study_name=own_name, direction="maximize", load_if_exists=True
            )
            for attribute, value in ((NAME, name), (DATA, identity.data), (DATA_HASH, identity.data_hash)):
                self.study.set_user_attr(attribute, value)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
            reason = str(error.__cause__ or error).partition("\n")[0]
            raise ValueError(
                f"tuning.walk_forward.folder: {self.path} cannot be used ({reason}); free or repair it, or remove it "
                f"to begin every study anew"
            ) from error

    def ended(self) -> list[FrozenTrial]:
        """Return the trials of the study that ended, the oldest first; a diverged one is among them."""
        return self.study.get_trials(deepcopy=False, states=ENDED)

    def revive(self) -> int:
        """Let trials that were cut off begin again, and return how many; the folds they finished are known."""
        cut_off = self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        for trial in cut_off:
            self.study.enqueue_trial(trial.params)
            self.study.tell(trial.number, state=TrialState.FAIL)
        return len(cut_off)

    def known_folds(self, training: str) -> list[dict[str, Any]]:
        """Return what the folds of a training gave before, in any study of the file."""
        found = [trial.user_attrs.get(FOLDS, []) for trial in self._trials() if trial.user_attrs.get(KEY) == training]
        return list(max(found, key=len, default=[]))

    def counted(self) -> int:
        """Return how many trials ended on this data, under whatever settings and in whatever study; each once."""
        own = self.identity
        same = [
            each._study_id
            for each in self._storage.get_all_studies()
            if each.user_attrs.get(DATA) == own.data or each.user_attrs.get(DATA_HASH) == own.data_hash
        ]
        ended = (trial for number in same for trial in self._storage.get_all_trials(number, states=ENDED))
        return len({trial.user_attrs[KEY] for trial in ended})

    def _trials(self) -> Iterator[FrozenTrial]:
        for each in self._storage.get_all_studies():
            yield from self._storage.get_all_trials(each._study_id, deepcopy=False)


def _storage(path: Path) -> RDBStorage:
    """Open the file; a new one is there whole or not at all."""
    if not path.exists():
        with atomic_file(path) as unfinished:
            made = RDBStorage(f"sqlite:///{unfinished}")
            made.engine.dispose()
    return RDBStorage(f"sqlite:///{path}")


def training_key(identity: Identity, splits: Sequence[Split], features: FeaturesParams, settings: Settings) -> str:
    """Return the name of what a trial trains: equal data, folds and settings, and only they, have equal names."""
    parts = [identity.data, list(splits), features, settings.model, settings.training]
    return key(format=FORMAT, trial=parts)


def value_of(folds: Sequence[Mapping[str, Any]], objective: str) -> float:
    """Return the objective of finished folds: the mean over horizons, then over folds; NaN where none has a number."""
    means = [_mean(fold[objective].values()) for fold in folds]
    return _mean(means)


def trial_rows(store: StudyStore) -> list[dict[str, Any]]:
    """Return the trials that ended as JSON types: trial, state, value, settings, folds."""
    return [
        {
            "trial": trial.number,
            "state": state_of(trial),
            "value": trial.value if trial.state is TrialState.COMPLETE else None,
            "settings": trial.params,
            "folds": [_plain(fold) for fold in trial.user_attrs.get(FOLDS, [])],
        }
        for trial in store.ended()
    ]


def state_of(trial: FrozenTrial) -> str:
    """Return finished, pruned or diverged."""
    if trial.user_attrs.get(DIVERGED):
        return "diverged"
    return "finished" if trial.state is TrialState.COMPLETE else "pruned"


def _plain(value: Any) -> Any:
    """The same as JSON has it, where no number is None."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mean(values: Any) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
