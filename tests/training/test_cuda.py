"""Training on a CUDA device; skipped where there is none."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from gogooku_kedro.training import fit_model, predict_days
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, PowerCut, training_params

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


DAYS = list(range(44, 56))


def fit(market, model, settings, *callbacks):
    return fit_model(market, TRAIN, VALID, "hash", model, settings, callbacks)


@pytest.mark.parametrize("precision", ["bf16-mixed", "auto", "32-true"])
def test_training_on_cuda_learns(market, model, tmp_path, precision):
    result = fit(market, model, training_params(tmp_path, device="cuda", precision=precision, max_epochs=12))
    assert result.history["valid/rank_ic_1d"].max() > 0.3
    assert result.seed_model.training["device"].startswith("cuda (")
    assert all(weight.dtype != np.float16 for weight in result.seed_model.weights.values())


def test_float32_on_cuda_trains_as_on_the_cpu(market, tmp_path):
    model = model_params()  # without dropout: the devices draw other random numbers
    losses = {}
    for device in ("cpu", "cuda"):
        losses[device] = Losses()
        settings = training_params(tmp_path, device=device, max_epochs=4, chunk_days=4)
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


def test_a_run_that_was_cut_off_on_cuda_goes_on(market, model, tmp_path):
    settings = training_params(tmp_path, device="cuda", precision="bf16-mixed")
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
        tmp_path, device="cuda", precision="bf16-mixed", compile=True, max_epochs=12, chunk_days=7
    )
    assert fit(market, model, settings).history["valid/rank_ic_1d"].max() > 0.3


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2}], ids=["CUDA graphs", "accumulated"])
def test_compiled_code_trains_on_cuda_as_eager_code_does(market, tmp_path, changes):
    model = model_params()  # without dropout: generated code draws other random numbers
    settings = {"device": "cuda", "max_epochs": 2} | changes
    eager, compiled = (
        fit(market, model, training_params(tmp_path, compile=on, **settings)).history for on in (False, True)
    )
    for name in ("train/loss", "train/mse", "valid/rank_ic", "grad_norm/gat", "task_grad_norm/gat"):
        np.testing.assert_allclose(compiled[name], eager[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_no_step_on_cuda_waits_for_the_device(market, model, tmp_path):
    """CUDA itself says so; on other devices `test_no_sync.py` looks at the operators."""
    fit(market, model, training_params(tmp_path, device="cuda", max_epochs=1, chunk_days=3), Waiting())


class Waiting(pl.Callback):
    """Make a synchronisation an error in every step but those on which the task's gradient is measured."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("default" if batch_idx in pl_module._probes else "error")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, trainer, pl_module, exception):
        torch.cuda.set_sync_debug_mode("default")
