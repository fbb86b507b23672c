"""What trials choose from: the points of a space, and the settings that a point makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from gogooku_kedro.params import ModelParams, RangeParams, Section, SpaceParams, TrainingParams, TuningParams
from gogooku_kedro.params.base import overlaid
from gogooku_kedro.params.tuning import TUNED, kinds_of
from gogooku_kedro.validation import sentence

Point = dict[str, Any]
"""Setting, by its dotted path -> value."""

TRIED = 20_000
"""Combinations of values of one section that are checked before anything is trained."""


@dataclass(frozen=True)
class Settings:
    """The settings of one trial.

    Attributes:
        model: Section `model`.
        training: Section `training`, with the seeds of the tuning.
    """

    model: ModelParams
    training: TrainingParams

    def at(self, point: Mapping[str, Any]) -> Settings:
        """Return these settings with the values of a point.

        Raises:
            ValueError: Together they are impossible; the message names the point.
        """
        changed: dict[str, Any] = {}
        for name, section in (("model", self.model), ("training", self.training)):
            changed[name] = _changed(name, section, point)
        return Settings(**changed)


def distributions(space: SpaceParams) -> dict[str, BaseDistribution]:
    """Return what Optuna draws from, by setting."""
    drawn: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(values) for name, values in space.choices.items()
    }
    return drawn | {name: _range(name, of) for name, of in space.ranges.items()}


def grid_points(space: SpaceParams, seed: int) -> list[Point]:
    """Return every combination of the choices, in an order of chance, so that a part of them is spread evenly."""
    points = [dict(zip(space.choices, values, strict=True)) for values in product(*space.choices.values())]
    order = np.random.default_rng(seed).permutation(len(points))
    return [points[number] for number in order]


def tuned_base(params: TuningParams, model: ModelParams, training: TrainingParams) -> Settings:
    """Return the settings that the points of `tuning.space` change."""
    return Settings(model, training.model_copy(update={"seeds": params.seeds}))


def space_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Return why the values of `tuning.space` make no settings, one sentence each; the first of each section.

    Args:
        parameters: Merged configuration whose sections `tuning`, `model` and `training` are valid by themselves.
    """
    params = TuningParams.model_validate(parameters["tuning"])
    own: dict[str, Any] = {name: section.model_validate(parameters[name]) for name, section in TUNED.items()}
    space, problems = params.spaces[params.space], []
    for name, section in own.items():
        try:
            for point in islice(_corners(space, name), TRIED):
                _changed(name, section, point)
        except ValueError as error:
            problems.append(f"tuning.spaces.{params.space}: {error}")
    return problems


def _corners(space: SpaceParams, section: str) -> Iterator[Point]:
    """Every combination of the values of one section; of a range both ends."""
    values: dict[str, list[Any]] = {
        name: list(of) for name, of in space.choices.items() if name.startswith(f"{section}.")
    }
    values |= {name: _ends(name, of) for name, of in space.ranges.items() if name.startswith(f"{section}.")}
    for combination in product(*values.values()):
        yield dict(zip(values, combination, strict=True))


def _ends(name: str, of: RangeParams) -> list[float | int]:
    drawn = _range(name, of)
    return [drawn.low, drawn.high]


def _range(name: str, of: RangeParams) -> FloatDistribution | IntDistribution:
    log = of.scale == "log"
    if _is_whole(name):
        return IntDistribution(int(of.low), int(of.high), log=log)
    return FloatDistribution(of.low, of.high, log=log)


def _is_whole(name: str) -> bool:
    return float not in kinds_of(name)


def _changed(name: str, section: Section, point: Mapping[str, Any]) -> Any:
    own = {path: value for path, value in point.items() if path.startswith(f"{name}.")}
    if not own:
        return section
    changes: dict[str, Any] = {}
    for path, value in own.items():
        for key in reversed(path.split(".")[1:]):
            value = {key: value}  # noqa: PLW2901
        changes = overlaid(changes, value)
    try:
        return type(section).model_validate(overlaid(section.model_dump(), changes))
    except ValidationError as error:
        problem = sentence(name, type(section), error.errors()[0])
        chosen = ", ".join(f"{path} = {value}" for path, value in own.items())
        raise ValueError(f"with {chosen}: {problem}") from None
