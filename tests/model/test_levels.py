"""FAN and SAN on windows of raw price channels: what they split, what they keep, what they foresee."""

import math

import pytest
import torch

from gogooku_kedro.model import fit_level_scale
from gogooku_kedro.model.fan import FrequencyAdaptiveNorm, split_by_frequency
from gogooku_kedro.model.levels import LevelEncoder
from gogooku_kedro.model.san import SD_FLOOR, SliceAdaptiveNorm, slice_statistics


def fan_and_san() -> tuple[FrequencyAdaptiveNorm, SliceAdaptiveNorm]:
    """For two channels and windows of 20 sessions."""
    torch.manual_seed(0)
    return FrequencyAdaptiveNorm(2, 20, 3, 8, 20, 4), SliceAdaptiveNorm(2, 20, 4, 8, 20, 4)


@pytest.mark.parametrize("length", [20, 21])
def test_fan_parts_add_up_on_every_day(length):
    x = torch.randn(4, length)
    main, residual = split_by_frequency(x, top_k=3)
    torch.testing.assert_close(main + residual, x)
    assert (main.abs().sum(dim=0) > 0).all()


def test_fan_finds_the_frequency_of_a_wave():
    t = torch.arange(20.0)
    wave = torch.sin(2 * math.pi * 3 * t / 20)
    main, residual = split_by_frequency(wave.unsqueeze(0), top_k=1)
    torch.testing.assert_close(main[0], wave, rtol=0, atol=1e-5)
    assert residual.abs().max() < 1e-5


def test_fan_takes_most_of_the_variance_of_white_noise():
    """Ye et al.'s split on noise, L = 20: one bin takes about 28% of the variance. Levels only, then."""
    noise = torch.randn(20_000, 20, generator=torch.Generator().manual_seed(0))
    share = 1 - split_by_frequency(noise, 1)[1].var() / noise.var()
    assert share == pytest.approx(0.28, abs=0.02)


def test_san_statistics_by_hand():
    x = torch.tensor([[1.0, 3.0, 10.0, 10.0]])
    normalised, mean, deviation = slice_statistics(x, slices=2)
    assert mean.tolist() == [[2.0, 10.0]]
    expected = math.sqrt(2 + SD_FLOOR**2)  # unbiased variance of (1, 3) is 2, floored
    assert deviation[0, 0].item() == pytest.approx(expected)
    assert deviation[0, 1].item() == pytest.approx(SD_FLOOR)
    assert normalised[0].tolist() == pytest.approx([-1 / expected, 1 / expected, 0, 0])


def test_san_refuses_slices_that_would_leave_the_last_day_out():
    with pytest.raises(ValueError, match=r"model\.san\.slices: 3 does not divide the window of 20"):
        slice_statistics(torch.randn(2, 20), slices=3)


@pytest.mark.parametrize("day", [0, 5, 10, 19])
def test_fan_and_san_hand_every_day_on(day):
    fan, san = fan_and_san()
    x, level = torch.randn(1, 2, 20), torch.zeros(1, 2)
    changed = x.clone()
    changed[0, 0, day] += 1.0
    for before, after in ((fan(x), fan(changed)), (san(x, level), san(changed, level))):
        assert (before[0] - after[0]).abs().max() > 1e-4
        assert all((b - a).abs().max() > 1e-5 for b, a in zip(before, after, strict=True))


def test_fan_and_san_keep_the_level_and_scale_they_normalise_away():
    fan, san = fan_and_san()
    x, level = torch.randn(1, 2, 20), torch.zeros(1, 2)
    for other in (3 * x, x + 1):
        assert (fan(x)[0] - fan(other)[0]).abs().max() > 1e-3
        assert (san(x, level)[0] - san(other, level)[0]).abs().max() > 1e-3


def test_forecasts_are_handed_on():
    fan, san = fan_and_san()
    x, level = torch.randn(3, 2, 20), torch.randn(3, 2)
    for layer, inputs in ((fan, (x,)), (san, (x, level))):
        encoded, *forecasts = layer(*inputs)
        for forecast in forecasts:
            (heard,) = torch.autograd.grad(encoded.sum(), forecast, retain_graph=True)
            assert (heard.abs().sum(dim=(0, 1)) > 0).all()


def test_fan_foresees_both_parts_as_in_the_paper():
    fan, _ = fan_and_san()
    x = torch.randn(3, 2, 20)
    main, residual = split_by_frequency(x, 3)
    _, coming_main, coming_residual = fan(x)
    second, _, third = fan.main_forecast
    hidden = torch.cat([fan.main_encoder[0](main).relu(), x], dim=-1)
    torch.testing.assert_close(coming_main, third(second(hidden).relu()))
    torch.testing.assert_close(coming_residual, fan.residual_forecast(residual))
    assert coming_main.shape == coming_residual.shape == (3, 2, 20)


def test_san_foresees_the_level_it_saw_until_its_weights_say_otherwise():
    _, san = fan_and_san()
    x, level = torch.randn(3, 2, 20), torch.randn(3, 2)
    _, mean, _ = san(x, level)
    torch.testing.assert_close(san(x, level + 1)[1], mean)  # w_1 = 1: the mean of the window, plus the MLP
    with torch.no_grad():
        san.weight[0, 0], san.weight[1, 1] = 0.0, 0.9
    _, changed, _ = san(x, level)
    torch.testing.assert_close(changed[:, 0], torch.zeros(3, 4))  # w_0 = 0: nothing but the level
    torch.testing.assert_close(changed[:, 1], mean[:, 1] - 0.1 * level[:, 1:])  # a tenth of the way back


def test_san_foresees_positive_deviations_and_always_learns():
    _, san = fan_and_san()
    with torch.no_grad():
        san.deviation_forecast.out.bias.fill_(-3.0)  # a relu would be shut here
    _, _, deviation = san(torch.randn(3, 2, 20), torch.zeros(3, 2))
    assert (deviation > 0).all()
    deviation.sum().backward()
    assert (san.deviation_forecast.out.bias.grad > 0).all()


@pytest.mark.parametrize(("window", "slices", "coming"), [(20, 4, 4), (6, 3, 10), (60, 5, 1), (21, 3, 2)])
def test_san_foresees_as_many_whole_slices_as_fit(window, slices, coming):
    san = SliceAdaptiveNorm(1, window, slices, 4, 20, 2)
    _, mean, deviation = san(torch.randn(1, 1, window), torch.zeros(1, 1))
    assert mean.shape == deviation.shape == (1, 1, coming)


def test_level_scale_by_hand():
    # One stock, one channel, two windows of two days: deviations from the windows' means are 1 and 2.
    levels = torch.tensor([0.0, 2.0, 10.0, 14.0]).reshape(4, 1, 1)
    scale = fit_level_scale(levels, window=2)
    assert scale.mean.item() == pytest.approx(6.5)
    assert scale.path_deviation.item() == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 4))
    absent = fit_level_scale(torch.full((4, 1, 1), torch.nan), window=2)
    assert [v.item() for v in absent] == [0.0, 1.0, 1.0]


def level_encoder(**without) -> LevelEncoder:
    fan, san = fan_and_san()
    parts = {"fan": fan, "san": san} | without
    return LevelEncoder(4, 2, 20, 20, **parts, dropout=0.0)


def test_a_stock_that_is_never_there_leaves_finite_states_and_no_centre():
    levels = torch.randn(22, 2, 2)
    levels[:, 1, 0] = torch.nan
    states, forecast = level_encoder()(torch.randn(3, 2, 4), levels)
    assert states.isfinite().all()
    assert forecast.centre.isnan().tolist() == [[False, False], [True, False]] * 3
    assert all(part.isfinite().all() for part in forecast[:4])


def test_only_what_is_built_is_foreseen():
    h, levels = torch.randn(3, 2, 4), torch.randn(22, 2, 2)
    ahead = torch.randn(22, 2, 2)
    for absent, names in (("fan", {"san"}), ("san", {"fan"})):
        encoder = level_encoder(**{absent: None})
        _, forecast = encoder(h, levels)
        assert (forecast.main is None) == (forecast.residual is None) == (absent == "fan")
        assert (forecast.mean is None) == (forecast.deviation is None) == (absent == "san")
        assert encoder.losses(forecast, ahead).keys() == names
