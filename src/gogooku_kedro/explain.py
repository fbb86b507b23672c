"""Explain one prediction of the stored model, with what a run has left in the catalog."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from kedro.io import DataCatalog, DatasetError

from gogooku_kedro.explanation.subject import Subject
from gogooku_kedro.explanation.why import Why, explain_stock
from gogooku_kedro.params import ExplanationParams, ModelParams, TrainingParams
from gogooku_kedro.training import resolve_device

MARKET = ("panel", "features", "labels", "graph_edges", "feature_manifest")


def explain_prediction(
    parameters: Mapping[str, Any],
    catalog: DataCatalog,
    code: str,
    date: pd.Timestamp | None,
    horizon: int,
) -> Why:
    """Explain the score of a stock on a session.

    Args:
        parameters: The merged configuration, valid.
        catalog: Where the model and the data of a run lie.
        code: The stock.
        date: The session; None is the latest.
        horizon: In sessions.

    Raises:
        ValueError: If there is no trained model or no data, they do not fit each other, or stock or session
            are not there; it says what to do.
    """
    missing = [name for name in MARKET if not catalog.exists(name)]
    if missing:
        raise ValueError(f"no {', '.join(missing)} yet: run `kedro run --pipelines=data` first")
    if not catalog.exists("ensemble"):
        raise ValueError("no trained model yet: run `kedro run --pipelines=training` first")
    model = ModelParams.model_validate(parameters["model"])
    device = resolve_device(TrainingParams.model_validate(parameters["training"]).device)
    settings = ExplanationParams.model_validate(parameters["explanation"])
    try:
        panel, features, labels, edges, manifest = (catalog.load(name) for name in MARKET)
        ensemble = catalog.load("ensemble")
    except DatasetError as error:
        raise ValueError(str(error)) from error
    subject = Subject.of(ensemble, features, labels, edges, manifest, model, device)
    return explain_stock(subject, panel, model.quantiles, code, date, horizon, settings.gradient_steps)
