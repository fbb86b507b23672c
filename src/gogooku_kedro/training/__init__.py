"""Training: the market as resident tensors, losses, the Lightning module, fitting and prediction."""

from gogooku_kedro.training.device import describe_device, resolve_device, resolve_precision
from gogooku_kedro.training.ensemble import Ensemble, combine, predict_parts
from gogooku_kedro.training.fit import EnsembleResult, FitResult, fit_ensemble, fit_model
from gogooku_kedro.training.predict import predict_days, predictions_frame
from gogooku_kedro.training.seed_model import SeedModel
from gogooku_kedro.training.tensors import DayChunk, GraphTensors, MarketTensors, market_tensors, model_market

__all__ = [
    "DayChunk",
    "Ensemble",
    "EnsembleResult",
    "FitResult",
    "GraphTensors",
    "MarketTensors",
    "SeedModel",
    "combine",
    "describe_device",
    "fit_ensemble",
    "fit_model",
    "market_tensors",
    "model_market",
    "predict_days",
    "predict_parts",
    "predictions_frame",
    "resolve_device",
    "resolve_precision",
]
