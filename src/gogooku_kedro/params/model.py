"""Typed settings of the section `model`."""

import logging
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gogooku_kedro.columns import HORIZONS, quantile_column
from gogooku_kedro.params.base import Section

LOGGER = logging.getLogger(__name__)

Share = Field(ge=0, lt=1)

MISSING_REGULARIZATION = (
    "model.gat.regularization is missing: write it out, for example `regularization: {enabled: true, "
    "edge_weight_penalty: 0.01, attention_entropy_penalty: 0.001}`"
)


def without_key(section: Any, path: str, reason: str) -> Any:
    """Take a key of earlier versions out of a section, with a line in the log.

    Raises:
        ValueError: If its value is not `none`: what it switched on is not there any more.
    """
    key = path.rpartition(".")[2]
    if not isinstance(section, Mapping) or key not in section:
        return section
    if section[key] != "none":
        raise ValueError(f"{path}: {section[key]!r} is not possible: {reason}; remove the key")
    LOGGER.warning("%s has no effect any more; remove the key", path)
    return {name: value for name, value in section.items() if name != key}


class MarketGateParams(Section):
    """Gate on the features by the state of the market; a high `temperature` keeps it near 1."""

    enabled: bool
    temperature: PositiveFloat


class VsnParams(Section):
    """Variable selection network."""

    enabled: bool
    feature_size: PositiveInt


class TemporalParams(Section):
    """Attention over the window."""

    heads: PositiveInt

    @model_validator(mode="before")
    @classmethod
    def _has_no_local_encoder(cls, section: Any) -> Any:
        return without_key(section, "model.temporal.local_encoder", "the LSTM took 1.5 times the time for no gain")


class FanParams(Section):
    """Frequency-adaptive normalisation of the raw price channels."""

    enabled: bool
    top_k: PositiveInt
    predictor_size: PositiveInt


class SanParams(Section):
    """Slice-adaptive normalisation of the raw price channels."""

    enabled: bool
    slices: int = Field(ge=2)
    predictor_size: PositiveInt


class GatRegularizationParams(Section):
    """Penalties on the graph attention; zero is legal only with `enabled: false`."""

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


class DiffusionParams(Section):
    """Attention over several hops; `restart` is the share of the first hop kept at every further one."""

    enabled: bool
    hops: int = Field(ge=2)
    restart: float = Field(gt=0, lt=1)


class LearnedGraphParams(Section):
    """Edges to the `k` stocks of most similar state; `penalty` keeps them smooth and sparse."""

    enabled: bool
    k: PositiveInt
    perspectives: PositiveInt
    penalty: float = Field(ge=0)

    @model_validator(mode="after")
    def _is_regularised(self) -> Self:
        if self.enabled and self.penalty == 0:
            raise ValueError(
                "model.gat.learned_graph.penalty: 0 with the learned graph enabled; set a positive value, "
                "or model.gat.learned_graph.enabled: false"
            )
        return self


class GatParams(Section):
    """Graph network over stocks."""

    enabled: bool
    conv: Literal["gat", "gatv2", "sage", "gin", "transformer"]
    layers: int = Field(ge=1, le=3)
    heads: PositiveInt
    edge_attributes: tuple[str, ...] = Field(min_length=1)
    edge_dropout: float = Share
    difference: bool
    neutralise_scores: bool
    diffusion: DiffusionParams
    learned_graph: LearnedGraphParams
    use_in_training: bool
    regularization: GatRegularizationParams

    @model_validator(mode="before")
    @classmethod
    def _has_no_norm(cls, section: Any) -> Any:
        return without_key(section, "model.gat.norm", "no measurement spoke for a norm over the stocks of a date")

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

    @model_validator(mode="after")
    def _a_learned_graph_is_read(self) -> Self:
        unread = self.conv == "sage" and not self.difference and not self.neutralise_scores
        if self.learned_graph.enabled and unread:
            raise ValueError(
                "model.gat.learned_graph.enabled: true with model.gat.conv: sage, which reads no edge "
                "attributes, so that nothing would train the graph; set model.gat.difference: true, or "
                "another model.gat.conv"
            )
        return self


class LinearPathParams(Section):
    """Scores of a regression on the day's features, to which those of the network are added."""

    enabled: bool
    neighbours: bool

    @model_validator(mode="before")
    @classmethod
    def _has_no_scale(cls, section: Any) -> Any:
        if isinstance(section, Mapping) and "network_scale" in section:
            LOGGER.warning("model.linear_path.network_scale has no effect any more; remove the key")
            return {name: value for name, value in section.items() if name != "network_scale"}
        return section


class ModelParams(Section):
    """ATFT-GAT-FAN: `hidden_size` is the total width of every layer, `window` is in sessions."""

    hidden_size: PositiveInt
    window: int = Field(ge=2)
    dropout: float = Share
    feature_dropout: float = Share
    quantiles: tuple[float, ...] = Field(min_length=1)
    market_gate: MarketGateParams
    vsn: VsnParams
    temporal: TemporalParams
    fan: FanParams
    san: SanParams
    gat: GatParams
    linear_path: LinearPathParams

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        for path, heads in (("gat", self.gat.heads), ("temporal", self.temporal.heads)):
            if self.hidden_size % heads:
                raise ValueError(
                    f"model.{path}.heads: {heads} does not divide model.hidden_size "
                    f"({self.hidden_size}); choose a divisor such as {_divisor_near(self.hidden_size, heads)}"
                )
        return self

    @model_validator(mode="after")
    def _window_can_be_split(self) -> Self:
        if self.san.enabled and (self.window % self.san.slices or self.window < 2 * self.san.slices):
            raise ValueError(
                f"model.san.slices: {self.san.slices} must divide model.window ({self.window}) into slices "
                f"of two sessions or more"
            )
        if self.san.enabled and self.window // self.san.slices > max(HORIZONS):
            raise ValueError(
                f"model.san.slices: slices of {self.window // self.san.slices} sessions are longer than the "
                f"{max(HORIZONS)} sessions ahead whose statistics they foresee; use more slices"
            )
        # The sessions ahead are split as the window is.
        sessions = min(self.window, max(HORIZONS))
        if self.fan.enabled and self.fan.top_k > sessions // 2:
            which = "a window of" if sessions == self.window else "the coming"
            raise ValueError(
                f"model.fan.top_k: {self.fan.top_k} leaves no residual in {which} {sessions} sessions; "
                f"choose at most {sessions // 2}"
            )
        return self

    @model_validator(mode="after")
    def _quantiles_increase(self) -> Self:
        if list(self.quantiles) != sorted(set(self.quantiles)) or not (
            self.quantiles[0] > 0 and self.quantiles[-1] < 1
        ):
            raise ValueError(f"model.quantiles: {list(self.quantiles)} must increase strictly inside (0, 1)")
        names = [quantile_column(level, HORIZONS[0]) for level in self.quantiles]
        twins = [pair for pair in pairwise(zip(self.quantiles, names, strict=True)) if pair[0][1] == pair[1][1]]
        outside = [level for level in self.quantiles if round(100 * level) in (0, 100)]
        if twins or outside:
            levels = [level for level, _ in twins[0]] if twins else outside
            raise ValueError(
                f"model.quantiles: {levels} cannot be told apart in column names, which have whole percent "
                f"({quantile_column(levels[0], HORIZONS[0])}); write levels such as 0.05 and 0.06"
            )
        return self


def _divisor_near(number: int, wanted: int) -> int:
    return min((d for d in range(1, number + 1) if number % d == 0), key=lambda d: (abs(d - wanted), d))
