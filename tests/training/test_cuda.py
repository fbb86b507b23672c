"""Training on a CUDA device; skipped where there is none."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from gogooku_kedro.training import fit_ensemble, fit_model, predict_days
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, PowerCut, phase, training_params
from tests.training.test_captured import VARIANTS

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


DAYS = list(range(44, 56))


def fit(market, model, settings, *callbacks):
    return fit_model(market, TRAIN, VALID, "hash", model, settings, callbacks)


@pytest.mark.parametrize("precision", ["bf16-mixed", "auto", "32-true"])
@pytest.mark.parametrize("graphs", [False, True])
def test_training_on_cuda_learns(market, model, tmp_path, precision, graphs):
    settings = {"precision": precision, "cuda_graphs": graphs, "max_epochs": 12}
    result = fit(market, model, training_params(tmp_path, device="cuda", **settings))
    assert result.history["valid/rank_ic_1d"].max() > 0.3
    assert result.seed_model.training["device"].startswith("cuda (")
    assert all(weight.dtype != np.float16 for weight in result.seed_model.weights.values())


@pytest.mark.parametrize("graphs", [False, True])
def test_float32_on_cuda_trains_as_on_the_cpu(market, tmp_path, graphs):
    model = model_params()  # without dropout: the devices draw other random numbers
    losses = {}
    for device in ("cpu", "cuda"):
        losses[device] = Losses()
        settings = training_params(tmp_path, device=device, cuda_graphs=graphs, max_epochs=4, chunk_days=4)
        result = fit(market, model, settings, losses[device])
        network = result.seed_model.build("hash", model)
        losses[f"{device} scores"] = torch.stack([s for _, s, _ in predict_days(network, market, DAYS, "cpu")])
    one, other = (losses[device].values[:20] for device in ("cpu", "cuda"))
    assert len(one) == 20
    np.testing.assert_allclose(other, one, rtol=1e-4)
    for horizon in range(4):
        scores = (losses[f"{device} scores"][..., horizon].flatten() for device in ("cpu", "cuda"))
        assert spearmanr(*scores).statistic > 0.9999


class Losses(pl.Callback):
    """Loss of every step."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(float(outputs["loss"]))


@pytest.mark.parametrize("graphs", [False, True])
def test_a_run_that_was_cut_off_on_cuda_goes_on(market, model, tmp_path, graphs):
    settings = training_params(tmp_path, device="cuda", precision="bf16-mixed", cuda_graphs=graphs)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(market, model, settings, PowerCut(epoch=2))
    result = fit(market, model, settings)
    assert result.history["epoch"].to_list() == [0, 1, 2, 3]
    assert result.history["valid/rank_ic"].iloc[-1] > 0.1


def test_a_process_of_its_own_trains_on_cuda(market, model, tmp_path):
    devices = torch.cuda.device_count()
    result = fit(market, model, training_params(tmp_path, device="cuda", devices=devices))
    assert result.history["valid/rank_ic"].iloc[-1] > 0.1


def test_a_compiled_model_trains_on_cuda(market, model, tmp_path):
    settings = training_params(
        tmp_path, device="cuda", precision="bf16-mixed", compile=True, cuda_graphs=True, max_epochs=12, chunk_days=7
    )
    assert fit(market, model, settings).history["valid/rank_ic_1d"].max() > 0.3


@pytest.mark.parametrize(
    "changes",
    [{"cuda_graphs": True}, {}, {"accumulate": 2}],
    ids=["whole steps recorded", "CUDA graphs of the compiler", "accumulated"],
)
def test_compiled_code_trains_on_cuda_as_eager_code_does(market, tmp_path, changes):
    model = model_params()  # without dropout: generated code draws other random numbers
    settings = {"device": "cuda", "max_epochs": 2} | changes
    eager, compiled = (
        fit(market, model, training_params(tmp_path, compile=on, **settings)).history for on in (False, True)
    )
    for name in ("train/loss", "train/mse", "valid/rank_ic", "grad_norm/gat", "task_grad_norm/gat"):
        np.testing.assert_allclose(compiled[name], eager[name], rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "memory"),
    [*((changes, "device") for changes in VARIANTS.values()), (VARIANTS["gatv2"], "host")],
    ids=[*VARIANTS, "market in host memory"],
)
def test_replayed_steps_train_as_the_steps_themselves(market, tmp_path, changes, memory):
    """With dropout: both draw the same random numbers."""
    gat = {"edge_dropout": 0.3} | changes.get("gat", {})
    model = model_params(dropout=0.2, **(changes | {"gat": gat}))
    settings = {"device": "cuda", "max_epochs": 3, "market_memory": memory}
    plain, replayed = (
        fit(market, model, training_params(tmp_path / str(on), cuda_graphs=on, **settings)).history
        for on in (False, True)
    )
    names = [name for name in plain if name.startswith(("train/", "valid/", "gat/", "grad_norm/", "task_grad_norm/"))]
    np.testing.assert_allclose(replayed[names].iloc[0], plain[names].iloc[0], rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(replayed["train/loss"].iloc[0], plain["train/loss"].iloc[0], rtol=1e-4)
    np.testing.assert_allclose(replayed["train/loss"], plain["train/loss"], rtol=1e-2)


def test_every_phase_is_recorded_anew(market, model, tmp_path):
    phases = [phase(name="own", epochs=1, graph=False), phase(learning_rate_factor=0.5)]
    settings = {"device": "cuda", "phases": phases, "max_epochs": 4, "precision": "bf16-mixed"}
    losses = [
        fit(market, model, training_params(tmp_path / str(on), cuda_graphs=on, **settings)).history["train/loss"]
        for on in (False, True)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=5e-3)


@pytest.mark.parametrize("graphs", [False, True])
def test_models_trained_together_on_cuda_end_as_each_does_alone(market, model, tmp_path, graphs):
    settings = {"device": "cuda", "max_epochs": 3, "cuda_graphs": graphs}
    seeds = [0, 3, 5]
    together = fit_ensemble(
        market, TRAIN, VALID, "hash", model, training_params(tmp_path, seeds=seeds, seeds_together=True, **settings)
    ).history
    for seed in seeds:
        alone = fit(market, model, training_params(tmp_path / "alone", seed=seed, **settings)).history
        own = together[together["seed"] == seed]
        np.testing.assert_allclose(own["train/loss"], alone["train/loss"], rtol=1e-3)
        np.testing.assert_allclose(own["valid/rank_ic"], alone["valid/rank_ic"], atol=5e-3)


@pytest.mark.parametrize("graphs", [False, True])
def test_no_step_on_cuda_waits_for_the_device(market, model, tmp_path, graphs):
    """CUDA itself says so; on other devices `test_no_sync.py` looks at the operators."""
    settings = training_params(tmp_path, device="cuda", max_epochs=2, chunk_days=3, cuda_graphs=graphs)
    fit(market, model, settings, Waiting())


class Waiting(pl.Callback):
    """Make a synchronisation an error in every step but those on which the task's gradient is measured."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        recording = batch_idx < 2  # the second step is recorded, which waits
        torch.cuda.set_sync_debug_mode("default" if recording or batch_idx in pl_module._probes else "error")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, trainer, pl_module, exception):
        torch.cuda.set_sync_debug_mode("default")
