"""Training learns, repeats itself bit for bit, and goes on where it was cut off."""

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch

from gogooku_kedro.training import ModelBundle, fit_model, predict_days, resolve_device
from gogooku_kedro.training.device import resolve_precision
from gogooku_kedro.training.module import CrossSectionModule, graph_figures
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, training_params

pytestmark = pytest.mark.training


class PowerCut(pl.Callback):
    """Stop the process, as it were, in the middle of an epoch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch = epoch, batch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == self.batch:
            raise RuntimeError("power cut")


def test_the_validation_rank_ic_rises(market, model, tmp_path):
    result = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path, max_epochs=12))
    assert result.history["train/mse"].iloc[-1] < 0.9 * result.history["train/mse"].iloc[0]
    assert result.history["valid/rank_ic_1d"].max() > 0.3
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(market, model, tmp_path):
    first, again = (
        fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path)) for _ in range(2)
    )
    pd.testing.assert_frame_equal(first.history, again.history, check_exact=True)
    for name, weight in first.bundle.weights.items():
        np.testing.assert_array_equal(weight, again.bundle.weights[name])
    other = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path, seed=1))
    assert not other.history["train/loss"].equals(first.history["train/loss"])


@pytest.mark.parametrize("batch", [0, 3])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(market, model, tmp_path, batch):
    whole = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path / "whole"))
    settings = training_params(tmp_path / "cut")
    with pytest.raises(RuntimeError, match="power cut"):
        fit_model(market, TRAIN, VALID, "hash", model, settings, [PowerCut(epoch=2, batch=batch)])
    resumed = fit_model(market, TRAIN, VALID, "hash", model, settings)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    for name, weight in whole.bundle.weights.items():
        np.testing.assert_array_equal(weight, resumed.bundle.weights[name])


def test_other_settings_do_not_go_on_with_a_cut_off_run(market, model, tmp_path):
    settings = training_params(tmp_path)
    with pytest.raises(RuntimeError, match="power cut"):
        fit_model(market, TRAIN, VALID, "hash", model, settings, [PowerCut(epoch=2, batch=0)])
    other = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path, seed=5))
    fresh = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path / "x", seed=5))
    pd.testing.assert_frame_equal(other.history, fresh.history, check_exact=True)


def test_training_stops_early_and_keeps_the_best_epoch(market, model, tmp_path):
    settings = training_params(tmp_path, max_epochs=30, patience=2, learning_rate=1e-9)
    result = fit_model(market, TRAIN, VALID, "hash", model, settings)
    assert len(result.history) < 30
    best = result.history["valid/rank_ic"].idxmax()
    assert result.bundle.training["best_epoch"] == result.history.loc[best, "epoch"]


def test_the_test_part_is_never_read_in_training(market, model, tmp_path):
    first = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path))
    market.x[VALID[1] :] += 100.0
    market.levels[VALID[1] :] += 100.0
    market.target[VALID[1] :] = 3.0
    again = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path))
    pd.testing.assert_frame_equal(first.history, again.history, check_exact=True)
    for name, weight in first.bundle.weights.items():
        np.testing.assert_array_equal(weight, again.bundle.weights[name])


def test_level_scales_and_gradients_come_from_the_training_part_alone(market, model, tmp_path):
    settings = training_params(tmp_path, max_epochs=1, ema_decay=0.0)
    first = fit_model(market, TRAIN, VALID, "hash", model, settings)
    market.x[TRAIN[1] :] += 100.0
    market.levels[TRAIN[1] :] *= 100.0
    market.target[TRAIN[1] :] = market.target[TRAIN[1] :].roll(3, dims=1)
    again = fit_model(market, TRAIN, VALID, "hash", model, settings)
    for name, weight in first.bundle.weights.items():
        np.testing.assert_array_equal(weight, again.bundle.weights[name])


def test_every_loss_term_and_graph_figure_is_in_the_history(market, model, tmp_path):
    history = fit_model(market, TRAIN, VALID, "hash", model, training_params(tmp_path)).history
    expected = {
        *(f"train/{t}" for t in ("loss", "mse", "ic", "quantile", "gat_entropy", "gat_edge")),
        *(f"gat/{f}" for f in ("attention_entropy", "edge_regularization", "edge_count")),
        *("gat/avg_attention", "gat/degree", "valid/rank_ic", "valid/score_dispersion"),
        *(f"grad_norm/{m}" for m in ("vsn", "temporal", "levels", "gat", "fusion", "score_head")),
    }
    assert expected <= set(history.columns)
    assert (history[[c for c in history if c.startswith("grad_norm/")]] > 0).all(axis=None)
    total = history[[f"train/{t}" for t in ("mse", "ic", "quantile", "gat_entropy", "gat_edge")]]
    np.testing.assert_allclose(total.sum(axis=1), history["train/loss"], rtol=1e-5)


def test_edge_count_and_degree_by_hand(market, model):
    # A ring: one neighbour each; sessions 12 and 13 have all stocks.
    torch.manual_seed(0)
    module = CrossSectionModule(_network(market), model, training_params_stub(), 1).eval()
    chunk = market.chunk(12, 2, model.window)
    figures = graph_figures(module(chunk).graph, 2 * 20)
    assert figures["gat/edge_count"] == 40
    assert figures["gat/degree"] == 1
    assert 0 <= figures["gat/attention_entropy"] <= 1


def training_params_stub():
    from pathlib import Path

    return training_params(Path("unused"))


def _network(market):
    from gogooku_kedro.model import ATFTGATFAN

    return ATFTGATFAN(model_params(), market.x.size(-1), market.levels.size(-1))


def test_a_chunk_without_any_label_is_an_error(market, model):
    module = CrossSectionModule(_network(market), model, training_params_stub(), 1)
    market.target[12:14] = torch.nan
    chunk = market.chunk(12, 2, model.window)
    with pytest.raises(ValueError, match="no label on the chunk of days that begins at 12"):
        module.loss_terms(module(chunk), chunk)


@pytest.mark.parametrize(
    ("train", "message"),
    [((3, 40), "before the first whole window"), ((12, 15), "has 3 sessions, fewer than model.window")],
)
def test_a_training_part_that_is_too_early_or_too_short_is_an_error(market, model, tmp_path, train, message):
    with pytest.raises(ValueError, match=message):
        fit_model(market, train, VALID, "hash", model, training_params(tmp_path))


def test_a_bundle_survives_its_json_and_refuses_other_features(market, model, tmp_path):
    bundle = fit_model(market, TRAIN, VALID, "abc", model, training_params(tmp_path)).bundle
    again = ModelBundle.from_config(bundle.weights, bundle.config())
    assert again.params == model
    scores = [
        torch.stack([score for _, score, _ in predict_days(b.build("abc"), market, [44, 50], "cpu")])
        for b in (bundle, again)
    ]
    torch.testing.assert_close(*scores, rtol=0, atol=0)
    with pytest.raises(ValueError, match="trained on features abc, but these are xyz"):
        bundle.build("xyz")


def test_training_and_prediction_take_the_same_path(market, model, tmp_path):
    network = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path)).bundle.build("h")
    chunk = market.chunk(44, 10, model.window)
    with torch.inference_mode():
        together = network(chunk.x, chunk.present, chunk.levels, chunk.edge_index, chunk.edge_attr)
    for day, score, quantiles in predict_days(network, market, list(range(44, 54)), "cpu"):
        torch.testing.assert_close(score, together.score[day - 44], rtol=0, atol=1e-5)
        torch.testing.assert_close(quantiles, together.quantiles[day - 44], rtol=0, atol=1e-5)


def test_scores_of_a_day_do_not_change_in_the_last_bit_with_the_future(market, model, tmp_path):
    network = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path)).bundle.build("h")
    before = {day: s for day, s, _ in predict_days(network, market, list(range(40, 50)), "cpu")}
    market.x[46:] = 7.0
    market.levels[46:] = torch.nan
    market.present[46:, ::2] = False
    after = {day: s for day, s, _ in predict_days(network, market, list(range(40, 50)), "cpu")}
    for day in range(40, 46):
        assert torch.equal(before[day], after[day])
    assert not torch.equal(before[46], after[46])


def test_a_device_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"training.device: cuda, but .* set training.device: auto"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cpu") == "cpu"
    assert resolve_precision("auto", "cuda") == "bf16-mixed"
    assert resolve_precision("auto", "cpu") == "32-true"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_with_bf16(market, model, tmp_path):
    settings = training_params(tmp_path, device="cuda", precision="bf16-mixed", max_epochs=12)
    result = fit_model(market, TRAIN, VALID, "hash", model, settings)
    assert result.history["valid/rank_ic_1d"].max() > 0.3
