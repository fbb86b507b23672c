"""Typed settings of the section `labels`."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, PositiveInt, field_validator, model_validator

from gogooku_kedro.params.base import Section

N_HORIZONS = 4
Residual = Literal["none", "market", "sector", "pca"]


class LabelsParams(Section):
    """When a position is entered, which labels are missing, and what of a return is learned.

    `residual` is one word for all horizons or four in the order 1, 5, 10, 20; `residual_window` and
    `pca_cadence` are in sessions.
    """

    entry: Literal["next_open", "close"]
    limit_entry: Literal["missing", "traded"]
    delisting: Literal["missing", "last_price"]
    residual: tuple[Residual, Residual, Residual, Residual]
    residual_window: int = Field(ge=20)
    pca_factors: PositiveInt
    pca_cadence: PositiveInt

    @field_validator("residual", mode="before")
    @classmethod
    def _one_word_per_horizon(cls, value: Any) -> Any:
        words = [value] * N_HORIZONS if isinstance(value, str) else value
        possible = get_args(Residual)
        complete = isinstance(words, list | tuple) and len(words) == N_HORIZONS
        if not complete or any(word not in possible for word in words):
            raise ValueError(
                f"labels.residual: {value!r} is not possible; write one of {', '.join(possible)}, or a list "
                f"of {N_HORIZONS} for the horizons 1, 5, 10, 20"
            )
        return tuple(words)

    @model_validator(mode="after")
    def _window_holds_the_factors(self) -> Self:
        if self.pca_factors > self.residual_window // 2:
            raise ValueError(
                f"labels.pca_factors: {self.pca_factors} exceeds half of labels.residual_window "
                f"({self.residual_window}); lower it or widen the window"
            )
        return self

    def fitted_sessions(self) -> int:
        """Sessions of past returns behind the targets: `residual_window`, 0 when returns are learned."""
        return self.residual_window if set(self.residual) != {"none"} else 0
