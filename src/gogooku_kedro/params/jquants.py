"""Typed settings of the section `jquants`."""

from datetime import date, datetime, time
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from gogooku_kedro.params.base import Section

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
Day = date | Literal["auto"]


class JQuantsParams(Section):
    """What is fetched from J-Quants, and how much one run may ask for.

    `start`, `events_start` and `end` are `auto` or dates; the plan's window clips them. `refetch_sessions` are the
    newest sessions that every run fetches again. The API key is no setting.
    """

    plan: Literal["free", "light", "standard", "premium"]
    base_url: str
    tables: tuple[Table, ...] = Field(min_length=1)
    start: Day
    events_start: Day
    end: Day
    refetch_sessions: PositiveInt
    bulk: bool
    max_calls: PositiveInt | None
    max_minutes: PositiveFloat | None

    @field_validator("start", "events_start", "end", mode="before")
    @classmethod
    def _is_a_day_or_auto(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            if isinstance(value, datetime) and value.time() == time():
                return value.date()
            if value == "auto" or (isinstance(value, date) and not isinstance(value, datetime)):
                return value
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"jquants.{info.field_name}: {value!r} is neither a date such as 2021-06-30 nor auto"
            ) from None

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
