"""One interface for the graph convolutions of PyG: what a stock hears, and how much of whom."""

from torch import Tensor, nn
from torch_geometric.nn import GATConv, GATv2Conv, GINEConv, SAGEConv, TransformerConv

from gogooku_kedro.model.attention import in_degree


class AttentiveConvolution(nn.Module):
    r"""Graph attention: each head's weights of the incoming edges of a stock sum to 1.

    With :math:`s_{ij}` the logit of the edge from ``j`` to ``i`` and :math:`\alpha_{ij}` its softmax over
    the incoming edges of ``i``:

    - ``gat`` (Veličković et al. 2018), :math:`s_{ij} = \mathrm{LeakyReLU}_{0.2}(a_s^\top W h_j +
      a_d^\top W h_i + a_e^\top W_e e_{ij})`, message :math:`\sum_j \alpha_{ij} W h_j`. The order of the
      neighbours is the same for every stock but for the edge attributes.
    - ``gatv2`` (Brody et al. 2022), :math:`s_{ij} = a^\top \mathrm{LeakyReLU}_{0.2}(W_l h_j + W_r h_i +
      W_e e_{ij})`, message :math:`\sum_j \alpha_{ij} W_l h_j`.
    - ``transformer`` (Shi et al. 2021), :math:`s_{ij} = (W_q h_i)^\top (W_k h_j + W_e e_{ij})/\sqrt{C}`,
      message :math:`W_s h_i + \sum_j \alpha_{ij} (W_v h_j + W_e e_{ij})`. It has no biases: the one of the
      keys would cancel in the softmax and never be trained.

    Self loops are those of the graph, none are added. Attention has no dropout: edges are dropped before.

    Args:
        name: ``gat``, ``gatv2`` or ``transformer``.
        hidden_size: Width of the states, ``heads`` times the width ``C`` of a head.
        heads: Attention heads, concatenated.
        edge_dim: Number of edge attributes.
        bias: Whether ``gat`` and ``gatv2`` have biases.

    Shapes:
        - **h**: ``(N, hidden_size)``
        - **edge_index**: ``(2, E)``, row 0 = source
        - **edge_attr**: ``(E, edge_dim)``
        - **output**: message ``(N, hidden_size)`` and attention ``(E, heads)``
    """

    def __init__(self, name: str, hidden_size: int, heads: int, edge_dim: int, bias: bool) -> None:
        super().__init__()
        head_size = hidden_size // heads
        self.conv: nn.Module
        if name == "transformer":
            self.conv = TransformerConv(hidden_size, head_size, heads=heads, edge_dim=edge_dim, bias=False)
        else:
            layer = {"gat": GATConv, "gatv2": GATv2Conv}[name]
            self.conv = layer(hidden_size, head_size, heads=heads, edge_dim=edge_dim, add_self_loops=False, bias=bias)

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the message of every stock and the attention of every edge."""
        message, (_, alpha) = self.conv(h, edge_index, edge_attr, return_attention_weights=True)
        return message, alpha


class MeanConvolution(nn.Module):
    r"""Graph convolution that hears all neighbours alike; its attention is 1 / degree.

    - ``sage`` (Hamilton et al. 2017), :math:`W_1 h_i + W_2\, \mathrm{mean}_j\, h_j`, blind to the attributes.
    - ``gin`` (Hu et al. 2020), :math:`\mathrm{MLP}((1 + \epsilon) h_i + \mathrm{mean}_j\,
      \mathrm{ReLU}(h_j + W_e e_{ij}))`, with the mean in place of the sum, so that a stock with many
      neighbours has states of the same size as one with few.

    Args:
        name: ``sage`` or ``gin``.
        hidden_size: Width of the states.
        heads: Columns of the attention that is reported.
        edge_dim: Number of edge attributes.
        bias: Whether the message has a bias.

    Shapes: as of :class:`AttentiveConvolution`.
    """

    def __init__(self, name: str, hidden_size: int, heads: int, edge_dim: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.conv: nn.Module
        if name == "sage":
            self.conv = SAGEConv(hidden_size, hidden_size, aggr="mean", bias=bias)
        else:
            mlp = nn.Sequential(
                nn.Linear(hidden_size, hidden_size),
                nn.ELU(),
                nn.Linear(hidden_size, hidden_size, bias=bias),
            )
            self.conv = GINEConv(mlp, train_eps=True, edge_dim=edge_dim, aggr="mean")

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the message of every stock and 1 / degree for every edge."""
        attributes = () if isinstance(self.conv, SAGEConv) else (edge_attr,)
        message: Tensor = self.conv(h, edge_index, *attributes)
        alpha = 1 / in_degree(edge_index, h.size(0))[edge_index[1]]
        return message, alpha.unsqueeze(-1).expand(-1, self.heads)


def graph_convolution(name: str, hidden_size: int, heads: int, edge_dim: int, bias: bool) -> nn.Module:
    """Build the convolution of ``model.gat.conv``: an attentive one, or a mean for ``sage`` and ``gin``."""
    kind = MeanConvolution if name in ("sage", "gin") else AttentiveConvolution
    return kind(name, hidden_size, heads, edge_dim, bias)
