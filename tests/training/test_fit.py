"""Training learns, repeats itself bit for bit, keeps the right epoch, and stops when it is told to."""

import gc
import logging
import weakref
from dataclasses import replace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from gogooku_kedro.model.atft_gat_fan import linear_inputs
from gogooku_kedro.training import fit_ensemble, fit_model, predict_days
from gogooku_kedro.training.linear import fit_linear, mixture
from gogooku_kedro.training.module import MONITOR, CrossSectionModule
from gogooku_kedro.training.monitor import validation_figures
from gogooku_kedro.training.tensors import AHEAD
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, assert_equal_results, phase, training_params
from tests.training.test_ensemble import member_result

pytestmark = pytest.mark.training

NO_GRAPH = [phase(name="warm-up", epochs=2, graph=False), phase()]


class Recorder(pl.Callback):
    """Note the chunks of every epoch, the optimiser's steps and the learning rate after each of them."""

    def __init__(self) -> None:
        self.train, self.valid, self.rates = [], [], []

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.train.append([])
        self.valid.append([])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.train[-1].append(batch.first_day)
        if trainer.global_step > len(self.rates):
            self.rates.append(trainer.lr_scheduler_configs[0].scheduler.get_last_lr()[0])
        self.total_steps = pl_module.total_steps

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.valid[-1].append(batch.first_day)


def fit(market, model, settings, *callbacks):
    return fit_model(market, TRAIN, VALID, "hash", model, settings, callbacks)


def test_the_validation_rank_ic_rises(market, model, tmp_path):
    result = fit(market, model, training_params(tmp_path, max_epochs=12))
    assert result.history["train/mse"].iloc[-1] < 0.9 * result.history["train/mse"].iloc[0]
    assert result.history["valid/rank_ic_1d"].max() > 0.3
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(market, model, tmp_path, uninterrupted):
    first, again = member_result(uninterrupted(), 0), fit(market, model, training_params(tmp_path))
    assert_equal_results(first, again)
    other = fit(market, model, training_params(tmp_path, seed=1))
    assert not other.history["train/loss"].equals(first.history["train/loss"])


def test_training_stops_early_and_keeps_the_best_epoch(market, model, tmp_path):
    settings = training_params(tmp_path, max_epochs=30, patience=2, learning_rate=1e-9)
    result = fit(market, model, settings)
    assert len(result.history) < 30
    best = result.history[MONITOR].idxmax()
    assert result.seed_model.training["best_epoch"] == result.history.loc[best, "epoch"]
    assert len(result.history) == best + 1 + settings.patience


def test_the_weights_of_the_best_epoch_are_kept_and_not_the_last(market, model, tmp_path, monkeypatch):
    """The second epoch is called the best: its weights must come back, though four others follow."""
    verdicts = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2])
    monkeypatch.setattr(CrossSectionModule, "_smooth", lambda module, rank_icir: next(verdicts))
    result = fit(market, model, training_params(tmp_path, max_epochs=6, patience=6, ema_decay=0.0))
    assert result.seed_model.training["best_epoch"] == 1
    network = result.seed_model.build("hash", model)
    days = list(range(*VALID))
    scores = np.stack([score.numpy() for _, score, _ in predict_days(network, market, days, "cpu")])
    figures = validation_figures(scores, market.target[days].numpy())
    assert figures["rank_ic"] == pytest.approx(result.history["valid/rank_ic"][1], abs=1e-5)
    assert figures["rank_ic"] != pytest.approx(result.history["valid/rank_ic"].iloc[-1], abs=1e-3)


def test_a_training_leaves_nothing_that_holds_the_market_it_read(market, model, tmp_path):
    own = replace(market, x=market.x.clone())
    read, collects = weakref.ref(own.x), gc.isenabled()
    gc.disable()  # a collection by chance would hide it
    try:
        fit_ensemble(own, TRAIN, VALID, "h", model, training_params(tmp_path, max_epochs=1))
        del own
        assert read() is None
    finally:
        if collects:
            gc.enable()


def test_the_weights_kept_are_the_averaged_ones_that_were_validated(market, model, tmp_path):
    result = fit(market, model, training_params(tmp_path, max_epochs=3, ema_decay=0.9))
    best = result.seed_model.training["best_epoch"]
    network, days = result.seed_model.build("hash", model), list(range(*VALID))
    scores = np.stack([score.numpy() for _, score, _ in predict_days(network, market, days, "cpu")])
    figures = validation_figures(scores, market.target[days].numpy())
    for name in ("rank_ic", "rank_icir", "rank_ic_1d", "rank_ic_20d"):
        assert figures[name] == pytest.approx(result.history[f"valid/{name}"][best], abs=1e-5)


@pytest.mark.parametrize("together", [False, True])
def test_the_linear_scores_are_mixed_with_what_the_network_says_without_dropout(market, tmp_path, together):
    params = model_params(dropout=0.4, feature_dropout=0.3, linear_path={"enabled": True, "neighbours": True})
    settings = training_params(tmp_path, max_epochs=3, seeds=[0, 1], seeds_together=together)
    linear = fit_linear(market, TRAIN, VALID, *linear_inputs(params))
    for seed_model in fit_ensemble(market, TRAIN, VALID, "hash", params, settings).ensemble.seed_models:
        trained = seed_model.build("hash", params)
        trained.linear_path.mix(torch.zeros_like(trained.linear_path.weight), torch.ones(4))
        network = torch.stack([score for _, score, _ in predict_days(trained, market, list(range(*VALID)), "cpu")])
        expected = mixture(network, linear.valid, market.target[slice(*VALID)])
        found = seed_model.training["mixture"]
        assert found["share"] == expected.share
        np.testing.assert_allclose(found["network"], expected.network, rtol=1e-5)
        np.testing.assert_allclose(found["linear"], expected.linear, rtol=1e-5)


def test_epochs_without_the_graph_are_neither_kept_nor_counted(market, model, tmp_path):
    settings = training_params(tmp_path, max_epochs=8, patience=1, phases=NO_GRAPH, learning_rate=1e-9)
    result = fit(market, model, settings)
    assert result.history[MONITOR].to_list()[:2] == [-np.inf, -np.inf]
    assert np.isfinite(result.history[MONITOR][2:]).all()
    assert len(result.history) >= 4
    assert result.seed_model.training["best_epoch"] >= 2


def test_the_time_budget_ends_a_training_after_the_first_epoch_at_the_earliest(
    market, model, tmp_path, uninterrupted, caplog
):
    settings = training_params(tmp_path, time_budget_minutes=1e-6)
    with caplog.at_level("INFO", logger="gogooku_kedro"):
        result = fit(market, model, settings)
    assert len(result.history) == 1
    assert "training.time_budget_minutes: 1e-06 spent in epoch 1 of 4; the best epoch so far, 1, is kept" in (
        caplog.text
    )
    whole = member_result(uninterrupted(), 0)
    assert result.history.iloc[0].equals(whole.history.iloc[0])


def test_the_time_budget_leaves_time_for_an_epoch_that_can_be_kept(market, model, tmp_path):
    settings = training_params(tmp_path, time_budget_minutes=1e-6, phases=NO_GRAPH)
    result = fit(market, model, settings)
    assert len(result.history) == 3
    assert result.seed_model.training["best_epoch"] == 2


@pytest.mark.parametrize(
    ("changes", "steps"),
    [({}, 7), ({"accumulate": 2}, 4), ({"max_batches": 3}, 3), ({"max_batches": 3, "accumulate": 2}, 2)],
)
def test_the_schedule_counts_the_steps_of_the_optimiser(market, model, tmp_path, changes, steps):
    record = Recorder()
    fit(market, model, training_params(tmp_path, max_epochs=5, warmup_share=0.2, **changes), record)
    assert record.total_steps == 5 * steps
    assert 5 * steps - 5 <= len(record.rates) <= 5 * steps
    assert np.argmax(record.rates) in (steps - 1, steps - 2)  # warm-up: a fifth of all steps
    assert record.rates[-1] < 0.1 * 0.01


def test_a_quick_check_takes_few_batches_in_training_and_validation(market, model, tmp_path):
    record = Recorder()
    fit(market, model, training_params(tmp_path, max_batches=2, max_epochs=2), record)
    assert [len(days) for days in record.train] == [2, 2]
    assert record.train[0] != record.train[1]
    assert record.valid == [[44, 49], [44, 49]]


def test_the_noise_of_a_chunk_depends_on_seed_epoch_and_day_alone(market, model, tmp_path):
    class Noise(Recorder):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            state = torch.get_rng_state()
            drawn.setdefault((trainer.current_epoch, batch.first_day), []).append(torch.rand(()).item())
            torch.set_rng_state(state)

    drawn: dict[tuple[int, int], list[float]] = {}
    for accumulate in (1, 4):  # other steps, the same chunks
        fit(market, model, training_params(tmp_path, max_epochs=2, accumulate=accumulate), Noise())
    assert {len(set(values)) for values in drawn.values()} == {1}
    assert len({values[0] for values in drawn.values()}) == len(drawn)
    assert max(len(values) for values in drawn.values()) > 2


def test_the_noise_of_a_model_is_that_of_its_own_seed(market, model, tmp_path):
    class Noise(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            entropy = np.random.SeedSequence((1, trainer.current_epoch, batch.first_day))
            drawn.append((torch.random.initial_seed() % 2**64, int(entropy.generate_state(1, np.uint64)[0])))

    drawn: list[tuple[int, int]] = []
    fit(market, model, training_params(tmp_path, seed=1, max_epochs=1, max_batches=1), Noise())
    assert drawn[0][0] == drawn[0][1]


def test_the_test_part_is_never_read_in_training(market, model, tmp_path):
    settings, train = training_params(tmp_path), (12, VALID[1] - AHEAD)
    first = fit_model(market, train, VALID, "hash", model, settings)
    market.x[VALID[1] :] += 100.0
    market.levels[VALID[1] :] += 100.0
    market.context[VALID[1] :] += 100.0
    market.target[VALID[1] :] = 3.0
    assert_equal_results(first, fit_model(market, train, VALID, "hash", model, settings))


def test_level_scales_and_gradients_come_from_the_training_part_alone(market, model, tmp_path):
    """The forecasts of the levels reach as far as the longest label: into the purged sessions."""
    settings = training_params(tmp_path, max_epochs=1, ema_decay=0.0)
    train = (12, 32)
    first = fit_model(market, train, VALID, "hash", model, settings)
    market.x[train[1] :] += 100.0
    market.context[train[1] :] += 100.0
    market.levels[train[1] - 1 + AHEAD + 1 :] *= 100.0
    market.target[train[1] :] = market.target[train[1] :].roll(3, dims=1)
    again = fit_model(market, train, VALID, "hash", model, settings)
    for name, weight in first.seed_model.weights.items():
        np.testing.assert_array_equal(weight, again.seed_model.weights[name])


def test_every_loss_term_and_graph_figure_is_in_the_history(market, model, tmp_path):
    history = fit(market, model, training_params(tmp_path)).history
    terms = ("mse", "ic", "quantile", "fan", "san", "gat_entropy", "gat_edge")
    expected = {
        *(f"train/{t}" for t in ("loss", "score_dispersion", *terms)),
        *(f"gat/{f}" for f in ("attention_entropy", "edge_regularization", "edge_count")),
        *("gat/avg_attention", "gat/degree", "valid/rank_ic", "valid/score_dispersion"),
        *(f"grad_norm/{m}" for m in ("vsn", "temporal", "levels", "gat", "fusion", "score_head")),
    }
    assert expected <= set(history.columns)
    assert (history[[c for c in history if c.startswith("grad_norm/")]] > 0).all(axis=None)
    total = history[[f"train/{t}" for t in terms]]
    np.testing.assert_allclose(total.sum(axis=1), history["train/loss"], rtol=1e-5)


@pytest.mark.parametrize(
    ("train", "message"),
    [((3, 40), "before the first whole window"), ((12, 15), "has 3 sessions, fewer than model.window")],
)
def test_a_training_part_that_is_too_early_or_too_short_is_an_error(market, model, tmp_path, train, message):
    with pytest.raises(ValueError, match=message):
        fit_model(market, train, VALID, "hash", model, training_params(tmp_path))


def test_training_and_prediction_take_the_same_path(market, model, tmp_path):
    network = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path)).seed_model.build("h", model)
    chunk = market.chunk(44, 10, model.window)
    with torch.inference_mode():
        together = network(chunk.x, chunk.present, chunk.levels, chunk.context, chunk.edge_index, chunk.edge_attr)
    for day, score, quantiles in predict_days(network, market, list(range(44, 54)), "cpu"):
        torch.testing.assert_close(score, together.score[day - 44], rtol=0, atol=1e-5)
        torch.testing.assert_close(quantiles, together.quantiles[day - 44], rtol=0, atol=1e-5)


def test_scores_of_a_day_do_not_change_in_the_last_bit_with_the_future(market, model, tmp_path):
    network = fit_model(market, TRAIN, VALID, "h", model, training_params(tmp_path)).seed_model.build("h", model)
    before = {day: s for day, s, _ in predict_days(network, market, list(range(40, 50)), "cpu")}
    market.x[46:] = 7.0
    market.levels[46:] = torch.nan
    market.present[46:, ::2] = False
    after = {day: s for day, s, _ in predict_days(network, market, list(range(40, 50)), "cpu")}
    for day in range(40, 46):
        assert torch.equal(before[day], after[day])
    assert not torch.equal(before[46], after[46])


def test_verbose_lines_begin_and_end_with_the_training(market, model, tmp_path, caplog):
    log = logging.getLogger(CrossSectionModule.__module__)
    before = log.level
    settings = training_params(tmp_path, max_epochs=1, max_batches=2)
    fit_model(market, TRAIN, VALID, "hash", model, settings, gat_verbose=True)
    steps = [r for r in caplog.records if r.name == log.name and r.levelno == logging.DEBUG]
    assert len(steps) == 2
    assert log.level == before
