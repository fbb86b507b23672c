"""Typed settings of the section `features`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gogooku_kedro.params.base import Section, no_effect

Normalisation = Literal["gaussian_rank", "robust_z"]


class FeatureChecksParams(Section):
    """What a feature must not be; shares and correlations are fractions."""

    on_failure: Literal["fail", "drop"]
    constant_share: float = Field(ge=0, lt=1)
    duplicate_correlation: float = Field(gt=0, le=1)


class FeaturesParams(Section):
    """Which features are computed and how a date's cross-section is normalised.

    `engine`, `scheduler`, `workers` and `memory_mb` say where and in what portions.
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
    workers: PositiveInt = no_effect()
    memory_mb: PositiveInt = no_effect()

    @model_validator(mode="after")
    def _scheduler_belongs_to_dask(self) -> "FeaturesParams":
        if self.scheduler is not None and self.engine != "dask":
            raise ValueError(
                f"features.scheduler: {self.scheduler!r} with features.engine: {self.engine}, which has "
                f"none; write engine: dask, or scheduler: null"
            )
        return self
