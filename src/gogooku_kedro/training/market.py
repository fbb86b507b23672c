"""The market as a model reads it: its tensors, the names along their axes, and the sessions of the split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.features import market_columns
from gogooku_kedro.labels.split import part_range
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.tensors import MarketTensors, market_tensors


@dataclass(frozen=True)
class Market:
    """The tensors of a market and what they are called; built for the first who reads them and kept for the others.

    Attributes:
        build: Makes the tensors, the same ones every time.
        dates: Sessions `T`.
        codes: Stocks `N`.
        manifest: The feature manifest: names, families and hash of the features.
        context: Names of the features that are the context, and not in `x`.
        edges: The graph as a table.
        parts: First session and last session plus one of `train`, `valid` and `test`; empty without a split.
    """

    build: Callable[[], MarketTensors]
    dates: pd.DatetimeIndex
    codes: pd.Index
    manifest: Mapping[str, Any]
    context: tuple[str, ...]
    edges: pd.DataFrame
    parts: Mapping[str, tuple[int, int]]

    @cached_property
    def tensors(self) -> MarketTensors:
        """Features, levels, labels and graph.

        Raises:
            ValueError: As of `market_tensors`.
        """
        return self.build()

    def release(self) -> None:
        """Let go of the tensors, which are as large as the features; who reads them next has them built again."""
        self.__dict__.pop("tensors", None)

    def days(self, part: str) -> list[int]:
        """Return the positions of the sessions of a part of the split."""
        return list(range(*self.parts[part]))


def build_market(
    features: xr.Dataset,
    labels: xr.Dataset,
    edges: pd.DataFrame,
    manifest: Mapping[str, Any],
    model: ModelParams,
    split: Mapping[str, Any] | None = None,
) -> Market:
    """Return a market as a model reads it; its tensors are built when they are first read.

    Args:
        features: `x`, `levels`, `in_universe`; of a lazily opened store, which has to stay as it is.
        labels: `target`, on the same dates and codes.
        edges: The graph, a long table `asof, source, target` and the attributes.
        manifest: The feature manifest.
        model: Settings of the section `model`.
        split: First and last session of every part; None where no part is asked for.
    """
    dates = pd.DatetimeIndex(features.indexes["date"])
    parts = {} if split is None else {part: part_range(split, dates, part) for part in ("train", "valid", "test")}
    return Market(
        partial(model_market, features, labels[["target"]], edges, manifest, model),
        dates,
        features.indexes["code"],
        manifest,
        context_names(manifest, model),
        edges,
        parts,
    )


def without_labels(features: xr.Dataset) -> xr.Dataset:
    """Return the labels of sessions of which none is known: `target` (date, code, horizon), all NaN."""
    shape = (*features["in_universe"].shape, len(HORIZONS))
    coords = {"date": features["date"], "code": features["code"], "horizon": list(HORIZONS)}
    unknown = xr.DataArray(np.full(shape, np.nan, np.float32), coords, ("date", "code", "horizon"))
    return xr.Dataset({"target": unknown})


def model_market(
    features: xr.Dataset,
    labels: xr.Dataset,
    edges: pd.DataFrame,
    manifest: Mapping[str, Any],
    model: ModelParams,
) -> MarketTensors:
    """Return `market_tensors` as a model reads them: its edge attributes, its market gate's features."""
    return market_tensors(features, labels, edges, model.gat.edge_attributes, context_names(manifest, model))


def context_names(manifest: Mapping[str, Any], model: ModelParams) -> tuple[str, ...]:
    """Return the features that a model reads as the state of the market: those with one value per date.

    A model without market gate has no context; these features then are features of every stock.
    """
    return market_columns(manifest) if model.market_gate.enabled else ()
