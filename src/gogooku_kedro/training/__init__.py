"""Training: the market as resident tensors, losses, the Lightning module, fitting and prediction."""

from gogooku_kedro.training.device import describe_device, resolve_device, resolve_precision
from gogooku_kedro.training.ensemble import Ensemble, SeedModel
from gogooku_kedro.training.fit import EnsembleResult, FitResult, fit_ensemble, fit_model, fit_variants
from gogooku_kedro.training.graph_tensors import GraphTensors
from gogooku_kedro.training.market import Market, build_market, context_names, model_market, without_labels
from gogooku_kedro.training.predict import (
    combine,
    first_read,
    predict_days,
    predict_market,
    predict_parts,
    predictions_frame,
)
from gogooku_kedro.training.tensors import DayChunk, MarketTensors, market_tensors

__all__ = [
    "DayChunk",
    "Ensemble",
    "EnsembleResult",
    "FitResult",
    "GraphTensors",
    "Market",
    "MarketTensors",
    "SeedModel",
    "build_market",
    "combine",
    "context_names",
    "describe_device",
    "first_read",
    "fit_ensemble",
    "fit_model",
    "fit_variants",
    "market_tensors",
    "model_market",
    "predict_days",
    "predict_market",
    "predict_parts",
    "predictions_frame",
    "resolve_device",
    "resolve_precision",
    "without_labels",
]
