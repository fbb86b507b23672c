"""Typed settings of the section `inference`."""

from typing import Literal

from gogooku_kedro.params.base import Section


class InferenceParams(Section):
    """Whose scores the ranking of the latest session has: the network's, or those of the blend with it."""

    scores: Literal["model", "blend"]
