"""Typed settings of the section `tuning`."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from gogooku_kedro.params.base import Section, no_effect
from gogooku_kedro.params.model import ModelParams
from gogooku_kedro.params.training import TrainingParams
from gogooku_kedro.params.walk_forward import WalkForwardParams

TUNED: dict[str, type[Section]] = {"model": ModelParams, "training": TrainingParams}
"""Sections whose settings are tuned; those of the others would change the data of every trial."""

OF_LUCK = ("training.seed", "training.seeds")
"""What tells trials apart by luck alone."""

Choice = bool | int | float | str | None


class RangeParams(Section):
    """All numbers from `low` to `high`; on the scale `log` a ratio counts as much at the small end as at the large."""

    low: float
    high: float
    scale: Literal["linear", "log"]


class SpaceParams(Section):
    """What trials choose from: lists of values, and ranges of numbers, by the path of the setting.

    `sampler: grid` tries every combination of the choices; `tpe` learns from the trials before, and takes ranges too.
    """

    sampler: Literal["grid", "tpe"]
    choices: dict[str, tuple[Choice, ...]]
    ranges: dict[str, RangeParams]

    @field_validator("choices", mode="before")
    @classmethod
    def _lists_are_tuples(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        return {name: tuple(values) if isinstance(values, list) else values for name, values in written.items()}


class TuningParams(Section):
    """Trials of other settings of `model` and `training`, measured within the training part alone.

    `walk_forward` plans the folds, which end with the training part; its `folder` keeps the studies. `trials` are those
    of the study in all, earlier runs included; `time_budget_minutes` is that of a run, after which no trial begins.
    """

    study: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    space: str
    trials: PositiveInt
    time_budget_minutes: PositiveFloat | None
    objective: Literal["rank_ic", "rank_icir"]
    seeds: tuple[int, ...] = Field(min_length=1)
    sampler_seed: int = Field(ge=0)
    pruner: Literal["median", "none"]
    unpruned_trials: PositiveInt
    walk_forward: WalkForwardParams
    export_to: str | None = no_effect()
    spaces: dict[str, SpaceParams]

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"tuning.seeds: {list(self.seeds)} must be different numbers, none negative: [0, 1]")
        return self

    @model_validator(mode="after")
    def _the_space_is_written(self) -> Self:
        if self.space not in self.spaces:
            near = "".join(f"did you mean {m!r}? " for m in get_close_matches(self.space, self.spaces, 1))
            raise ValueError(
                f"tuning.space: {self.space!r} is no space; {near}tuning.spaces has {', '.join(self.spaces)}"
            )
        return self

    @model_validator(mode="after")
    def _every_space_can_be_searched(self) -> Self:
        for name, space in self.spaces.items():
            _check_space(f"tuning.spaces.{name}", space)
        return self


@cache
def tunable() -> dict[str, Any]:
    """Return the settings that can be tuned, with their annotations: single values that change a result."""
    found = {path: kind for name, section in TUNED.items() for path, kind in _single_values(name, section)}
    return {path: kind for path, kind in found.items() if path not in OF_LUCK}


def kinds_of(name: str) -> list[Any]:
    """Return the types that a setting of `tunable` may have."""
    return _kinds(tunable()[name])


def _single_values(path: str, section: type[Section]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in section.model_fields:
        kind, here = section.model_fields[name].annotation, f"{path}.{name}"
        if isinstance(kind, type) and issubclass(kind, Section):
            found += _single_values(here, kind)
        elif name in section.result_fields() and all(_is_single(each) for each in _kinds(kind)):
            found.append((here, kind))
    return found


def _kinds(annotation: Any) -> list[Any]:
    """The types of a union, each without its bounds."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each)]
    return [annotation]


def _is_single(kind: Any) -> bool:
    return get_origin(kind) is Literal or kind in (bool, int, float, str, type(None))


def _check_space(path: str, space: SpaceParams) -> None:
    for name in (*space.choices, *space.ranges):
        _check_name(path, name)
    both = sorted(space.choices.keys() & space.ranges.keys())
    if both:
        raise ValueError(f"{path}: {both[0]} is among the choices and the ranges; keep one of them")
    if not space.choices and not space.ranges:
        raise ValueError(f"{path}: there is nothing to choose; write choices such as {{model.gat.heads: [2, 4]}}")
    if space.sampler == "grid" and space.ranges:
        raise ValueError(
            f"{path}.sampler: grid has no values for the range of {next(iter(space.ranges))}; list values in choices, "
            f"or write sampler: tpe"
        )
    for name, values in space.choices.items():
        distinct = {(type(value), value) for value in values}
        if not values or len(distinct) < len(values):
            raise ValueError(f"{path}.choices.{name}: {list(values)} must hold a value at least, and none twice")
    for name, of in space.ranges.items():
        _check_range(f"{path}.ranges.{name}", of, kinds_of(name))


def _check_name(path: str, name: str) -> None:
    if name in tunable():
        return
    section = name.partition(".")[0]
    if name in OF_LUCK:
        raise ValueError(f"{path}: {name} tells trials apart by luck alone; leave it out, and write tuning.seeds")
    near = get_close_matches(name, tunable(), 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(
        f"{path}: {name!r} is no setting that can be tuned; {hint}"
        + (
            "Single values that change a result can"
            if section in TUNED
            else f"Settings of {' and '.join(TUNED)} can; others change the data"
        )
    )


def _check_range(path: str, of: RangeParams, kinds: list[Any]) -> None:
    if not {int, float} & set(kinds):
        raise ValueError(f"{path}: the setting is no number, so it has no range; list its values in choices")
    if of.low >= of.high:
        raise ValueError(f"{path}: low {of.low:g} is not below high {of.high:g}; swap them")
    if of.scale == "log" and of.low <= 0:
        raise ValueError(f"{path}.low: {of.low:g} with scale: log; write a number above 0, or scale: linear")
    if float not in kinds and not (of.low.is_integer() and of.high.is_integer()):
        raise ValueError(f"{path}: {of.low:g} to {of.high:g} of a whole number; write whole numbers")
