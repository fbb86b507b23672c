"""How messages travel over edges: the graph convolutions of PyG behind one interface, sums, several hops."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv, GATv2Conv, GINEConv, MessagePassing, SAGEConv, TransformerConv
from torch_geometric.utils import scatter

from gogooku_kedro.model import edge_cpu, edge_kernels

EPSILON = 1e-12
"""Keeps a share of nothing, and the logarithm of 0, finite."""


class AttentiveConvolution(nn.Module):
    r"""Graph attention: each head's weights of the incoming edges of a stock sum to 1.

    With :math:`s_{ij}` the logit of the edge from `j` to `i` and :math:`\alpha_{ij}` its softmax over
    the incoming edges of `i`:

    - `gat` (Veličković et al. 2018), :math:`s_{ij} = \mathrm{LeakyReLU}_{0.2}(a_s^\top W h_j +
      a_d^\top W h_i + a_e^\top W_e e_{ij})`, message :math:`\sum_j \alpha_{ij} W h_j`. The order of the
      neighbours is the same for every stock but for the edge attributes.
    - `gatv2` (Brody et al. 2022), :math:`s_{ij} = a^\top \mathrm{LeakyReLU}_{0.2}(W_l h_j + W_r h_i +
      W_e e_{ij})`, message :math:`\sum_j \alpha_{ij} W_l h_j`.
    - `transformer` (Shi et al. 2021), :math:`s_{ij} = (W_q h_i)^\top (W_k h_j + W_e e_{ij})/\sqrt{C}`,
      message :math:`W_s h_i + \sum_j \alpha_{ij} (W_v h_j + W_e e_{ij})`. It has no biases: the one of the
      keys would cancel in the softmax and never be trained.

    Self loops are those of the graph, none are added. Attention has no dropout: edges are dropped before.

    Args:
        name: `gat`, `gatv2` or `transformer`.
        hidden_size: Width of the states, `heads` times the width `C` of a head.
        heads: Attention heads, concatenated.
        edge_dim: Number of edge attributes.

    Shapes:
        - **h**: `(N, hidden_size)`
        - **edge_index**: `(2, E)`, row 0 = source
        - **edge_attr**: `(E, edge_dim)`
        - **output**: message `(N, hidden_size)` and attention `(E, heads)`
    """

    def __init__(self, name: str, hidden_size: int, heads: int, edge_dim: int) -> None:
        super().__init__()
        head_size = hidden_size // heads
        self.conv: nn.Module
        if name == "transformer":
            self.conv = TransformerConv(hidden_size, head_size, heads=heads, edge_dim=edge_dim, bias=False)
        else:
            layer = {"gat": GATConv, "gatv2": GATv2Conv}[name]
            self.conv = layer(hidden_size, head_size, heads=heads, edge_dim=edge_dim, add_self_loops=False)

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the message of every stock and the attention of every edge."""
        conv: Any = self.conv  # PyG has no types
        plain = isinstance(conv, GATv2Conv) and not _watched(conv) and conv.negative_slope == edge_kernels.SLOPE
        kernels = _kernels(h, edge_index, conv.heads, edge_attr.size(1)) if plain and edge_attr.size(1) else None
        if kernels is not None:
            return self._by_kernels(kernels, h, edge_index, edge_attr)
        message, (_, alpha) = conv(h, edge_index, edge_attr, return_attention_weights=True)
        return message, alpha

    def _by_kernels(self, kernels: Any, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        conv: Any = self.conv
        left, right = conv.lin_l(h), conv.lin_r(h)
        logits = kernels.edge_logits(left, right, edge_index, edge_attr, conv.lin_edge.weight, conv.att)
        alpha = kernels.edge_softmax(logits, edge_index, h.size(0))
        message: Tensor = kernels.edge_sum(left, edge_index, alpha) + conv.bias
        return message, alpha


def _watched(layer: Any) -> bool:
    """Whether an explainer masks the edges of a layer of PyG or looks at its messages."""
    return bool(layer.explain or layer._message_forward_hooks)


def _kernels(states: Tensor, edge_index: Tensor, heads: int, attributes: int = 0) -> Any:
    """Return the module whose kernels can run, None where PyG has to do it."""
    if edge_kernels.available(states, edge_index, heads, attributes):
        return edge_kernels
    return edge_cpu if edge_cpu.available(states, edge_index) else None


class MeanConvolution(nn.Module):
    r"""Graph convolution that weighs all neighbours alike; its attention is 1 / degree.

    - `sage` (Hamilton et al. 2017), :math:`W_1 h_i + W_2\, \mathrm{mean}_j\, h_j`, blind to the attributes.
    - `gin` (Hu et al. 2020), :math:`\mathrm{MLP}((1 + \epsilon) h_i + \mathrm{mean}_j\,
      \mathrm{ReLU}(h_j + W_e e_{ij}))`, with the mean in place of the sum, so that a stock with many
      neighbours has states of the same size as one with few.

    Args:
        name: `sage` or `gin`.
        hidden_size: Width of the states.
        heads: Columns of the attention that is reported.
        edge_dim: Number of edge attributes.

    Shapes: as of `AttentiveConvolution`.
    """

    def __init__(self, name: str, hidden_size: int, heads: int, edge_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.conv: nn.Module
        if name == "sage":
            self.conv = SAGEConv(hidden_size, hidden_size, aggr="mean")
        else:
            mlp = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ELU(), nn.Linear(hidden_size, hidden_size))
            self.conv = GINEConv(mlp, train_eps=True, edge_dim=edge_dim, aggr="mean")

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the message of every stock and 1 / degree for every edge."""
        attributes = () if isinstance(self.conv, SAGEConv) else (edge_attr,)
        message: Tensor = self.conv(h, edge_index, *attributes)
        alpha = 1 / in_degree(edge_index, h.size(0))[edge_index[1]]
        return message, alpha.unsqueeze(-1).expand(-1, self.heads)


def graph_convolution(name: str, hidden_size: int, heads: int, edge_dim: int) -> nn.Module:
    """Build the convolution of `model.gat.conv`: an attentive one, or a mean for `sage` and `gin`."""
    kind = MeanConvolution if name in ("sage", "gin") else AttentiveConvolution
    return kind(name, hidden_size, heads, edge_dim)


class NeighbourSum(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""Add up what the sources of a stock's edges hold, :math:`\sum_j w_{ij}\, x_j`.

    It has no parameters. It is a message passing layer, and not a plain scatter, because the explainers of
    PyG mask the edges of such layers: an edge that is masked is masked on every way to the score.

    Shapes:
        - **x**: `(N, C)`
        - **edge_index**: `(2, E)`, row 0 = source
        - **weight**: `(E,)`
        - **output**: `(N, C)`, zeros for a stock without incoming edges
    """

    def __init__(self) -> None:
        super().__init__(aggr="sum")

    def forward(self, x: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
        """Return the sums."""
        kernels = None if _watched(self) else _kernels(x, edge_index, heads=1)
        if kernels is not None:
            summed: Tensor = kernels.edge_sum(x, edge_index, weight.unsqueeze(-1))
            return summed
        out: Tensor = self.propagate(edge_index, x=x, weight=weight)
        return out

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """Weigh what an edge's source holds."""
        return weight.unsqueeze(-1) * x_j


def neighbour_share(edge_index: Tensor, weight: Tensor, nodes: int) -> Tensor:
    """Weights of the incoming edges of every stock, without its self loop, divided by their absolute sum.

    Args:
        edge_index: `(2, E)`, row 0 = source.
        weight: `(E,)`; a negative one turns what the neighbour says round.
        nodes: Number of nodes.

    Returns:
        `(E,)`; 0 for self loops.
    """
    source, target = edge_index
    weight = weight.masked_fill(source == target, 0.0)
    total = scatter(weight.abs(), target, dim=0, dim_size=nodes)
    share: Tensor = weight / (total.index_select(0, target) + EPSILON)
    return share


class AttentionDiffusion(nn.Module):
    r"""Personalised PageRank over the attention of a layer, head by head.

    :math:`Z_{k+1} = (1 - r) A Z_k + r Z_0` for `hops` steps, with `A` the attention over incoming edges,
    :math:`Z_0` the message of the layer and `r` the restart. From Wang et al., "Multi-hop Attention Graph
    Neural Networks" (MAGNA, 2021), section 3.2, whose :math:`Z_0` are the states before the first
    product. The weights of the hops, :math:`r (1 - r)^k` for all but the last and :math:`(1 - r)^K` for
    that, sum to 1, as the rows of `A` do: a message that is the same for all stocks passes unchanged. A stock
    without incoming edges keeps its message. It has no parameters.

    Args:
        heads: Attention heads; `C` is the width of one.
        hops: Further products `K`, so that the message reaches `K + 1` edges far.
        restart: Share `r` of the first message in every step, in (0, 1).

    Shapes:
        - **message**: `(N, heads * C)`
        - **edge_index**: `(2, E)`
        - **alpha**: `(E, heads)`
        - **output**: `(N, heads * C)`
    """

    def __init__(self, heads: int, hops: int, restart: float) -> None:
        super().__init__()
        self.heads, self.hops, self.restart = heads, hops, restart

    def forward(self, message: Tensor, edge_index: Tensor, alpha: Tensor) -> Tensor:
        """Return the messages, spread along the attention."""
        source, target = edge_index
        nodes = message.size(0)
        first = z = message.unflatten(-1, (self.heads, -1))  # (N, heads, C)
        connected = (in_degree(edge_index, nodes) > 0)[:, None, None]
        for _ in range(self.hops):
            spread = scatter(alpha.unsqueeze(-1) * z[source], target, dim=0, dim_size=nodes)
            z = torch.where(connected, (1 - self.restart) * spread + self.restart * first, first)
        out: Tensor = z.flatten(1)
        return out


def in_degree(edge_index: Tensor, n_nodes: int) -> Tensor:
    """Number of incoming edges of every node, `(n_nodes,)` in float32; the self loop counts."""
    ones = torch.ones_like(edge_index[1], dtype=torch.float32)
    degree: Tensor = scatter(ones, edge_index[1], dim=0, dim_size=n_nodes)
    return degree


def with_padding_node(x: Tensor) -> Tensor:
    """Values `(N + 1, C)` of the nodes `(N, C)` and of the padding node behind them, which has zeros."""
    return F.pad(x, (0, 0, 0, 1))
