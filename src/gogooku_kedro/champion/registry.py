"""Registered models in MLflow: versions with what is to be known of them, and the aliases that name the champion."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema

from gogooku_kedro import __version__
from gogooku_kedro.champion.comparison import Candidate
from gogooku_kedro.columns import SCORES
from gogooku_kedro.tracking import SQLITE, prepare_database
from gogooku_kedro.training import Ensemble

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
"""Aliases: who scores, who was registered last, and to whom a rollback goes."""

CODE = Path(__file__).with_name("pyfunc_model.py")
ENSEMBLE = "ensemble"
BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"

SIGNATURE = ModelSignature(
    Schema([ColSpec("string", "data_root"), ColSpec("datetime", "date")]),
    Schema([ColSpec("datetime", "date"), ColSpec("string", "code"), *(ColSpec("float", name) for name in SCORES)]),
)


@dataclass(frozen=True)
class Version:
    """A registered model.

    Attributes:
        model: Name in the registry.
        number: Of the version.
        facts: From `facts_of`.
        role: Its alias, "" without one.
    """

    model: str
    number: str
    facts: Mapping[str, str]
    role: str = ""

    def __str__(self) -> str:
        return f"version {self.number}"

    @property
    def unseen_from(self) -> pd.Timestamp:
        """First session whose label its training has not seen."""
        return pd.Timestamp(self.facts["unseen_from"])

    def described(self) -> str:
        """Return "version 2 of atft_gat_fan, challenger (bars.parquet, seeds 0 1, unseen from 2020-11-02)"."""
        role = f", {self.role}" if self.role else ""
        of = (self.facts["source"], f"seeds {self.facts['seeds']}", f"unseen from {self.facts['unseen_from']}")
        return f"version {self.number} of {self.model}{role} ({', '.join(of)})"


def facts_of(ensemble: Ensemble, split: Mapping[str, Any], source: str) -> dict[str, str]:
    """Return what is registered beside a model, the tags of its version.

    Args:
        ensemble: The trained models.
        split: Of their training; its test part begins where no label was seen.
        source: Name of the price file.
    """
    return {
        "fingerprint": ensemble.fingerprint(),
        "feature_hash": ensemble.seed_models[0].feature_hash,
        "unseen_from": str(split["test"][0]),
        "seeds": " ".join(map(str, ensemble.seeds)),
        "source": source,
    }


class Registry:
    """The versions of one model in MLflow's registry.

    Args:
        uri: Tracking URI.
        name: Of the registered model.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri, self.name = uri, name
        self._client = MlflowClient(uri, registry_uri=uri)

    @classmethod
    def open(cls, uri: str, name: str) -> Registry:
        """Return a registry that is there.

        Raises:
            ValueError: There is no database, or none that can be read.
        """
        if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
            raise ValueError(f"no model is registered yet in {uri}: `kedro run` registers what it trains")
        try:
            prepare_database(uri)
        except OSError as error:
            raise ValueError(str(error)) from error
        return cls(uri, name)

    def register(self, ensemble: Ensemble, facts: Mapping[str, str]) -> Version:
        """Log an ensemble to the open MLflow run and register it; one that is registered already stays as it is.

        The first version is the champion, as there is nothing to beat; a later one is the challenger.

        Args:
            ensemble: The trained models.
            facts: From `facts_of`.
        """
        for each in self.versions():
            if each.facts.get("fingerprint") == facts["fingerprint"]:
                return each
        run = mlflow.active_run()
        with TemporaryDirectory() as folder, quiet():
            ensemble.save(Path(folder) / ENSEMBLE)
            logged = mlflow.pyfunc.log_model(
                name=self.name,
                python_model=str(CODE),
                artifacts={ENSEMBLE: str(Path(folder) / ENSEMBLE)},
                signature=SIGNATURE,
                pip_requirements=[f"gogooku_kedro=={__version__}", f"torch=={torch.__version__.partition('+')[0]}"],
            )
        if not self._client.search_registered_models(f"name = '{self.name}'"):
            self._client.create_registered_model(self.name)
        made = self._client.create_model_version(
            self.name, logged.model_uri, run.info.run_id if run else None, tags=dict(facts)
        )
        role = CHALLENGER if CHAMPION in self.aliases() else CHAMPION
        self._client.set_registered_model_alias(self.name, role, made.version)
        return self.find(str(made.version))

    def versions(self) -> list[Version]:
        """Return every version, the newest first."""
        found = self._client.search_model_versions(f"name = '{self.name}'", order_by=["version_number DESC"])
        roles = {number: role for role, number in self.aliases().items()} if found else {}
        return [self._version(each, roles) for each in found]

    def aliases(self) -> dict[str, str]:
        """Return the number of the version that each alias names."""
        (model,) = self._client.search_registered_models(f"name = '{self.name}'") or [None]
        return {} if model is None else {role: str(number) for role, number in model.aliases.items()}

    def find(self, which: str) -> Version:
        """Return a version.

        Args:
            which: Its number, or an alias such as `champion`.

        Raises:
            ValueError: There is none.
        """
        versions = self.versions()
        number = self.aliases().get(which, which) if versions else which
        for each in versions:
            if each.number == number:
                return each
        there = ", ".join(f"{each.number}{f' ({each.role})' if each.role else ''}" for each in versions) or "none"
        raise ValueError(
            f"{which!r} is no registered version of {self.name} in {self.uri}; there are: {there}; "
            "`kedro run` registers what it trains"
        )

    def candidate(self, version: Version) -> Candidate:
        """Return the model of a version.

        Raises:
            ValueError: Its files are missing, damaged, exchanged, or of another version of this package.
        """
        try:
            uri = self._client.get_model_version_download_uri(self.name, version.number)
            with quiet():
                folder = Path(download_artifacts(artifact_uri=uri, tracking_uri=self.uri))
        except (MlflowException, OSError) as error:
            raise ValueError(f"the files of {version} of {self.name} cannot be read: {_line(error)}") from error
        ensemble = Ensemble.load(folder / "artifacts" / ENSEMBLE)
        if ensemble.fingerprint() != version.facts["fingerprint"]:
            raise ValueError(f"{folder} is not what was registered as {version} of {self.name}; restore it")
        return Candidate(str(version), ensemble, version.unseen_from)

    def promote(self, version: Version, evidence: Mapping[str, str]) -> None:
        """Make a version the champion; the champion before is remembered, and what decided is kept with the version.

        Args:
            version: The new champion.
            evidence: Tags.
        """
        before = self.aliases()
        for name, value in evidence.items():
            self._client.set_model_version_tag(self.name, version.number, name, value)
        if CHAMPION in before:
            self._client.set_registered_model_alias(self.name, PREVIOUS, before[CHAMPION])
        self._client.set_registered_model_alias(self.name, CHAMPION, version.number)
        if before.get(CHALLENGER) == version.number:
            self._client.delete_registered_model_alias(self.name, CHALLENGER)

    def roll_back(self) -> tuple[Version, Version]:
        """Let champion and the champion before change places; return the champion now and the one before.

        Raises:
            ValueError: No champion was replaced yet.
        """
        aliases = self.aliases()
        if CHAMPION not in aliases or PREVIOUS not in aliases:
            raise ValueError(f"no champion of {self.name} was replaced yet, so there is none to go back to")
        self._client.set_registered_model_alias(self.name, CHAMPION, aliases[PREVIOUS])
        self._client.set_registered_model_alias(self.name, PREVIOUS, aliases[CHAMPION])
        return self.find(CHAMPION), self.find(PREVIOUS)

    def _version(self, found: ModelVersion, roles: Mapping[str, str]) -> Version:
        number = str(found.version)
        return Version(self.name, number, found.tags, roles.get(number, ""))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what MLflow says of its own to itself: hints on signatures, bars of copied files."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before, bars = [each.level for each in loggers], os.environ.get(BARS)
    os.environ[BARS] = "false"
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True):
            yield
    finally:
        if bars is None:
            del os.environ[BARS]
        else:
            os.environ[BARS] = bars
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
