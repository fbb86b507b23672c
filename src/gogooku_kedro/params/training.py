"""Typed settings of the sections `training` and `debug`."""

from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.params.base import Section, no_effect
from gogooku_kedro.params.model import Share


class LossParams(Section):
    """Weights of the terms of the loss, each a mean over dates and horizons; at least one ranks.

    `fan_weight` and `san_weight` are for the forecasts of the raw price channels.
    """

    mse_weight: float = Field(ge=0)
    ic_weight: float = Field(ge=0)
    pairwise_weight: float = Field(ge=0)
    listnet_weight: float = Field(ge=0)
    soft_rank_weight: float = Field(ge=0)
    quantile_weight: float = Field(ge=0)
    fan_weight: float = Field(ge=0)
    san_weight: float = Field(ge=0)

    @model_validator(mode="after")
    def _something_ranks(self) -> Self:
        ranking = ("mse_weight", "ic_weight", "pairwise_weight", "listnet_weight", "soft_rank_weight")
        if not any(getattr(self, name) for name in ranking):
            raise ValueError(
                f"training.loss: {', '.join(ranking)} are all 0, so nothing would train the scores; "
                f"set training.loss.mse_weight: 1.0"
            )
        return self


class PhaseParams(Section):
    """A stretch of training; `epochs: null` takes what `max_epochs` leaves to the last phase.

    `horizon_weights` weigh the terms of the horizons, `learning_rate_factor` the learning rate.
    """

    name: str
    epochs: PositiveInt | None
    graph: bool
    learning_rate_factor: PositiveFloat
    horizon_weights: tuple[float, ...]

    @model_validator(mode="after")
    def _a_weight_for_every_horizon(self) -> Self:
        weights = self.horizon_weights
        if len(weights) != len(HORIZONS) or min(weights) < 0 or sum(weights) == 0:
            raise ValueError(
                f"training.phases: phase {self.name!r} has horizon_weights {list(weights)}; write "
                f"{len(HORIZONS)} numbers (for {', '.join(f'{h}d' for h in HORIZONS)}), none negative, "
                f"not all 0"
            )
        return self


class TrainingParams(Section):
    """Optimisation; `chunk_days` consecutive sessions of the whole cross-section are one batch.

    `refit: valid` trains once more on all sessions up to the end of the validation part, for the chosen epochs.
    """

    device: Literal["auto", "cpu", "cuda"]
    devices: PositiveInt
    precision: Literal["32-true", "bf16-mixed", "auto"]
    compile: bool | Literal["auto"]
    cuda_graphs: Literal["auto", True, False] = no_effect()
    seed: int = Field(ge=0)
    seeds: tuple[int, ...]
    seeds_together: Literal["auto", True, False]
    processes: PositiveInt | Literal["auto"] = no_effect()
    market_memory: Literal["device", "host", "auto"] = no_effect()
    max_epochs: PositiveInt
    patience: PositiveInt
    monitor_smoothing: float = Share
    max_batches: PositiveInt | None
    time_budget_minutes: PositiveFloat | None
    chunk_days: PositiveInt
    accumulate: PositiveInt
    learning_rate: PositiveFloat
    warmup_share: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    gradient_clip: PositiveFloat
    ema_decay: float = Share
    phases: tuple[PhaseParams, ...]
    refit: Literal["none", "valid"]
    loss: LossParams
    checkpoint_dir: str = no_effect()
    keep_checkpoints: PositiveInt = no_effect()

    @field_validator("compile", "cuda_graphs", mode="before")
    @classmethod
    def _is_auto_or_a_boolean(cls, value: object, info: ValidationInfo) -> object:
        if value == "auto" or isinstance(value, bool):
            return value
        name = f"training.{info.field_name}"
        raise ValueError(f"{name}: {value!r} is not possible: write auto, true or false, without quotes")

    @model_validator(mode="after")
    def _phases_follow_each_other(self) -> Self:
        if not self.phases:
            raise ValueError("training.phases: [] has no phase; write one with `epochs: null`")
        *earlier, last = self.phases
        unbounded = [p.name for p in earlier if p.epochs is None]
        if unbounded or last.epochs is not None:
            raise ValueError(
                f"training.phases: every phase but the last has a number of epochs and the last has "
                f"`epochs: null`; change {unbounded or [last.name]}"
            )
        planned = sum(p.epochs or 0 for p in earlier)
        if planned >= self.max_epochs:
            raise ValueError(
                f"training.phases: {planned} epochs before the last phase {last.name!r} leave none of "
                f"training.max_epochs ({self.max_epochs}); raise it or shorten the phases"
            )
        if not last.graph:
            raise ValueError(
                f"training.phases: the last phase {last.name!r} has graph: false, so the model that is kept "
                f"would never have seen an edge; set graph: true, or model.gat.enabled: false to do without"
            )
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise ValueError(
                f"training.seeds: {list(self.seeds)} must be different numbers, none negative; "
                f"write [] to train one model with training.seed"
            )
        return self

    def all_seeds(self) -> tuple[int, ...]:
        """Seeds of the models to train: `seeds`, or `seed` alone where there are none."""
        return self.seeds or (self.seed,)

    def identity(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """As of every section; `seed` is not in it where `seeds` takes its place, so `seeds` stands for both."""
        return super().identity(without={"seed", *without}) | {"seeds": list(self.all_seeds())}

    def phase_of(self, epoch: int) -> PhaseParams:
        """The phase that an epoch (counted from 0) belongs to."""
        for phase in self.phases:
            if phase.epochs is None or epoch < phase.epochs:
                return phase
            epoch -= phase.epochs
        return self.phases[-1]


class DebugParams(Section):
    """What is written beyond the usual; `gat_verbose` logs every step of the GAT at DEBUG."""

    gat_verbose: bool = no_effect()
