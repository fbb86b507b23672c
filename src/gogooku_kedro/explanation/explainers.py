"""PyG's explainers on the graph part of a model: which edges does the score of a stock need?"""

import torch
from torch import Tensor, nn
from torch_geometric.explain import AttentionExplainer, Explainer, GNNExplainer, ModelConfig

from gogooku_kedro.explanation.graph_part import GraphPart
from gogooku_kedro.model.convolution import AttentiveConvolution

SCORES = ModelConfig(mode="regression", task_level="node", return_type="raw")
EDGE_SIZE, EDGE_ENTROPY, LEARNING_RATE = 0.002, 0.0005, 0.1
"""GNNExplainer's penalties on the size and the indecision of its mask, where scores differ by about one."""


class _OneHorizon(nn.Module):
    """Scores of one horizon in units of their dispersion, so that the penalties weigh the same for all."""

    def __init__(self, part: GraphPart, horizon: int) -> None:
        super().__init__()
        self.part, self.horizon = part, horizon
        present = part.present[0]
        deviation = part.scores()[present, horizon].std(correction=0)
        self.scale = float(deviation.clamp_min(torch.finfo(deviation.dtype).tiny))

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        score: Tensor = self.part(x, edge_index, edge_attr)
        return score[:, self.horizon : self.horizon + 1] / self.scale


def gnn_explainer(part: GraphPart, stock: int, horizon: int, steps: int, seed: int) -> Tensor:
    """Mask of GNNExplainer (Ying et al. 2019): the edges that suffice for the score of a stock.

    Args:
        part: Graph part of a model on a day.
        stock: Position of the stock.
        horizon: Position of the horizon.
        steps: Steps of the optimisation of the mask.
        seed: Seed of the mask's start.

    Returns:
        `(E,)` in [0, 1]; 0 for edges from which the stock cannot hear.
    """
    algorithm = GNNExplainer(steps, LEARNING_RATE, edge_size=EDGE_SIZE, edge_ent=EDGE_ENTROPY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _edge_mask(algorithm, part, stock, horizon)


def attention_explainer(part: GraphPart, stock: int, horizon: int) -> Tensor:
    """Mask of PyG's AttentionExplainer: the largest attention over heads and layers, `(E,)`.

    NaN where the convolution has no attention (`sage`, `gin`).
    """
    gat = part.model.gat
    if gat is None or not isinstance(gat.layers[0].conv, AttentiveConvolution):
        return torch.full_like(part.edge_attr[:, 0], torch.nan)
    return _edge_mask(AttentionExplainer(reduce="max"), part, stock, horizon)


def _edge_mask(algorithm: AttentionExplainer | GNNExplainer, part: GraphPart, stock: int, horizon: int) -> Tensor:
    explainer = Explainer(
        _OneHorizon(part, horizon),
        algorithm,
        explanation_type="model",
        edge_mask_type="object",
        model_config=SCORES,
    )
    explanation = explainer(part.x, part.edge_index, edge_attr=part.edge_attr, index=stock)
    mask: Tensor = explanation.edge_mask.detach()
    return mask
