"""Check the gradients of the configured model, on the first training sessions if a run has made any."""

from collections.abc import Mapping
from typing import Any

import torch
from kedro.io import DataCatalog

from gogooku_kedro.labels.split import part_range
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training import MarketTensors, model_market
from gogooku_kedro.training.diagnostics.gradient_check import check_gradients
from gogooku_kedro.training.diagnostics.gradient_report import GradientReport
from gogooku_kedro.training.diagnostics.random_chunk import random_chunk
from gogooku_kedro.training.tensors import AHEAD, DayChunk

MARKET = ("features", "labels", "graph_edges", "split", "feature_manifest")


def check_configured_model(parameters: Mapping[str, Any], catalog: DataCatalog) -> tuple[GradientReport, str]:
    """Build the model of a configuration as training would, and check its gradients.

    Args:
        parameters: The merged configuration, valid.
        catalog: Where the data of a run would lie; what is missing is not made.

    Returns:
        The report and what the model was tried on: the first training chunk of the data, or random numbers
        where no run has made any.
    """
    model = ModelParams.model_validate(parameters["model"])
    training = TrainingParams.model_validate(parameters["training"])
    if all(catalog.exists(name) for name in MARKET):
        market = _first_days(catalog, model, training.chunk_days)
        chunk = market.chunk(model.window - 1, training.chunk_days, model.window)
        tried_on = f"the first {training.chunk_days} training sessions, {chunk.x.size(1)} stocks"
    else:
        chunk = random_chunk(model, training.seed)
        tried_on = "random numbers, as there are no features, labels and graph yet"
    return check_gradients(_network(model, training, chunk), chunk, model, training), tried_on


def _network(params: ModelParams, training: TrainingParams, chunk: DayChunk) -> ATFTGATFAN:
    torch.manual_seed(training.seed)
    network = ATFTGATFAN(params, chunk.x.size(-1), chunk.levels.size(-1), chunk.context.size(-1))
    network.fit_scales(chunk.levels, chunk.edge_index, chunk.edge_attr)
    return network


def _first_days(catalog: DataCatalog, params: ModelParams, days: int) -> MarketTensors:
    features, labels, edges, split, manifest = (catalog.load(name) for name in MARKET)
    first = max(part_range(split, features.indexes["date"], "train")[0], params.window - 1)
    around = {"date": slice(first - params.window + 1, first + days + AHEAD)}
    return model_market(features.isel(around), labels.isel(around), edges, manifest, params)
