"""Typed settings of the section `jquants`."""

from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from gogooku_kedro.params.base import DateOrAuto, Section, date_or_auto

Table = Literal[
    "bars",
    "listed_issues",
    "statements",
    "market_index",
    "sector_indices",
    "investor_flows",
    "margin_balances",
    "short_ratio",
]


class JQuantsParams(Section):
    """What is fetched from J-Quants, and how much one run may ask for.

    `start`, `events_start` and `end` are `auto` or dates; the plan's window clips them. `refetch_sessions` are the
    newest sessions that every run fetches again. The API key is no setting.
    """

    plan: Literal["free", "light", "standard", "premium"]
    base_url: str
    tables: tuple[Table, ...] = Field(min_length=1)
    start: DateOrAuto
    events_start: DateOrAuto
    end: DateOrAuto
    refetch_sessions: PositiveInt
    bulk: bool
    max_calls: PositiveInt | None
    max_minutes: PositiveFloat | None

    @field_validator("start", "events_start", "end", mode="before")
    @classmethod
    def _is_a_day_or_auto(cls, value: Any, info: ValidationInfo) -> Any:
        return date_or_auto(f"jquants.{info.field_name}", value)

    @field_validator("tables")
    @classmethod
    def _has_the_bars(cls, tables: tuple[Table, ...]) -> tuple[Table, ...]:
        if "bars" not in tables:
            raise ValueError(f"jquants.tables: {list(tables)} has no bars, without which there is no market; add bars")
        return tables

    @model_validator(mode="after")
    def _end_follows_start(self) -> Self:
        if isinstance(self.start, date) and isinstance(self.end, date) and self.end < self.start:
            raise ValueError(f"jquants.end: {self.end} is before jquants.start ({self.start}); swap them")
        return self
