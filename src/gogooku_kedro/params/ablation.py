"""Typed settings of the section `ablation`."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from gogooku_kedro.params.base import Section
from gogooku_kedro.params.walk_forward import WalkForwardParams

REQUIRED_VARIANTS = ("on", "off")
"""The two variants whose difference is the effect of the GAT."""


class VariantParams(Section):
    """What one variant changes: settings of `model`, the graph it gets, and which of its scores count.

    `scores: pca_neutral` takes the principal components out of the variant's finished scores.
    """

    model: dict[str, Any]
    graph: Literal["as_is", "identity", "permuted", "mean"]
    scores: Literal["raw", "pca_neutral"]


class GoalsParams(Section):
    """Gains of `on` over `off`, as a share of what `off` reaches; 0 asks for any gain."""

    rank_ic: float = Field(ge=0)
    rank_icir: float = Field(ge=0)
    sharpe_net: float = Field(ge=0)


class AblationParams(Section):
    """Variants to train on every fold with every seed; `walk_forward.folder` keeps the finished ones.

    `arm_in_run` trains the variant `off` beside the network in the default flow, on its split and with its seeds.
    """

    renamed: ClassVar[Mapping[str, str]] = {"arms": "variants"}

    seeds: tuple[int, ...] = Field(min_length=1)
    walk_forward: WalkForwardParams
    goals: GoalsParams
    arm_in_run: bool
    run: tuple[str, ...]
    variants: dict[str, VariantParams]

    @field_validator("run", mode="before")
    @classmethod
    def _yaml_reads_on_as_true(cls, run: Any) -> Any:
        names = {True: "on", False: "off"}
        if not isinstance(run, list | tuple):
            return run
        return [names[name] if isinstance(name, bool) else name for name in run]

    @field_validator("variants", mode="before")
    @classmethod
    def _names_are_no_booleans(cls, variants: Any) -> Any:
        if isinstance(variants, dict) and not all(isinstance(name, str) for name in variants):
            raise ValueError(
                'ablation.variants: YAML reads a bare on and off as true and false; write "on" and "off", quoted'
            )
        return variants

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"ablation.seeds: {list(self.seeds)} must be different numbers, none negative: [0, 1, 2]")
        return self

    @model_validator(mode="after")
    def _the_variants_to_run_are_written(self) -> Self:
        for name in self.run:
            if name not in self.variants:
                near = "".join(f"did you mean {m!r}? " for m in get_close_matches(name, self.variants, 1))
                raise ValueError(
                    f"ablation.run: {name!r} is no variant; {near}ablation.variants has {', '.join(self.variants)}"
                )
        missing = [name for name in REQUIRED_VARIANTS if name not in self.run]
        if missing or len(set(self.run)) < len(self.run):
            raise ValueError(
                f"ablation.run: {list(self.run)} must hold {' and '.join(REQUIRED_VARIANTS)}, whose difference "
                f"is the effect of the GAT, and no variant twice"
            )
        return self
