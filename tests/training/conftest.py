"""A tiny market whose labels follow a feature and a neighbour, as tensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training import EnsembleResult, FitResult, MarketTensors, fit_ensemble, market_tensors
from tests.model.conftest import model_params

SESSIONS, STOCKS, FEATURES, CHANNELS = 60, 20, 4, 2
TRAIN, VALID = (12, 40), (44, 56)
ATTRIBUTES = ("correlation", "abs_correlation", "same_sector", "is_self")


def tables(seed: int = 0) -> tuple[xr.Dataset, xr.Dataset, pd.DataFrame]:
    """Features, labels and a ring of neighbours that changes at session 30."""
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2020-01-06", periods=SESSIONS)
    codes = np.array([f"{1300 + i}0" for i in range(STOCKS)], dtype=object)
    x = rng.normal(size=(SESSIONS, STOCKS, FEATURES)).astype(np.float32)
    in_universe = np.ones((SESSIONS, STOCKS), dtype=bool)
    in_universe[20:25, 3] = False
    x[~in_universe] = 0
    signal = x[..., 0] + np.roll(x[..., 1], 1, axis=1)
    noise = rng.normal(size=(SESSIONS, STOCKS, 4))
    ret = (0.01 * (signal[..., None] + noise)).astype(np.float32)
    ret[-5:] = np.nan
    features = xr.Dataset(
        {
            "x": (("date", "code", "feature"), x),
            "levels": (
                ("date", "code", "channel"),
                rng.normal(size=(SESSIONS, STOCKS, CHANNELS)).cumsum(axis=0).astype(np.float32),
            ),
            "in_universe": (("date", "code"), in_universe),
        },
        coords={"date": dates, "code": codes, "feature": list("abcd"), "channel": ["p", "v"]},
    )
    labels = xr.Dataset(
        {name: (("date", "code", "horizon"), ret) for name in ("ret", "target")},
        coords={"date": dates, "code": codes, "horizon": [1, 5, 10, 20]},
    )
    return features, labels, pd.concat([ring(dates[5], codes, 1), ring(dates[30], codes, 2)])


def ring(asof: pd.Timestamp, codes: np.ndarray, step: int) -> pd.DataFrame:
    """Each stock hears the one `step` before it, and itself."""
    target = np.concatenate([codes, codes])
    source = np.concatenate([np.roll(codes, step), codes])
    own = (source == target).astype(np.float32)
    return pd.DataFrame(
        {
            "asof": asof,
            "source": source,
            "target": target,
            "correlation": np.where(own, 1.0, 0.5).astype(np.float32),
            "abs_correlation": np.where(own, 1.0, 0.5).astype(np.float32),
            "same_sector": own,
            "is_self": own,
        }
    )


@pytest.fixture
def market() -> MarketTensors:
    return market_tensors(*tables(), ATTRIBUTES)


def small_model() -> ModelParams:
    return model_params(
        dropout=0.2,
        gat={
            "edge_dropout": 0.2,
            "regularization": {
                "enabled": True,
                "edge_weight_penalty": 0.01,
                "attention_entropy_penalty": 0.001,
            },
        },
    )


@pytest.fixture
def model() -> ModelParams:
    return small_model()


LOSS = {
    "mse_weight": 1.0,
    "ic_weight": 0.3,
    "pairwise_weight": 0.0,
    "listnet_weight": 0.0,
    "soft_rank_weight": 0.0,
    "quantile_weight": 0.1,
    "fan_weight": 0.05,
    "san_weight": 0.05,
}


def phase(**changes: Any) -> dict[str, Any]:
    """One phase that takes all epochs."""
    settings: dict[str, Any] = {
        "name": "full",
        "epochs": None,
        "graph": True,
        "learning_rate_factor": 1.0,
        "horizon_weights": [1.0, 1.0, 1.0, 1.0],
    }
    return settings | changes


def training_params(folder: Path, **changes: Any) -> TrainingParams:
    """Settings of a short training."""
    settings: dict[str, Any] = {
        "device": "cpu",
        "devices": 1,
        "precision": "32-true",
        "compile": False,
        "cuda_graphs": False,
        "seed": 0,
        "seeds": [],
        "seeds_together": False,
        "processes": 1,
        "market_memory": "device",
        "max_epochs": 4,
        "patience": 10,
        "monitor_smoothing": 0.0,
        "max_batches": None,
        "time_budget_minutes": None,
        "chunk_days": 5,
        "accumulate": 1,
        "warmup_share": 0.1,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "gradient_clip": 1.0,
        "ema_decay": 0.9,
        "phases": [phase()],
        "refit": "none",
        "loss": LOSS,
        "keep_checkpoints": 1,
        "checkpoint_dir": str(folder / "checkpoints"),
    }
    return TrainingParams.model_validate(settings | changes)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., EnsembleResult]:
    """What `market` and `model` give from the first step to the last, trained once for the same settings."""
    finished: dict[str, EnsembleResult] = {}

    def trained(**changes: Any) -> EnsembleResult:
        key = repr(sorted(changes.items()))
        if key not in finished:
            settings = training_params(tmp_path_factory.mktemp("uninterrupted"), **changes)
            whole = market_tensors(*tables(), ATTRIBUTES)
            finished[key] = fit_ensemble(whole, TRAIN, VALID, "hash", small_model(), settings)
        return finished[key]

    return trained


class PowerCut(pl.Callback):
    """Stop the process, as it were, in the middle of an epoch of the model of `seed`."""

    def __init__(self, epoch: int, batch: int = 0, seed: int = 0) -> None:
        self.epoch, self.batch, self.seed = epoch, batch, seed

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        here = (pl_module.training_params.seed, trainer.current_epoch, batch_idx)
        if here == (self.seed, self.epoch, self.batch):
            raise RuntimeError("power cut")


def assert_equal_results(one: FitResult, other: FitResult) -> None:
    """Two trainings have the same history and the same weights, to the last bit."""
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    assert set(one.seed_model.weights) == set(other.seed_model.weights)
    for name, weight in one.seed_model.weights.items():
        np.testing.assert_array_equal(weight, other.seed_model.weights[name])
