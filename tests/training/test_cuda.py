"""Training on a CUDA device; skipped where there is none."""

import numpy as np
import pytest
import torch

from gogooku_kedro.training import fit_model
from tests.model.conftest import model_params
from tests.training.conftest import TRAIN, VALID, PowerCut, training_params

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


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
    settings = {"max_epochs": 1, "max_batches": 1, "ema_decay": 0.0}
    one, other = (
        fit(market, model, training_params(tmp_path, device=device, **settings)) for device in ("cpu", "cuda")
    )
    assert other.history["train/loss"][0] == pytest.approx(one.history["train/loss"][0], rel=1e-4)
    assert other.history["valid/rank_ic"][0] == pytest.approx(one.history["valid/rank_ic"][0], abs=0.02)


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
