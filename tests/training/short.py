"""A short training of the tiny market with nothing of `fit_model` around it."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training import MarketTensors
from gogooku_kedro.training.callbacks import History
from gogooku_kedro.training.data import DayChunkDataModule
from gogooku_kedro.training.module import CrossSectionModule
from tests.training.conftest import TRAIN, VALID


def network(market: MarketTensors, params: ModelParams, seed: int = 0) -> ATFTGATFAN:
    torch.manual_seed(seed)
    return ATFTGATFAN(params, market.x.size(-1), market.levels.size(-1), market.context.size(-1))


def fit(
    market: MarketTensors,
    params: ModelParams,
    training: TrainingParams,
    callbacks: Sequence[pl.Callback] = (),
    verbose: bool = False,
    **trainer: Any,
) -> tuple[CrossSectionModule, pd.DataFrame]:
    """Train; return the module and the figures of its epochs. The schedule is one of 60 steps."""
    module = CrossSectionModule(network(market, params), params, training, 60, gat_verbose=verbose)
    history = History()
    pl.Trainer(
        accelerator="cpu",
        max_epochs=training.max_epochs,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks, history],
        **trainer,
    ).fit(module, DayChunkDataModule(market, TRAIN, VALID, training.chunk_days, params.window, training.seed))
    return module, history.frame()


def without_graph(params: ModelParams) -> ModelParams:
    """The same settings with the GAT off."""
    return params.model_copy(update={"gat": params.gat.model_copy(update={"enabled": False})})
