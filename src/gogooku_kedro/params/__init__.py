"""Typed settings: every key of ``conf/*/parameters*.yml``, with no defaults and nothing unknown allowed.

What is not written in the configuration is an error, so a section cannot be half-written and a misspelt key
cannot be ignored. Messages name the YAML path and the fix. This module knows nothing of torch or Kedro.
"""

from datetime import date
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gogooku_kedro.params.base import Section
from gogooku_kedro.params.features import FeaturesParams
from gogooku_kedro.params.graph import GraphParams
from gogooku_kedro.params.labels import LabelsParams

__all__ = [
    "HORIZONS",
    "RUNTIME_PARAMETERS",
    "SECTIONS",
    "EvaluationParams",
    "FanParams",
    "FeaturesParams",
    "GatParams",
    "GatRegularizationParams",
    "GraphParams",
    "IngestionParams",
    "LabelsParams",
    "LossParams",
    "ModelParams",
    "SanParams",
    "Section",
    "SplitParams",
    "TemporalParams",
    "TrainingParams",
    "VsnParams",
    "check_top_level",
]

HORIZONS = (1, 5, 10, 20)
"""Forecast horizons in sessions."""

Share = Field(ge=0, lt=1)
SplitDate = date | Literal["auto"]

MISSING_REGULARIZATION = (
    "model.gat.regularization is missing: write it out, for example `regularization: {enabled: true, "
    "edge_weight_penalty: 0.01, attention_entropy_penalty: 0.001}`"
)


class IngestionParams(Section):
    """How raw bars become a panel; ``max_move`` is a fraction, ``calendar`` a name of exchange_calendars.

    ``price_limits`` says whose table of daily price limits holds.
    """

    calendar: str | None
    timezone: str
    max_move: PositiveFloat
    price_limits: Literal["tse", "none"]


class SplitParams(Section):
    """Last session of the training and of the validation part; the test part is what follows."""

    train_end: SplitDate
    valid_end: SplitDate
    purge_sessions: PositiveInt

    @field_validator("train_end", "valid_end", mode="before")
    @classmethod
    def _is_a_date_or_auto(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            return value if value == "auto" or isinstance(value, date) else date.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"split.{info.field_name}: {value!r} is neither a date such as 2021-06-30 nor auto"
            ) from None


class VsnParams(Section):
    """Variable selection network."""

    enabled: bool
    feature_size: PositiveInt


class TemporalParams(Section):
    """Banded attention over the window."""

    heads: PositiveInt


class FanParams(Section):
    """Frequency-adaptive normalisation of the level-like channels."""

    enabled: bool
    top_k: PositiveInt
    predictor_size: PositiveInt


class SanParams(Section):
    """Slice-adaptive normalisation of the level-like channels."""

    enabled: bool
    slices: int = Field(ge=2)
    predictor_size: PositiveInt


class GatRegularizationParams(Section):
    """Penalties on the graph attention; zero is legal only with ``enabled: false``."""

    enabled: bool
    edge_weight_penalty: float = Field(ge=0)
    attention_entropy_penalty: float = Field(ge=0)

    @model_validator(mode="after")
    def _penalties_are_positive(self) -> Self:
        for name in ("edge_weight_penalty", "attention_entropy_penalty"):
            if self.enabled and getattr(self, name) == 0:
                raise ValueError(
                    f"model.gat.regularization.{name}: 0 with regularization enabled; set a positive "
                    f"value, or model.gat.regularization.enabled: false to train without penalties"
                )
        return self


class GatParams(Section):
    """Graph attention over stocks."""

    enabled: bool
    conv: Literal["gatv2"]
    heads: PositiveInt
    edge_attributes: tuple[str, ...] = Field(min_length=1)
    edge_dropout: float = Share
    neutralise_scores: bool
    use_in_training: bool
    regularization: GatRegularizationParams

    @model_validator(mode="before")
    @classmethod
    def _regularization_is_written(cls, section: Any) -> Any:
        if isinstance(section, dict) and section.get("regularization") is None:
            raise ValueError(MISSING_REGULARIZATION)
        return section

    @model_validator(mode="after")
    def _an_enabled_gat_is_trained(self) -> Self:
        if self.enabled and not self.use_in_training:
            raise ValueError(
                "model.gat.use_in_training: false while model.gat.enabled is true, so the GAT would never "
                "see an edge in training; set use_in_training: true, or model.gat.enabled: false"
            )
        return self


class ModelParams(Section):
    """ATFT-GAT-FAN: ``hidden_size`` is the total width of every layer, ``window`` is in sessions."""

    hidden_size: PositiveInt
    window: int = Field(ge=2)
    dropout: float = Share
    quantiles: tuple[float, ...] = Field(min_length=1)
    vsn: VsnParams
    temporal: TemporalParams
    fan: FanParams
    san: SanParams
    gat: GatParams

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for path, heads in (("gat", self.gat.heads), ("temporal", self.temporal.heads)):
            if self.hidden_size % heads:
                raise ValueError(
                    f"model.{path}.heads: {heads} does not divide model.hidden_size "
                    f"({self.hidden_size}); choose a divisor such as {_divisor_near(self.hidden_size, heads)}"
                )
        if self.san.enabled and (self.window % self.san.slices or self.window < 2 * self.san.slices):
            raise ValueError(
                f"model.san.slices: {self.san.slices} must divide model.window ({self.window}) into slices "
                f"of two sessions or more"
            )
        if self.fan.enabled and self.fan.top_k > self.window // 2:
            raise ValueError(
                f"model.fan.top_k: {self.fan.top_k} leaves no residual in a window of {self.window} "
                f"sessions; choose at most {self.window // 2}"
            )
        if list(self.quantiles) != sorted(set(self.quantiles)) or not (
            self.quantiles[0] > 0 and self.quantiles[-1] < 1
        ):
            raise ValueError(f"model.quantiles: {list(self.quantiles)} must increase strictly inside (0, 1)")
        return self


class LossParams(Section):
    """Weights of the loss terms beside the mean squared error of the Gaussian ranks."""

    ic_weight: float = Field(ge=0)
    quantile_weight: float = Field(ge=0)


class TrainingParams(Section):
    """Optimisation; ``chunk_days`` consecutive sessions of the whole cross-section are one batch."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["32-true", "bf16-mixed", "auto"]
    seed: int = Field(ge=0)
    max_epochs: PositiveInt
    patience: PositiveInt
    chunk_days: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: float = Field(ge=0)
    gradient_clip: PositiveFloat
    ema_decay: float = Share
    loss: LossParams
    checkpoint_dir: str


class EvaluationParams(Section):
    """``cost_bps`` is basis points per side on traded notional, annualisation uses ``sessions_per_year``."""

    cost_bps: float = Field(ge=0)
    sessions_per_year: PositiveInt
    bootstrap_samples: PositiveInt
    seed: int = Field(ge=0)


SECTIONS: dict[str, type[Section]] = {
    "ingestion": IngestionParams,
    "features": FeaturesParams,
    "labels": LabelsParams,
    "split": SplitParams,
    "graph": GraphParams,
    "model": ModelParams,
    "training": TrainingParams,
    "evaluation": EvaluationParams,
}
"""Top-level sections of the configuration."""

RUNTIME_PARAMETERS = frozenset({"data_root", "ohlcv_path", "signal_strength"})
"""Keys of ``--params`` that are not sections: where a run reads and writes, and what it reads."""


def check_top_level(names: set[str]) -> None:
    """Refuse a top-level key that no section and no run-time parameter knows.

    Args:
        names: Top-level keys of the merged configuration and of ``--params``.

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


def _divisor_near(number: int, wanted: int) -> int:
    return min((d for d in range(1, number + 1) if number % d == 0), key=lambda d: (abs(d - wanted), d))
