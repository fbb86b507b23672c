"""What the graph network attended to, and figures that tell how concentrated it was."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

EPSILON = 1e-12


class GraphAttention(NamedTuple):
    """Attention of one forward pass, before any dropout of its own.

    Attributes:
        edge_index: ``(2, E)``, row 0 the source (neighbour), row 1 the destination; the edges that were
            used, without the dropped ones and with those of a learned graph.
        alpha: ``(E, layers * heads)``, layer by layer; in each column the weights of a destination's incoming
            edges sum to 1.
        gate: ``(E,)`` in (0, 1), the learned gate of each edge; 1 where the network has none.
        sign: ``(E,)``, -1 where source and destination move against each other, else 1.
        is_self: ``(E,)`` bool, True for self loops.
        similarity_penalty: Scalar, regulariser of the learned graph; 0 without one.
    """

    edge_index: Tensor
    alpha: Tensor
    gate: Tensor
    sign: Tensor
    is_self: Tensor
    similarity_penalty: Tensor


def normalised_entropy(attention: GraphAttention, n_nodes: int) -> Tensor:
    r"""Entropy of a destination's attention over its incoming edges, divided by ``ln(degree)``.

    :math:`E_{ih} = -\sum_j \alpha_{ij}\ln\alpha_{ij} / \ln d_i` lies in [0, 1]: 1 = uniform. Only
    destinations with at least two incoming edges (the self loop counts) have one.

    Args:
        attention: Attention before dropout.
        n_nodes: Number of nodes ``N``.

    Returns:
        ``(M, layers * heads)`` in float32, for the ``M`` destinations with two or more incoming edges.
    """
    entropy, degree = _entropy(attention, n_nodes)
    return entropy / degree.log().unsqueeze(-1)


def effective_neighbours(attention: GraphAttention, n_nodes: int) -> Tensor:
    r"""Number of equally weighed neighbours with the entropy of a destination's attention.

    :math:`\exp(-\sum_j \alpha_{ij}\ln\alpha_{ij})` lies between 1 (all on one edge) and the degree
    (uniform); the self loop counts as a neighbour.

    Args:
        attention: Attention before dropout.
        n_nodes: Number of nodes ``N``.

    Returns:
        ``(M, layers * heads)`` in float32, for the ``M`` destinations with two or more incoming edges.
    """
    return _entropy(attention, n_nodes)[0].exp()


def in_degree(edge_index: Tensor, n_nodes: int) -> Tensor:
    """Number of incoming edges of every node, ``(n_nodes,)`` in float32; the self loop counts."""
    ones = torch.ones(edge_index.size(1), device=edge_index.device)
    degree: Tensor = scatter(ones, edge_index[1], dim=0, dim_size=n_nodes)
    return degree


def _entropy(attention: GraphAttention, n_nodes: int) -> tuple[Tensor, Tensor]:
    alpha = attention.alpha.float()
    surprise = -alpha * (alpha + EPSILON).log()
    entropy = scatter(surprise, attention.edge_index[1], dim=0, dim_size=n_nodes)
    degree = in_degree(attention.edge_index, n_nodes)
    several = degree >= 2
    return entropy[several], degree[several]
