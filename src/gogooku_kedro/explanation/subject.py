"""What is explained: trained models, the market they score, and the names of what they read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gogooku_kedro.arrays.cross_section import gaussian_rank
from gogooku_kedro.model import ATFTGATFAN, GraphAttention
from gogooku_kedro.model.convolution import in_degree
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training import Ensemble, GraphTensors, Market, MarketTensors
from gogooku_kedro.training.graph_tensors import existing, graph_tensors
from gogooku_kedro.training.predict import EncodedDay, encode_days
from gogooku_kedro.typing import Float32Array, FloatArray, IntArray

MASK = "missing_"
FACTS = ("correlation", "same_sector")


@dataclass(frozen=True)
class Subject:
    """Trained models beside the market they score.

    Attributes:
        models: The seed models, in evaluation mode.
        seeds: Seed of each.
        market: The market, on the device of the models.
        facts: The graph of the market with `FACTS` as attributes, the edges in the same order.
        features: `feature` and `family` of every column of the market's `x`.
        dates: Sessions of the market.
        codes: Stocks of the market.
    """

    models: tuple[ATFTGATFAN, ...]
    seeds: tuple[int, ...]
    market: MarketTensors
    facts: GraphTensors
    features: pd.DataFrame
    dates: pd.DatetimeIndex
    codes: pd.Index

    @classmethod
    def of(
        cls,
        ensemble: Ensemble,
        market: Market,
        params: ModelParams,
        device: str,
        part: str = "test",
    ) -> Self:
        """Put trained models and their market together.

        Args:
            ensemble: The trained models.
            market: The market, with its names and its graph.
            params: Settings of the section `model`.
            device: `cpu` or `cuda`.
            part: Whose scores are explained: models that score it are taken (`Ensemble.models_for`).

        Raises:
            ValueError: If features, settings or sizes are not those of the training.
        """
        models = []
        for seed_model in ensemble.models_for(part):
            seed_model.check_market(market.tensors)
            models.append(seed_model.build(market.manifest["hash"], params).to(device))
        return cls(
            tuple(models),
            ensemble.seeds,
            market.tensors.to(torch.device(device)),
            graph_tensors(market.edges, market.dates, market.codes, FACTS),
            feature_names(market.manifest, market.context),
            market.dates,
            market.codes,
        )

    def encoded(self, days: Sequence[int]) -> Iterator[tuple[int, ATFTGATFAN, EncodedDay]]:
        """Yield seed, model and encoding of every seed model and session, model by model."""
        for seed, model in zip(self.seeds, self.models, strict=True):
            for day in encode_days(model, self.market, list(days)):
                yield seed, model, day

    def attended(self, model: ATFTGATFAN, day: EncodedDay) -> "AttendedEdges | None":
        """Return what the stocks of a session attended to, None for a model without graph."""
        with torch.no_grad():
            attention = model.rank(day.hidden, day.present, day.edge_index, day.edge_attr)[2]
        if attention is None:
            return None
        n_stocks = day.present.size(1)
        _, facts = existing(*self.facts.edges(day.day, day.present.cpu()), n_stocks)
        return AttendedEdges.of(attention, facts, n_stocks)


class AttendedEdges(NamedTuple):
    """The edges of a session with the attention on them, every array `(E,)`, on the CPU.

    Attributes:
        source: Position of the neighbour.
        target: Position of the stock that attends to it; equal to `source` for a self loop.
        attention: Mean over layers and heads, in [0, 1].
        lift: Attention times the number of incoming edges of the target: 1 = uniform.
        sign: -1 where the two move against each other, else 1.
        correlation: NaN for an edge that the model found itself.
        same_sector: 1 or 0, NaN likewise.
    """

    source: IntArray
    target: IntArray
    attention: FloatArray
    lift: FloatArray
    sign: FloatArray
    correlation: FloatArray
    same_sector: FloatArray

    @classmethod
    def of(cls, attended: GraphAttention, facts: Tensor, n_stocks: int) -> Self:
        """Take the figures out of a model's attention; `facts` are of the first edges."""
        source, target = attended.edge_index.cpu()
        attention = attended.alpha.double().mean(dim=1).cpu()
        lift = attention * in_degree(attended.edge_index, n_stocks + 1).cpu()[target]
        known = torch.full((len(source), facts.size(1)), torch.nan, dtype=torch.float64)
        known[: len(facts)] = facts.cpu().double()
        arrays = (source, target, attention, lift, attended.sign.double().cpu(), *known.unbind(dim=1))
        exists = target < n_stocks
        return cls(*(array[exists].numpy() for array in arrays))


def feature_names(manifest: Mapping[str, Any], context: Sequence[str]) -> pd.DataFrame:
    """Return `feature` and `family` of the columns that a model reads of each stock, in their order.

    Args:
        manifest: The feature manifest.
        context: Columns that describe the market as a whole and are not among them.
    """
    family = {entry["column"]: entry["family"] for entry in manifest["features"]}
    family |= {MASK + name: name for name in manifest["masks"]}
    columns = [name for name in manifest["columns"] if name not in context]
    return pd.DataFrame({"feature": columns, "family": [family[name] for name in columns]})


def combined_scores(by_seed: Sequence[Float32Array]) -> Float32Array:
    """Return the scores of an ensemble as predictions have them, from those of its seed models.

    Args:
        by_seed: `(D, N, H)` of each, NaN = not in the cross-section.

    Returns:
        The scores of a single seed model as they are; of several, the mean of their Gaussian ranks.
    """
    if len(by_seed) == 1:
        return by_seed[0]
    ranks = [gaussian_rank(scores.swapaxes(1, 2)).swapaxes(1, 2) for scores in by_seed]
    mean: Float32Array = np.mean(ranks, axis=0)
    return mean


def sampled(days: Sequence[int], number: int, rng: np.random.Generator) -> list[int]:
    """Return `number` of the sessions, drawn without replacement, in order of time; all where there are no more."""
    return sorted(rng.choice(np.asarray(days), size=min(number, len(days)), replace=False).tolist())
