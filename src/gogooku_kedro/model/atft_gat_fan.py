"""ATFT-GAT-FAN: temporal fusion transformer with graph attention and frequency-adaptive normalisation."""

from typing import NamedTuple

from torch import Tensor, nn

from gogooku_kedro.model.fan import FrequencyAdaptiveNorm
from gogooku_kedro.model.fusion import GatedFusion
from gogooku_kedro.model.gat import GraphAttention, GraphBlock, PeerNeutralisation
from gogooku_kedro.model.grn import GRN
from gogooku_kedro.model.heads import QuantileHead, ScoreHead
from gogooku_kedro.model.levels import LevelEncoder
from gogooku_kedro.model.san import SliceAdaptiveNorm
from gogooku_kedro.model.temporal import BandedAttention
from gogooku_kedro.model.vsn import VariableSelectionNetwork
from gogooku_kedro.params import HORIZONS, ModelParams

SIGNED_ATTRIBUTE = "correlation"


class ModelOutput(NamedTuple):
    """What one forward pass over a chunk of ``D`` days returns.

    Attributes:
        score: ``(D, N, 4)``, high = expected to do better than the cross-section.
        quantiles: ``(D, N, 4, Q)`` of the label, non-decreasing along ``Q``.
        selection: ``(D + L - 1, N, F)`` variable selection weights, None without a VSN.
        temporal_attention: ``(N, D, D + L - 1)``, mean over heads.
        graph: Attention over the edges, None with the GAT switched off.
    """

    score: Tensor
    quantiles: Tensor
    selection: Tensor | None
    temporal_attention: Tensor
    graph: GraphAttention | None


class StockState(NamedTuple):
    """What the model knows of each stock before it hears the peers.

    Attributes:
        hidden: ``(D, N, hidden_size)``.
        selection: ``(D + L - 1, N, F)`` variable selection weights, None without a VSN.
        temporal_attention: ``(N, D, D + L - 1)``, mean over heads.
    """

    hidden: Tensor
    selection: Tensor | None
    temporal_attention: Tensor


class ATFTGATFAN(nn.Module):
    r"""Score the cross-section of ``N`` stocks on ``D`` consecutive days.

    .. code-block:: text

        x ─ VSN ─ banded attention ─ + FAN, SAN of the levels ─ fusion with GAT ─ GRN ─ scores, quantiles
            (each token once)          (whole window)             (message of the peers)

    All modules are built here and none in ``forward``; an optional part that is switched off is not built,
    except the fusion, which then receives zeros. No statistic is taken over stocks or over days.

    Args:
        params: Settings of the model (``model`` in ``conf/base/parameters.yml``).
        n_features: Number of features ``F``.
        n_channels: Number of level-like channels ``C``.

    Shapes:
        - **x**: ``(D + L - 1, N, F)`` normalised features, 0 = missing
        - **present**: ``(D + L - 1, N)`` bool, the stock belongs to the cross-section of the day
        - **levels**: ``(D + L - 1, N, C)``, NaN = absent
        - **edge_index**: ``(2, E)`` between nodes ``day * N + stock``, row 0 = source
        - **edge_attr**: ``(E, edge_dim)``
        - **output**: :class:`ModelOutput`
    """

    def __init__(self, params: ModelParams, n_features: int, n_channels: int) -> None:
        super().__init__()
        d, p = params.hidden_size, params
        self.window = p.window
        self.vsn: nn.Module
        if p.vsn.enabled:
            self.vsn = VariableSelectionNetwork(n_features, p.vsn.feature_size, d, p.dropout)
        else:
            self.vsn = nn.Linear(n_features, d)
        self.temporal = BandedAttention(d, p.temporal.heads, p.window, p.dropout)
        self.levels = _level_encoder(p, n_channels)
        self.gat = _graph_block(p)
        self.fusion = GatedFusion(d, p.dropout)
        self.trunk = GRN(d, d, d, p.dropout)
        self.score_head = ScoreHead(d, len(HORIZONS))
        self.quantile_head = QuantileHead(d, len(HORIZONS), len(p.quantiles))
        neutralise = p.gat.enabled and p.gat.neutralise_scores
        self.neutralise = PeerNeutralisation(len(HORIZONS)) if neutralise else None

    def forward(
        self, x: Tensor, present: Tensor, levels: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> ModelOutput:
        """Encode every token once, look back, ask the peers, and score ``D`` days."""
        state = self.encode(x, present, levels)
        days, stocks, _ = state.hidden.shape
        score, quantiles, graph = self.rank(state.hidden.flatten(0, 1), edge_index, edge_attr)
        return ModelOutput(
            score.unflatten(0, (days, stocks)),
            quantiles.unflatten(0, (days, stocks)),
            state.selection,
            state.temporal_attention,
            graph,
        )

    def encode(self, x: Tensor, present: Tensor, levels: Tensor) -> StockState:
        """Summarise each stock's own window, without its peers: see :class:`StockState`."""
        tokens, selection = self._encode_tokens(x)
        hidden, temporal_attention = self.temporal(tokens, present)  # (D, N, d)
        if self.levels is not None:
            hidden = self.levels(hidden, levels)
        return StockState(hidden, selection, temporal_attention)

    def rank(
        self, hidden: Tensor, edge_index: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, Tensor, GraphAttention | None]:
        """Let the nodes ``(M, d)`` hear their peers; return scores, quantiles and the attention."""
        message, graph = hidden.new_zeros(hidden.shape), None
        if self.gat is not None:
            message, graph = self.gat(hidden, edge_index, edge_attr)
        state = self.trunk(self.fusion(hidden, message))
        score = self.score_head(state)
        if self.neutralise is not None and graph is not None:
            score = self.neutralise(score, graph)
        return score, self.quantile_head(state), graph

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
        san = SliceAdaptiveNorm(n_channels, p.window, p.san.slices, p.san.predictor_size, d)
    return LevelEncoder(d, n_channels, p.window, fan, san, p.dropout)


def _graph_block(p: ModelParams) -> GraphBlock | None:
    if not p.gat.enabled:
        return None
    attributes = p.gat.edge_attributes
    signed = attributes.index(SIGNED_ATTRIBUTE) if SIGNED_ATTRIBUTE in attributes else None
    return GraphBlock(p.hidden_size, p.gat.heads, len(attributes), signed, p.gat.edge_dropout)
