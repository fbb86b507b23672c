"""Typed settings of the section `graph`."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gogooku_kedro.params.base import Section, no_effect


class LeadLagParams(Section):
    """Edges from stocks that move a session ahead; `fdr` is the share of false ones expected."""

    enabled: bool
    fdr: float = Field(gt=0, lt=1)
    k: PositiveInt


class GraphChecksParams(Section):
    """Bounds that every graph is reported against: mean in-degree, share of stocks without an edge."""

    degree_min: float = Field(ge=0)
    degree_max: PositiveFloat
    isolates_max: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _degrees_are_in_order(self) -> Self:
        if self.degree_min >= self.degree_max:
            raise ValueError(
                f"graph.checks.degree_min: {self.degree_min:g} is not below graph.checks.degree_max "
                f"({self.degree_max:g}); lower it or raise degree_max"
            )
        return self


class GraphParams(Section):
    """Correlation graph; `window`, `cadence` and `half_life` are in sessions, `checks` stop nothing."""

    renamed: ClassVar[Mapping[str, str]] = {"gates": "checks"}

    window: int = Field(ge=3)
    min_observations: int = Field(ge=3)
    cadence: PositiveInt
    residual: Literal["none", "market", "sector", "pca"]
    pca_factors: PositiveInt
    correlation: Literal["pearson", "ewma", "spearman"]
    half_life: PositiveFloat
    threshold: float = Field(ge=0, lt=1)
    k: PositiveInt
    join: Literal["union", "mutual", "directed"]
    negative_edges: bool
    max_degree: PositiveInt | None
    sector_nearest: int = Field(ge=0)
    lead_lag: LeadLagParams
    checks: GraphChecksParams = no_effect()
    cache_dir: str | None = no_effect()

    @model_validator(mode="after")
    def _window_holds_observations(self) -> Self:
        if self.min_observations > self.window:
            raise ValueError(
                f"graph.min_observations: {self.min_observations} exceeds graph.window "
                f"({self.window}); lower it or widen the window"
            )
        if self.residual == "pca" and self.min_observations < self.pca_factors + 2:
            raise ValueError(
                f"graph.pca_factors: {self.pca_factors} cannot be taken out of graph.min_observations "
                f"({self.min_observations}) returns; use at most {self.min_observations - 2} factors"
            )
        return self

    @model_validator(mode="after")
    def _cap_leaves_room_for_k(self) -> Self:
        if self.max_degree is not None and self.max_degree < self.k:
            raise ValueError(
                f"graph.max_degree: {self.max_degree} is below graph.k ({self.k}), which could never be "
                f"reached; raise it, lower graph.k, or write null for no cap"
            )
        return self
