"""Typed settings of the section `evaluation`."""

from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.params.base import Section, no_effect


class FactorsParams(Section):
    """Principal components that `pca_neutral` scores are without; `window`, `cadence` in sessions."""

    number: PositiveInt
    window: PositiveInt
    cadence: PositiveInt


class PortfolioParams(Section):
    """Portfolios that are simulated session by session; shares, caps and bands are fractions.

    `costs_bps` are basis points per side, `turnover_cap` is of the notional of one leg and session,
    `participation` of a stock's 20-session median traded value.
    """

    decile_share: float
    top_k: PositiveInt
    costs_bps: tuple[float, ...] = Field(min_length=1)
    hysteresis: float | None
    turnover_cap: float | None
    sector_cap: float | None
    loanable: Literal["all", "none"]
    participation: float

    @field_validator("decile_share")
    @classmethod
    def _legs_do_not_meet(cls, share: float) -> float:
        if not 0 < share <= 0.5:
            raise ValueError(
                f"evaluation.portfolio.decile_share: {share:g} of the stocks in either leg is not possible; "
                f"write a fraction above 0 and up to 0.5, such as 0.1"
            )
        return share

    @field_validator("costs_bps")
    @classmethod
    def _costs_rise(cls, costs: tuple[float, ...]) -> tuple[float, ...]:
        if min(costs) < 0 or list(costs) != sorted(set(costs)):
            raise ValueError(
                f"evaluation.portfolio.costs_bps: {list(costs)} must be basis points of 0 or more in "
                f"increasing order, such as [0, 5, 10, 20]"
            )
        return costs

    @field_validator("turnover_cap", "sector_cap", "participation")
    @classmethod
    def _is_a_fraction(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not 0 < value <= 1:
            unlimited = "" if info.field_name == "participation" else ", or null for none"
            raise ValueError(
                f"evaluation.portfolio.{info.field_name}: {value:g} is not a fraction; write a number "
                f"above 0 and up to 1{unlimited}"
            )
        return value

    @model_validator(mode="after")
    def _band_is_wider_than_the_leg(self) -> Self:
        if self.hysteresis is not None and not self.decile_share < self.hysteresis <= 0.5:
            raise ValueError(
                f"evaluation.portfolio.hysteresis: {self.hysteresis:g} must be wider than "
                f"evaluation.portfolio.decile_share ({self.decile_share:g}) and at most 0.5; "
                f"write null for no band"
            )
        return self


class MonitoringParams(Section):
    """How published rankings are held against what came of them; none of it changes a result of a run.

    `horizon` is the one of the alarm line, `window` and `drift_window` are sessions, `false_alarm_rate` is the share
    of years without decay in which the line is crossed, `draws` the histories that it is computed from.
    """

    horizon: Literal[1, 5, 10, 20]
    window: int = Field(ge=20)
    drift_window: int = Field(ge=5)
    false_alarm_rate: float
    draws: int = Field(ge=100)

    @field_validator("false_alarm_rate")
    @classmethod
    def _is_seen_among_the_draws(cls, rate: float, info: ValidationInfo) -> float:
        if not 0.01 <= rate <= 0.5:
            raise ValueError(
                f"evaluation.monitoring.false_alarm_rate: {rate:g} is no share of years between 0.01 and 0.5; write "
                f"for example 0.05"
            )
        return rate


class TradingParams(Section):
    """Trading view: `sessions` that portfolios are held, `decays` of the scores to choose from, costs per side."""

    sessions: tuple[int, ...] = Field(min_length=1)
    decays: tuple[float, ...] = Field(min_length=1)
    costs_bps: tuple[float, ...] = Field(min_length=1)

    @field_validator("sessions")
    @classmethod
    def _are_horizons(cls, sessions: tuple[int, ...]) -> tuple[int, ...]:
        if not set(sessions) <= set(HORIZONS):
            raise ValueError(
                f"evaluation.trading.sessions: {list(sessions)} must be horizons that are predicted, among "
                f"{list(HORIZONS)}"
            )
        return sessions

    @field_validator("decays")
    @classmethod
    def _forget(cls, decays: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= decay < 1 for decay in decays):
            raise ValueError(
                f"evaluation.trading.decays: {list(decays)} must be fractions from 0 (no smoothing) to below 1"
            )
        return decays

    @field_validator("costs_bps")
    @classmethod
    def _cost_something(cls, costs: tuple[float, ...]) -> tuple[float, ...]:
        if min(costs) < 0:
            raise ValueError(f"evaluation.trading.costs_bps: {list(costs)} must be basis points of 0 or more")
        return costs


class EvaluationParams(Section):
    """`cost_bps` is basis points per side on traded notional, annualisation uses `sessions_per_year`."""

    cost_bps: float = Field(ge=0)
    sessions_per_year: PositiveInt
    bootstrap_samples: PositiveInt
    factors: FactorsParams
    portfolio: PortfolioParams
    monitoring: MonitoringParams = no_effect()
    blend: Literal["equal", "valid"]
    trading: TradingParams
    seed: int = Field(ge=0)
