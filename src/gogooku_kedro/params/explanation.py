"""Typed settings of the section `explanation`."""

from typing import Literal

from pydantic import Field, PositiveInt

from gogooku_kedro.params.base import Section


class ExplanationParams(Section):
    """What is looked at to say what a model learned; `seed` draws sessions, stocks and permutations.

    `days` sampled sessions and `edges` on each are for the effects of single edges, `explainer_steps`
    is GNNExplainer's, `gradient_steps` that of integrated gradients.
    """

    part: Literal["valid", "test"]
    days: PositiveInt
    edges: PositiveInt
    explainer_steps: PositiveInt
    repeats: PositiveInt
    gradient_steps: int = Field(ge=2)
    top_pairs: PositiveInt
    seed: int = Field(ge=0)
