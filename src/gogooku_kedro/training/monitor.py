"""Figures of a training run: the graph at work, gradients by part of the model, quality of the scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.metrics.significance import icir
from gogooku_kedro.model import ATFTGATFAN, AttentionEntropy, GraphAttention
from gogooku_kedro.training.losses import edge_weight_penalty, known_mean
from gogooku_kedro.typing import Float32Array, FloatArray

PROBES = 4
"""Batches of an epoch on which the gradient of the task alone is measured."""

GRAPH_FIGURES = (
    "gat/attention_entropy",
    "gat/edge_regularization",
    "gat/edge_count",
    "gat/avg_attention",
    "gat/degree",
    "gat/effective_neighbours",
    "gat/gate_mean",
)


class EpochMeans:
    """Weighted means of figures over the steps of an epoch, summed on the device and read once, at its end."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._weights: dict[tuple[str, ...], float] = {}

    def add(self, figures: Mapping[str, Tensor], weight: float) -> None:
        """Add the scalars of a step; figures that come together in one step come together in all."""
        self.add_values(tuple(figures), stacked_figures(figures), weight)

    def add_values(self, names: tuple[str, ...], values: Tensor, weight: float) -> None:
        """Add the scalars of a step that `stacked_figures` has put together."""
        values = values.double() * weight
        self._sums[names] = values if names not in self._sums else self._sums[names].add_(values)
        self._weights[names] = self._weights.get(names, 0.0) + weight

    def read(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the means and begin anew; `total` adds up a tensor over the processes."""
        if not self._sums:
            return {}
        sums = torch.cat([torch.cat([s, s.new_tensor([self._weights[names]])]) for names, s in self._sums.items()])
        numbers: Iterator[float] = iter(total(sums).tolist())
        means: dict[str, float] = {}
        for names in self._sums:
            of_names = [next(numbers) for _ in names]
            weight = next(numbers)
            means |= {name: value / weight for name, value in zip(names, of_names, strict=True)}
        self._sums, self._weights = {}, {}
        return means


def stacked_figures(figures: Mapping[str, Tensor]) -> Tensor:
    """Scalars as one tensor, in float32 and without gradient."""
    return torch.stack([value.detach().float() for value in figures.values()])


def probe_batches(batches: int) -> frozenset[int]:
    """Up to `PROBES` batches spread evenly over an epoch, the first always among them."""
    return frozenset(batches * probe // PROBES for probe in range(PROBES))


def graph_figures(
    attention: GraphAttention | None, entropy: AttentionEntropy | None, device: torch.device | None = None
) -> dict[str, Tensor]:
    """Figures of the graph for the log, under the names that dashboards rely on.

    Args:
        attention: Attention before dropout; None in a phase without graph, whose figures are all 0.
        entropy: Its entropy.
        device: Where the figures of no graph are made.

    Returns:
        Averages over the edges between different stocks; self loops count in the entropy, the effective
        neighbours and `gat/gate_mean`. `gat/edge_regularization` is the penalty before its weight.
    """
    if attention is None or entropy is None:
        return {name: torch.zeros((), device=device) for name in GRAPH_FIGURES}
    attention = attention._replace(alpha=attention.alpha.detach(), gate=attention.gate.detach())
    entropy, n_nodes = entropy.detach(), len(entropy.degree)
    between = ~attention.is_self
    edges = between.sum().float()
    target = attention.edge_index[1]
    reached = (entropy.degree > 0).sum()
    values = (
        known_mean(entropy.normalised()),
        edge_weight_penalty(attention),
        edges,
        (attention.alpha.float().mean(dim=-1) * between).sum() / edges.clamp_min(1),
        edges / reached.clamp_min(1),
        known_mean(entropy.effective_neighbours()),
        known_mean(torch.where(target < n_nodes, attention.gate.float(), torch.nan)),
    )
    return dict(zip(GRAPH_FIGURES, values, strict=True))


def neutralisation_figures(model: ATFTGATFAN) -> dict[str, Tensor]:
    """Return the share of the neighbours' score taken out, per horizon; nothing without neutralisation."""
    if model.neutralise is None:
        return {}
    shares = torch.sigmoid(model.neutralise.strength.detach())
    return {f"gat/lambda_{h}d": share for h, share in zip(HORIZONS, shares, strict=True)}


class Norms(NamedTuple):
    """Euclidean norms of gradients.

    Attributes:
        by_part: Of every part of a model, by its name.
        total: Of all gradients taken together.
    """

    by_part: dict[str, Tensor]
    total: Tensor


def gradient_norms(parts: Mapping[str, Sequence[nn.Parameter]]) -> Norms:
    """Norms of the gradients that the parts of a model have received.

    Args:
        parts: The parameters by part, from `parameters_by_part`.
    """
    return norms({name: [p.grad for p in ps] for name, ps in parts.items()}, next(iter(parts.values()))[0])


def task_gradient_norms(model: nn.Module, task_loss: Tensor) -> dict[str, Tensor]:
    """Norm of the gradient of `task_loss`, by part of the model; `.grad` stays as it is.

    The autograd graph of `task_loss` is used up.
    """
    parts = parameters_by_part(model)
    flat = [p for ps in parts.values() for p in ps]
    gradients = iter(torch.autograd.grad(task_loss, flat, allow_unused=True))
    return norms({name: [next(gradients) for _ in ps] for name, ps in parts.items()}, flat[0]).by_part


def parameters_by_part(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Parameters of every child of a model that has some."""
    parts = {name: list(part.parameters()) for name, part in model.named_children()}
    return {name: parameters for name, parameters in parts.items() if parameters}


def norms(gradients: Mapping[str, Sequence[Tensor | None]], like: Tensor) -> Norms:
    """Euclidean norms of groups of gradients, on the device of `like`; None is no gradient."""
    known = {name: [g.detach() for g in of_part if g is not None] for name, of_part in gradients.items()}
    flat = [g for of_part in known.values() for g in of_part]
    if not flat:
        zero = like.new_zeros(())
        return Norms(dict.fromkeys(known, zero), zero)
    single = torch.stack(torch._foreach_norm(flat))
    of_parts = single.split([len(of_part) for of_part in known.values()])
    by_part = {name: torch.linalg.vector_norm(of_part) for name, of_part in zip(known, of_parts, strict=True)}
    return Norms(by_part, torch.linalg.vector_norm(single))


def score_dispersion(score: Tensor, present: Tensor) -> Tensor:
    """Standard deviation of the scores over the stocks of a date, of the horizon where it is least.

    Args:
        score: `(D, N, 4)`.
        present: `(D, N)` bool; other stocks do not count.

    Returns:
        Mean over the dates that have a stock, in float64: equal scores give exactly 0.
    """
    known = present.unsqueeze(-1)
    count = known.sum(dim=1).clamp_min(1)
    s = torch.where(known, score.detach().double(), 0.0)
    deviation = torch.where(known, s - (s.sum(dim=1) / count).unsqueeze(1), 0.0)
    per_date = (deviation.square().sum(dim=1) / count).sqrt()  # (D, 4)
    return (per_date.sum(dim=0) / present.any(dim=1).sum().clamp_min(1)).min()


def validation_figures(score: Float32Array, target: Float32Array) -> dict[str, float]:
    """Rank IC and its ICIR per horizon, and the means over horizons.

    Args:
        score: `(D, N, 4)`.
        target: `(D, N, 4)`, NaN = no label.

    Returns:
        `rank_ic_1d`, `rank_icir_1d`, ..., `rank_ic`, `rank_icir`. What is not defined (no labels, a
        single date) is left out of the means and stands as 0.
    """
    daily = [rank_ic(score[..., h], target[..., h]) for h in range(len(HORIZONS))]
    means, ratios = [nan_mean(series) for series in daily], [icir(series) for series in daily]
    figures = {f"rank_ic_{h}d": mean for h, mean in zip(HORIZONS, means, strict=True)}
    figures |= {f"rank_icir_{h}d": float(np.nan_to_num(r)) for h, r in zip(HORIZONS, ratios, strict=True)}
    return figures | {"rank_ic": float(np.mean(means)), "rank_icir": nan_mean(np.array(ratios))}


def nan_mean(series: FloatArray) -> float:
    """Mean of what is known, 0 where nothing is."""
    known = series[~np.isnan(series)]
    return float(known.mean()) if known.size else 0.0
