"""The forecasts of the raw price channels against what came: by a loop, learned, blind to absent days."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gogooku_kedro.model import LevelForecast, LevelScale
from gogooku_kedro.model.fan import FrequencyAdaptiveNorm
from gogooku_kedro.model.levels import LevelEncoder, coming_levels
from gogooku_kedro.model.san import SD_FLOOR, SliceAdaptiveNorm

DAYS, STOCKS, CHANNELS, WINDOW, HORIZON, TOP_K, SLICES = 3, 4, 2, 6, 20, 3, 3
SLICE = WINDOW // SLICES


def encoder(seed: int = 0) -> LevelEncoder:
    torch.manual_seed(seed)
    fan = FrequencyAdaptiveNorm(CHANNELS, WINDOW, TOP_K, 8, HORIZON, 4)
    san = SliceAdaptiveNorm(CHANNELS, WINDOW, SLICES, 8, HORIZON, 4)
    layer = LevelEncoder(4, CHANNELS, WINDOW, HORIZON, fan, san, dropout=0.0)
    layer.set_scale(LevelScale(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([0.5, 2.0])))
    return layer


def path(seed: int = 0) -> Tensor:
    """Levels of all sessions that a chunk sees or foresees: `(L - 1 + D + H, N, C)`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(WINDOW - 1 + DAYS + HORIZON, STOCKS, CHANNELS, generator=generator).cumsum(0)


def seen_and_ahead(levels: Tensor) -> tuple[Tensor, Tensor]:
    return levels[: WINDOW - 1 + DAYS], levels[WINDOW:]


def foresee(layer: LevelEncoder, levels: Tensor) -> tuple[LevelForecast, dict[str, Tensor]]:
    seen, ahead = seen_and_ahead(levels)
    _, forecast = layer(torch.zeros(DAYS, STOCKS, 4), seen)
    return forecast, layer.losses(forecast, ahead)


def errors_by_a_loop(layer: LevelEncoder, levels: Tensor) -> tuple[float, float]:
    """Both losses, one stock, day and channel at a time, in numpy."""
    forecast, _ = foresee(layer, levels)
    main, residual, mean, deviation = (part.detach().numpy().astype(float) for part in forecast[:4])
    fan, san = [], []
    for day in range(DAYS):
        for stock in range(STOCKS):
            for channel in range(CHANNELS):
                b = day * STOCKS + stock
                today = day + WINDOW - 1
                window = levels[today - WINDOW + 1 : today + 1, stock, channel].numpy().astype(float)
                future = levels[today + 1 : today + 1 + HORIZON, stock, channel].numpy().astype(float)
                future = (future - np.nanmean(window)) / layer.path_deviation[channel].item()
                if np.isnan(future).any():
                    continue
                spectrum = np.fft.rfft(future)
                spectrum[np.argsort(-np.abs(spectrum))[TOP_K:]] = 0
                true_main = np.fft.irfft(spectrum, n=HORIZON)
                fan.append(
                    np.mean((main[b, channel] - true_main) ** 2)
                    + np.mean((residual[b, channel] - (future - true_main)) ** 2)
                )
                slices = future.reshape(-1, SLICE)
                true_deviation = np.sqrt(slices.var(axis=1, ddof=1) + SD_FLOOR**2)
                san.append(
                    np.mean((mean[b, channel] - slices.mean(axis=1)) ** 2)
                    + np.mean((deviation[b, channel] - true_deviation) ** 2)
                )
    return float(np.mean(fan)), float(np.mean(san))


def test_both_losses_equal_a_loop_over_windows_and_channels():
    layer, levels = encoder(), path()
    levels[-1, 2, 1] = torch.nan  # the last session ahead of the last day, one channel
    levels[2, 0, 0] = torch.nan  # an absent day that was seen: the window counts all the same
    _, losses = foresee(layer, levels)
    fan, san = errors_by_a_loop(layer, levels)
    assert losses["fan"].item() == pytest.approx(fan, rel=1e-4)
    assert losses["san"].item() == pytest.approx(san, rel=1e-4)


def test_the_window_ahead_begins_on_the_session_after_the_day():
    levels = torch.arange(WINDOW - 1.0 + DAYS + HORIZON).reshape(-1, 1, 1)
    seen, ahead = seen_and_ahead(levels)
    centre = seen.unfold(0, WINDOW, 1).mean(dim=-1).flatten(0, 1)
    coming = coming_levels(centre, ahead, torch.ones(1), HORIZON)
    # A line rises by 1 a session: from the window's mean to the next session by (L + 1) / 2.
    first = (WINDOW + 1) / 2
    for day in range(DAYS):
        assert coming.path[day, 0].tolist() == [first + k for k in range(HORIZON)]
    assert coming.known.all()


@pytest.mark.parametrize("session", range(WINDOW, WINDOW - 1 + DAYS + HORIZON))
def test_an_absent_session_ahead_takes_out_the_windows_that_hold_it(session):
    levels = path()
    levels[session, 1, 0] = torch.nan
    seen, ahead = seen_and_ahead(levels)
    centre = seen.unfold(0, WINDOW, 1).nanmean(dim=-1).flatten(0, 1)
    known = coming_levels(centre, ahead, torch.ones(CHANNELS), HORIZON).known.unflatten(0, (DAYS, STOCKS))
    out = [day for day in range(DAYS) if WINDOW + day <= session < WINDOW + day + HORIZON]
    expected = torch.ones(DAYS, STOCKS, CHANNELS, dtype=torch.bool)
    expected[out, 1, 0] = False
    assert torch.equal(known, expected)


def test_windows_that_are_not_known_give_no_gradient():
    layer, levels = encoder(), path()
    levels[-1, 1] = torch.nan  # only the last day's window of stock 1 holds this session
    levels[: WINDOW - 1 + DAYS, 2] = torch.nan  # stock 2 was never seen
    forecast, losses = foresee(layer, levels)
    for name, parts in (("fan", forecast[:2]), ("san", forecast[2:4])):
        for grad in torch.autograd.grad(losses[name], parts):
            assert grad.isfinite().all()
            moved = grad.abs().sum(dim=(1, 2)).unflatten(0, (DAYS, STOCKS)) > 0
            assert moved.tolist() == [
                [True, True, False, True],
                [True, True, False, True],
                [True, False, False, True],
            ]


def test_with_nothing_known_the_losses_and_their_gradients_are_zero():
    layer, levels = encoder(), path()
    levels[-HORIZON:] = torch.nan
    _, losses = foresee(layer, levels)
    assert {name: loss.item() for name, loss in losses.items()} == {"fan": 0.0, "san": 0.0}
    sum(losses.values()).backward()
    grads = [p.grad for p in layer.parameters() if p.grad is not None]
    assert grads
    assert all((grad == 0).all() for grad in grads)


def test_every_part_of_both_forecasters_learns_from_its_loss():
    layer = encoder()
    _, losses = foresee(layer, path())
    sum(losses.values()).backward()
    foreseers = [layer.fan.main_encoder, layer.fan.main_forecast, layer.fan.residual_forecast]
    foreseers += [layer.san.mean_forecast, layer.san.deviation_forecast]
    parameters = [layer.san.weight, *(p for part in foreseers for p in part.parameters())]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in parameters)


def test_the_losses_fall_on_a_channel_that_can_be_foreseen():
    """A wave of known period: what comes follows from the window."""
    layer = encoder()
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
    t = torch.arange(WINDOW - 1.0 + DAYS + HORIZON).reshape(-1, 1, 1)
    generator = torch.Generator().manual_seed(0)

    def wave() -> Tensor:
        phase = 2 * math.pi * torch.rand(1, STOCKS, CHANNELS, generator=generator)
        return torch.sin(2 * math.pi * t / 10 + phase) * layer.path_deviation

    first = None
    for _ in range(200):
        _, losses = foresee(layer, wave())
        first = first or {name: loss.item() for name, loss in losses.items()}
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    _, last = foresee(layer, wave())
    assert last["fan"] < 0.3 * first["fan"]
    assert last["san"] < 0.3 * first["san"]
