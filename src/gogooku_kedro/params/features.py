"""Typed settings of the section `features`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from gogooku_kedro.params.base import Section, no_effect, say_renamed

Normalisation = Literal["gaussian_rank", "robust_z"]

RENAMED_FAMILIES = {"peers": "neighbours"}
"""Families of earlier versions by the names of today, see `Section.renamed`."""


class FeatureChecksParams(Section):
    """What a feature must not be; shares and correlations are fractions."""

    on_failure: Literal["fail", "drop"]
    constant_share: float = Field(ge=0, lt=1)
    duplicate_correlation: float = Field(gt=0, le=1)


class FeaturesParams(Section):
    """Which features are computed and how a date's cross-section is normalised.

    `engine`, `scheduler`, `workers` and `memory_mb` say where and in what portions; `workers: auto` is a block for
    every core, fewer where `memory_mb` does not hold as many.
    """

    renamed: ClassVar[Mapping[str, str]] = {"gates": "checks"}

    families: tuple[str, ...] = Field(min_length=1)
    normalisation: Normalisation
    normalisation_of: dict[str, Normalisation]
    sector_neutral: tuple[str, ...]
    clip: PositiveFloat
    min_history: PositiveInt
    leak_cap: float = Field(gt=0, le=1)
    checks: FeatureChecksParams
    engine: Literal["local", "dask"] = no_effect()
    scheduler: str | None = no_effect()
    workers: int | Literal["auto"] = no_effect()
    memory_mb: PositiveInt = no_effect()

    @field_validator("families", "normalisation_of", "sector_neutral", mode="before")
    @classmethod
    def _accept_earlier_families(cls, written: Any, info: ValidationInfo) -> Any:
        if not isinstance(written, list | tuple | dict):
            return written
        today = {name: RENAMED_FAMILIES.get(name, name) for name in written if isinstance(name, str)}
        for old in RENAMED_FAMILIES.keys() & today.keys():
            say_renamed(f"features.{info.field_name}", old, RENAMED_FAMILIES[old])
        if isinstance(written, dict):  # what is written under an earlier name lies over the rest, as in `renamed`
            ordered = sorted(written, key=lambda name: name in RENAMED_FAMILIES)
            return {today.get(name, name): written[name] for name in ordered}
        return [today[name] if isinstance(name, str) else name for name in written]

    @field_validator("workers", mode="plain")
    @classmethod
    def _number_or_auto(cls, written: Any) -> Any:
        if written == "auto" or (type(written) is int and written > 0):
            return written
        raise ValueError(f"features.workers: {written!r} is neither a whole number above 0 nor auto")

    @model_validator(mode="after")
    def _scheduler_belongs_to_dask(self) -> "FeaturesParams":
        if self.scheduler is not None and self.engine != "dask":
            raise ValueError(
                f"features.scheduler: {self.scheduler!r} with features.engine: {self.engine}, which has "
                f"none; write engine: dask, or scheduler: null"
            )
        return self
