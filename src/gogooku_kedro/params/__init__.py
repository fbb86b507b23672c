"""Typed settings: every key of `conf/*/parameters*.yml`, with no defaults and nothing unknown allowed.

What is not written in the configuration is an error, so a section cannot be half-written and a misspelt key
cannot be ignored. Messages name the YAML path and the fix. This module knows nothing of torch or Kedro.
"""

from datetime import date
from difflib import get_close_matches
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gogooku_kedro.params.ablation import AblationParams, GoalsParams, VariantParams
from gogooku_kedro.params.base import DateOrAuto, Section, date_or_auto
from gogooku_kedro.params.daily import DailyParams
from gogooku_kedro.params.evaluation import EvaluationParams, FactorsParams, PortfolioParams
from gogooku_kedro.params.explanation import ExplanationParams
from gogooku_kedro.params.features import FeaturesParams
from gogooku_kedro.params.graph import GraphParams
from gogooku_kedro.params.inference import InferenceParams
from gogooku_kedro.params.jquants import JQuantsParams
from gogooku_kedro.params.labels import LabelsParams
from gogooku_kedro.params.model import (
    DiffusionParams,
    FanParams,
    GatParams,
    GatRegularizationParams,
    LearnedGraphParams,
    MarketGateParams,
    ModelParams,
    SanParams,
    TemporalParams,
    VsnParams,
)
from gogooku_kedro.params.training import DebugParams, LossParams, PhaseParams, TrainingParams
from gogooku_kedro.params.tuning import RangeParams, SpaceParams, TuningParams
from gogooku_kedro.params.walk_forward import WalkForwardParams

__all__ = [
    "PRESETS",
    "RUNTIME_PARAMETERS",
    "SECTIONS",
    "AblationParams",
    "DailyParams",
    "DebugParams",
    "DiffusionParams",
    "EvaluationParams",
    "ExplanationParams",
    "FactorsParams",
    "FanParams",
    "FeaturesParams",
    "GatParams",
    "GatRegularizationParams",
    "GoalsParams",
    "GraphParams",
    "InferenceParams",
    "IngestionParams",
    "JQuantsParams",
    "LabelsParams",
    "LearnedGraphParams",
    "LossParams",
    "MarketGateParams",
    "ModelParams",
    "PhaseParams",
    "PortfolioParams",
    "RangeParams",
    "SanParams",
    "Section",
    "SpaceParams",
    "SplitParams",
    "TemporalParams",
    "TrainingParams",
    "TuningParams",
    "VariantParams",
    "VsnParams",
    "WalkForwardParams",
    "check_preset",
    "check_top_level",
]


class IngestionParams(Section):
    """How raw bars become a panel; `max_move` is a fraction, `calendar` a name of exchange_calendars.

    `price_limits` says whose table of daily price limits holds, `split_like_jumps` what a move near a split ratio
    without an event is. `extra_columns` names further columns of numbers in the price file that become features, each
    with the sessions after that of its row at whose close it is known; 0 where it is known at the close of its date.
    """

    calendar: str | None
    timezone: str
    max_move: PositiveFloat
    price_limits: Literal["tse", "none"]
    split_like_jumps: Literal["invalid", "return"]
    extra_columns: dict[str, int]

    @field_validator("extra_columns")
    @classmethod
    def _can_be_named(cls, columns: dict[str, int]) -> dict[str, int]:
        for name, lag in columns.items():
            if not (name.isidentifier() and name.isascii()):
                raise ValueError(
                    f"ingestion.extra_columns: {name!r} has other characters than letters, digits and _; rename the "
                    f"column in the price file"
                )
            if lag < 0:
                raise ValueError(
                    f"ingestion.extra_columns.{name}: {lag} would look ahead; write 0 for what is known at the "
                    f"close of its date, or the sessions after it"
                )
        return columns

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            near = "".join(f"did you mean {m!r}? " for m in get_close_matches(name, sorted(available_timezones()), 1))
            raise ValueError(
                f"ingestion.timezone: {name!r} is no time zone; {near}Write a name of the IANA database, such as "
                f"Asia/Tokyo"
            ) from None
        return name


class SplitParams(Section):
    """Last session of the training and of the validation part; the test part is what follows."""

    train_end: DateOrAuto
    valid_end: DateOrAuto
    purge_sessions: PositiveInt

    @field_validator("train_end", "valid_end", mode="before")
    @classmethod
    def _is_a_date_or_auto(cls, value: Any, info: ValidationInfo) -> Any:
        return date_or_auto(f"split.{info.field_name}", value)

    @model_validator(mode="after")
    def _validation_follows_training(self) -> Self:
        dated = isinstance(self.train_end, date) and isinstance(self.valid_end, date)
        if dated and self.valid_end <= self.train_end:  # type: ignore[operator]
            raise ValueError(
                f"split.valid_end: {self.valid_end} is not after split.train_end ({self.train_end}); swap them, or "
                f"write auto"
            )
        return self


SECTIONS: dict[str, type[Section]] = {
    "ingestion": IngestionParams,
    "features": FeaturesParams,
    "labels": LabelsParams,
    "split": SplitParams,
    "graph": GraphParams,
    "model": ModelParams,
    "training": TrainingParams,
    "debug": DebugParams,
    "evaluation": EvaluationParams,
    "inference": InferenceParams,
    "walk_forward": WalkForwardParams,
    "ablation": AblationParams,
    "tuning": TuningParams,
    "explanation": ExplanationParams,
    "jquants": JQuantsParams,
    "daily": DailyParams,
}
"""Top-level sections of the configuration."""

RUNTIME_PARAMETERS = frozenset({"data_root", "market_seed", "ohlcv_path", "preset", "signal_strength", "stale"})
"""Keys of `--params` that are not sections: what a run reads, where, its size, and `stale: allow`."""

PRESETS = {"minimal": "gat_minimal", "production": "gat_production"}
"""Sizes that go with every environment, each with the folder of `conf` that holds its values."""


def check_top_level(names: set[str]) -> None:
    """Refuse a top-level key that no section and no run-time parameter knows.

    Args:
        names: Top-level keys of the merged configuration and of `--params`.

    Raises:
        ValueError: Naming each unknown key and the closest known one.
    """
    known = set(SECTIONS) | RUNTIME_PARAMETERS
    unknown = sorted(names - known)
    if unknown:
        hints = [
            f"{name!r}" + "".join(f" (did you mean {m!r}?)" for m in get_close_matches(name, known, 1))
            for name in unknown
        ]
        raise ValueError(
            f"unknown top-level parameter {', '.join(hints)}: the sections are "
            f"{', '.join(SECTIONS)} and --params also takes {', '.join(sorted(RUNTIME_PARAMETERS))}"
        )


def check_preset(preset: Any) -> None:
    """Refuse a size that is none of `PRESETS`.

    Raises:
        ValueError: Naming the sizes.
    """
    if preset != "none" and str(preset) not in PRESETS:
        near = "".join(f"did you mean {match!r}? " for match in get_close_matches(str(preset), PRESETS, 1))
        raise ValueError(f"preset: {preset!r} is no size; {near}Write none, {' or '.join(PRESETS)}")
