"""Typed settings of the section `walk_forward`."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gogooku_kedro.params.base import Section, no_effect


class WalkForwardParams(Section):
    """Folds that end with the data; every length is in sessions, `purge_sessions` is that of `split`.

    `online_rate` is the learning rate of the daily step on matured labels, null for none. `folder` holds a subfolder
    for every finished or unfinished fold.
    """

    scheme: Literal["expanding", "rolling"]
    folds: PositiveInt
    test_sessions: int = Field(ge=20)
    valid_sessions: int = Field(ge=20)
    train_sessions: int | None = Field(ge=20)
    embargo_sessions: int = Field(ge=0)
    online_rate: PositiveFloat | None
    folder: str = no_effect()

    @model_validator(mode="after")
    def _a_length_for_a_rolling_window_alone(self) -> Self:
        if self.scheme == "rolling" and self.train_sessions is None:
            raise ValueError(
                "walk_forward.train_sessions: null with walk_forward.scheme: rolling; write the sessions "
                "that every fold trains on, or scheme: expanding"
            )
        if self.scheme == "expanding" and self.train_sessions is not None:
            raise ValueError(
                f"walk_forward.train_sessions: {self.train_sessions} with walk_forward.scheme: expanding, "
                f"which trains on all sessions there are; write train_sessions: null, or scheme: rolling"
            )
        return self
