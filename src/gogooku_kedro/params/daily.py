"""Typed settings of the section `daily`."""

import re
from datetime import date
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)

from gogooku_kedro.params.base import Section, no_effect


class ChampionParams(Section):
    """What decides between two registered models.

    `name` is that of the model in MLflow's registry: one a market. A challenger becomes champion when the 95% interval
    of its rank IC less the champion's, `horizon` sessions ahead, lies above `margin`.
    """

    name: str
    horizon: Literal[1, 5, 10, 20]
    margin: NonNegativeFloat

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[\w .-]*\w", value):
            raise ValueError(
                f"daily.champion.name: {value!r} is no name of a registered model; write letters, digits, _, - and ."
            )
        return value


class DailyParams(Section):
    """What a morning publishes, and when it refuses to.

    `horizon` is that of the list's order and of its reasons, `reason_steps` are those of integrated gradients.
    `published` is the time of day from which a session's prices count as out, `delay_days` how many days later the
    source gives them. `rows_share` and `missing_share` are fractions, see `daily.checks`. `as_of` replays the morning
    after that session, with what was fetched by `known_at` (seconds since 1970; null: what is dated by then).
    `model` is what scores: the ensemble that the last training left in the data root, or the champion of the registry.
    """

    horizon: Literal[1, 5, 10, 20]
    reason_steps: PositiveInt
    published: str
    delay_days: NonNegativeInt
    rows_share: float = Field(gt=0, le=1)
    missing_share: float = Field(gt=0, le=1)
    as_of: date | None
    known_at: PositiveFloat | None
    model: Literal["trained", "champion"]
    champion: ChampionParams
    rankings: str = no_effect()
    sessions: str = no_effect()

    @field_validator("published")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError(f"daily.published: {value!r} is no time of day; write hours and minutes, such as '16:30'")
        return value

    @field_validator("as_of", mode="before")
    @classmethod
    def _is_a_date(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(f"daily.{info.field_name}: {value!r} is no date such as 2021-06-30, nor null") from None
