"""ATFT-GAT-FAN: temporal fusion transformer with graph attention and frequency-adaptive normalisation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.model.convolution import AttentionDiffusion
from gogooku_kedro.model.dropout import FeatureDropout
from gogooku_kedro.model.fan import FrequencyAdaptiveNorm
from gogooku_kedro.model.gat import GraphAttention, GraphBlock
from gogooku_kedro.model.grn import GRN, GatedFusion
from gogooku_kedro.model.heads import LinearPath, QuantileHead, ScoreHead, ScoreNeutralisation
from gogooku_kedro.model.learned_graph import LearnedGraph
from gogooku_kedro.model.levels import LevelEncoder, LevelForecast, fit_level_scale
from gogooku_kedro.model.san import SliceAdaptiveNorm
from gogooku_kedro.model.temporal import BandedAttention
from gogooku_kedro.model.vsn import MarketGate, VariableSelectionNetwork
from gogooku_kedro.params import ModelParams


class ModelOutput(NamedTuple):
    """What one forward pass over a chunk of `D` sessions returns.

    Attributes:
        score: `(D, N, 4)`, high = expected to do better than the cross-section.
        quantiles: `(D, N, 4, Q)` of the label, non-decreasing along `Q`.
        selection: `(D + L - 1, N, F)` variable selection weights, None without a VSN.
        temporal_attention: `(N, D, D + L - 1)`, mean over heads.
        graph: Attention over the edges, None with the GAT switched off.
        forecast: Of the raw price channels, for their losses; None without FAN and SAN.
    """

    score: Tensor
    quantiles: Tensor
    selection: Tensor | None
    temporal_attention: Tensor
    graph: GraphAttention | None
    forecast: LevelForecast | None


class StockState(NamedTuple):
    """What the model knows of each stock before the graph network.

    Attributes:
        hidden: `(D, N, hidden_size)`; behind it what the linear path said, where there is one.
        selection: `(D + L - 1, N, F)` variable selection weights, None without a VSN.
        temporal_attention: `(N, D, D + L - 1)`, mean over heads.
        forecast: Of the raw price channels, None without FAN and SAN.
    """

    hidden: Tensor
    selection: Tensor | None
    temporal_attention: Tensor
    forecast: LevelForecast | None


class ATFTGATFAN(nn.Module):
    r"""Score the cross-section of `N` stocks on `D` consecutive sessions.

    .. code-block:: text

        context                                 levels                 graph
           │                                      │                      │
        x ─ gate ─ VSN ─ attention ─ + FAN, SAN of the window ─ fusion with GAT ─ GRN ─ scores, quantiles
            (each token once)                                  (message of the neighbours)

    All modules are built here and none in `forward`; an optional part that is switched off is not built,
    except the fusion, which then receives zeros. Setting `graph_enabled` to False sends those zeros through
    a model with a graph, in training as in evaluation, and leaves its parameters as they are. No statistic is
    taken over sessions or stocks.

    Args:
        params: Settings of the model (`model` in `conf/base/parameters.yml`).
        n_features: Number of features `F`.
        n_channels: Number of raw price channels `C`.
        n_context: Number of features of the market as a whole `M`; with 0 there is no gate.

    Shapes:
        - **x**: `(D + L - 1, N, F)` normalised features, 0 = missing
        - **present**: `(D + L - 1, N)` bool, the stock belongs to the cross-section of the session
        - **levels**: `(D + L - 1, N, C)`, NaN = absent
        - **context**: `(D + L - 1, M)`, the state of the market on each date
        - **edge_index**: `(2, E)` between nodes `day * N + stock`, row 0 = source; an edge from `D * N` to `D * N`
          fills the list up to a constant length and is none
        - **edge_attr**: `(E, edge_dim)`
        - **output**: `ModelOutput`
    """

    def __init__(self, params: ModelParams, n_features: int, n_channels: int, n_context: int) -> None:
        super().__init__()
        d, p = params.hidden_size, params
        self.window, self.hidden_size = p.window, d
        self.correlation, _ = linear_inputs(p)
        gated = p.market_gate.enabled and n_context > 0
        self.market_gate = MarketGate(n_context, n_features, p.market_gate.temperature) if gated else None
        self.feature_dropout = FeatureDropout(p.feature_dropout)
        self.vsn: nn.Module
        if p.vsn.enabled:
            self.vsn = VariableSelectionNetwork(n_features, p.vsn.feature_size, d, p.dropout)
        else:
            self.vsn = nn.Linear(n_features, d)
        self.temporal = BandedAttention(d, p.temporal.heads, p.window, p.dropout)
        self.levels = _level_encoder(p, n_channels)
        self.gat = _graph_block(p)
        self.graph_enabled = True
        self.fusion = GatedFusion(d, p.dropout)
        self.trunk = GRN(d, d, d, p.dropout)
        self.score_head = ScoreHead(d, len(HORIZONS))
        self.quantile_head = QuantileHead(d, len(HORIZONS), len(p.quantiles))
        neutralise = p.gat.enabled and p.gat.neutralise_scores
        self.neutralise = ScoreNeutralisation(len(HORIZONS)) if neutralise else None
        self.linear_path = _linear_path(p, n_features)

    def fit_scales(self, levels: Tensor, edge_index: Tensor, edge_attr: Tensor) -> None:
        """Measure the scales of levels and edge attributes; they travel with the weights.

        Args:
            levels: `(T, N, C)` of the training sessions.
            edge_index: `(2, E)` edges in force on them, and of no later graph.
            edge_attr: `(E, edge_dim)`.
        """
        if self.levels is not None:
            self.levels.set_scale(fit_level_scale(levels, self.window))
        if self.gat is not None:
            self.gat.scale.fit(edge_index, edge_attr)

    def forward(
        self,
        x: Tensor,
        present: Tensor,
        levels: Tensor,
        context: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor,
    ) -> ModelOutput:
        """Encode every token once, look back, add the neighbours' message, and score `D` sessions."""
        state = self.encode(x, present, levels, context)
        days = state.hidden.size(0)
        score, quantiles, graph = self.rank(state.hidden, present[-days:], edge_index, edge_attr)
        return ModelOutput(score, quantiles, state.selection, state.temporal_attention, graph, state.forecast)

    def encode(self, x: Tensor, present: Tensor, levels: Tensor, context: Tensor) -> StockState:
        """Summarise each stock's own window, without its neighbours: see `StockState`."""
        said = None
        if self.linear_path is not None and not self.training:  # the network learns alone
            said = self.linear_path.read(x[self.window - 1 :])
        if self.market_gate is not None:
            x = self.market_gate(x, context)
        x = self.feature_dropout(x)
        tokens, selection = self._encode_tokens(x)
        hidden, attention = self.temporal(tokens, present)  # (D, N, d)
        forecast = None
        if self.levels is not None:
            hidden, forecast = self.levels(hidden, levels)
        if said is not None:
            hidden = torch.cat([hidden, said], dim=-1)
        return StockState(hidden, selection, attention, forecast)

    def rank(
        self, hidden: Tensor, present: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, Tensor, GraphAttention | None]:
        """Add the message of the neighbours to the states and score them.

        Args:
            hidden: `(D, N, d)`, as of `encode`.
            present: `(D, N)` bool.
            edge_index: `(2, E)` between nodes `day * N + stock`, `D * N` where there is no edge.
            edge_attr: `(E, edge_dim)`.

        Returns:
            Scores `(D, N, 4)`, quantiles `(D, N, 4, Q)` and the attention, None without a graph.
        """
        hidden, said = self.split_state(hidden)
        message, graph = torch.zeros_like(hidden), None
        if self.gat is not None and self.graph_enabled:
            message, graph = self.gat(hidden, present, edge_index, edge_attr)
        state = self.trunk(self.fusion(hidden, message))
        score, quantiles = self.score_head(state), self.quantile_head(state)
        if self.neutralise is not None and graph is not None:
            score = self.neutralise(score.flatten(0, 1), graph).unflatten(0, present.shape)
        if self.linear_path is None or self.training:
            return score, quantiles, graph
        read = (edge_index, self._edge_weight(edge_attr)) if graph is not None else (None, None)
        mixed = self.linear_path(said.flatten(0, 1), score.flatten(0, 1), *read).unflatten(0, present.shape)
        return mixed, quantiles + (mixed - score).unsqueeze(-1), graph

    def split_state(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Part states into what the network reads, `(D, N, hidden_size)`, and what the linear path said."""
        return hidden[..., : self.hidden_size], hidden[..., self.hidden_size :]

    def _edge_weight(self, edge_attr: Tensor) -> Tensor:
        correlation: Tensor = edge_attr[:, self.correlation] if self.correlation is not None else edge_attr.new_ones(1)
        return correlation.expand(len(edge_attr))

    def _encode_tokens(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        steps, stocks, _ = x.shape
        if not isinstance(self.vsn, VariableSelectionNetwork):
            return self.vsn(x), None
        tokens, weights = self.vsn(x.flatten(0, 1))
        return tokens.unflatten(0, (steps, stocks)), weights.unflatten(0, (steps, stocks))

    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def _level_encoder(p: ModelParams, n_channels: int) -> LevelEncoder | None:
    if not (p.fan.enabled or p.san.enabled):
        return None
    d, fan, san = p.hidden_size, None, None
    if p.fan.enabled:
        fan = FrequencyAdaptiveNorm(n_channels, p.window, p.fan.top_k, p.fan.predictor_size, max(HORIZONS), d)
    if p.san.enabled:
        san = SliceAdaptiveNorm(n_channels, p.window, p.san.slices, p.san.predictor_size, max(HORIZONS), d)
    return LevelEncoder(d, n_channels, p.window, max(HORIZONS), fan, san, p.dropout)


def linear_inputs(p: ModelParams) -> tuple[int | None, bool]:
    """Which edge attribute weighs the neighbours in the linear path, None for all alike; and whether it reads them."""
    attributes = p.gat.edge_attributes
    correlation = attributes.index("correlation") if "correlation" in attributes else None
    return correlation, p.linear_path.neighbours and p.gat.enabled


def _linear_path(p: ModelParams, n_features: int) -> LinearPath | None:
    return LinearPath(n_features, len(HORIZONS), linear_inputs(p)[1]) if p.linear_path.enabled else None


def _graph_block(p: ModelParams) -> GraphBlock | None:
    if not p.gat.enabled:
        return None
    d, gat, diffusion, learned = p.hidden_size, p.gat, None, None
    if gat.diffusion.enabled:
        diffusion = AttentionDiffusion(gat.heads, gat.diffusion.hops, gat.diffusion.restart)
    if gat.learned_graph.enabled:
        learned = LearnedGraph(d, gat.learned_graph.k, gat.learned_graph.perspectives)
    return GraphBlock(
        gat.conv,
        d,
        gat.layers,
        gat.heads,
        gat.edge_attributes,
        gat.edge_dropout,
        gated=gat.difference or gat.neutralise_scores,
        difference=gat.difference,
        diffusion=diffusion,
        learned=learned,
    )
