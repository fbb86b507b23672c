"""Encode the window of raw price channels (price, volume, volatility) with FAN and SAN, and score their forecasts."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gogooku_kedro.model.fan import FrequencyAdaptiveNorm, split_by_frequency
from gogooku_kedro.model.grn import GatedResidual
from gogooku_kedro.model.san import SliceAdaptiveNorm, slice_statistics


class LevelScale(NamedTuple):
    """Scales of the raw price channels, fitted on the training sessions only; each `(C,)`."""

    mean: Tensor
    deviation: Tensor
    path_deviation: Tensor


class LevelForecast(NamedTuple):
    """What FAN and SAN foresee of the `H` sessions after a window, for `B = D * N` windows.

    Everything but `centre` is in units of the channel's typical deviation from a window's mean, around
    the mean of the window that was seen.

    Attributes:
        main: `(B, C, H)` main part of the coming sessions, None without FAN.
        residual: `(B, C, H)` their residual part, None without FAN.
        mean: `(B, C, M)` means of the coming slices, None without SAN.
        deviation: `(B, C, M)` standard deviations of the coming slices, None without SAN.
        centre: `(B, C)` mean of the window that was seen, in units of the channel; NaN = never there.
    """

    main: Tensor | None
    residual: Tensor | None
    mean: Tensor | None
    deviation: Tensor | None
    centre: Tensor


class ComingLevels(NamedTuple):
    """The sessions that came after each window.

    Attributes:
        path: `(B, C, H)` in the units of a `LevelForecast`, 0 where not known.
        known: `(B, C)` bool, the window was seen and no coming session is absent.
    """

    path: Tensor
    known: Tensor


class LevelEncoder(nn.Module):
    """Add what FAN and SAN read from the raw price channels to the stock states.

    A window is centred on its own mean and scaled by the training sessions' typical deviation; the mean
    itself, in units of the channel, goes on beside it. Absent sessions lie on the window's mean.

    Args:
        hidden_size: Width of the stock states.
        n_channels: Number of raw price channels `C`.
        window: Sessions of a window `L`.
        horizon: Sessions that FAN and SAN foresee `H`.
        fan: The FAN encoder, None to do without.
        san: The SAN encoder, None to do without.
        dropout: Dropout of the gated residual.

    Shapes:
        - **h**: `(D, N, hidden_size)`
        - **levels**: `(D + L - 1, N, C)`; NaN = absent
        - **output**: `(D, N, hidden_size)` and `LevelForecast`
    """

    mean: Tensor
    deviation: Tensor
    path_deviation: Tensor

    def __init__(
        self,
        hidden_size: int,
        n_channels: int,
        window: int,
        horizon: int,
        fan: FrequencyAdaptiveNorm | None,
        san: SliceAdaptiveNorm | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.window, self.horizon, self.fan, self.san = window, horizon, fan, san
        encoders = (fan is not None) + (san is not None)
        self.gate = GatedResidual(encoders * hidden_size + n_channels, hidden_size, dropout)
        for name in LevelScale._fields:
            self.register_buffer(name, torch.ones(n_channels))

    def set_scale(self, scale: LevelScale) -> None:
        """Store the scales fitted on the training sessions; they travel with the weights."""
        for name, value in scale._asdict().items():
            getattr(self, name).copy_(value)

    def forward(self, h: Tensor, levels: Tensor) -> tuple[Tensor, LevelForecast]:
        """Return the states with the windows' information added, and the forecasts."""
        windows = levels.unfold(0, self.window, 1).flatten(0, 1)  # (D*N, C, L)
        centre = windows.nanmean(dim=-1)
        path = torch.nan_to_num((windows - centre.unsqueeze(-1)) / self.path_deviation.unsqueeze(-1))
        level = torch.nan_to_num((centre - self.mean) / self.deviation)
        parts = [level]
        main = residual = mean = deviation = None
        if self.fan is not None:
            encoded, main, residual = self.fan(path)
            parts.append(encoded)
        if self.san is not None:
            encoded, mean, deviation = self.san(path, level)
            parts.append(encoded)
        out: Tensor = self.gate(h, torch.cat(parts, dim=-1).unflatten(0, h.shape[:2]))
        return out, LevelForecast(main, residual, mean, deviation, centre)

    def losses(self, forecast: LevelForecast, levels_ahead: Tensor) -> dict[str, Tensor]:
        """Errors of the forecasts, `fan` and `san`, each where it is built.

        Args:
            forecast: Of the `D * N` windows of a chunk.
            levels_ahead: `(D + H - 1, N, C)` of the sessions that followed, the first one being that
                after the first session; NaN = absent. Only a loss may read it.
        """
        coming = coming_levels(forecast.centre, levels_ahead, self.path_deviation, self.horizon)
        errors = {}
        if self.fan is not None and forecast.main is not None and forecast.residual is not None:
            errors["fan"] = fan_loss(forecast.main, forecast.residual, coming, self.fan.top_k)
        if self.san is not None and forecast.mean is not None and forecast.deviation is not None:
            errors["san"] = san_loss(forecast.mean, forecast.deviation, coming, self.san.slice_length)
        return errors


def fit_level_scale(levels: Tensor, window: int) -> LevelScale:
    """Measure the scales of raw price channels.

    Args:
        levels: `(T, N, C)` of the *training* sessions; NaN = absent. No later session may be in it.
        window: Sessions of a window.

    Returns:
        Mean and standard deviation of each channel, and the root mean square deviation of a window's
        sessions from the window's own mean. A channel that never varies gets 1.
    """
    flat = levels.flatten(0, 1)
    mean = flat.nanmean(dim=0)
    deviation = (flat - mean).square().nanmean(dim=0).sqrt()
    spread = torch.stack([_window_spread(levels[:, :, c], window) for c in range(levels.size(-1))])
    usable = [torch.nan_to_num(s, nan=1.0).clamp_min(1e-6) for s in (deviation, spread)]
    return LevelScale(torch.nan_to_num(mean), usable[0], usable[1])


def coming_levels(centre: Tensor, levels_ahead: Tensor, path_deviation: Tensor, horizon: int) -> ComingLevels:
    """Cut what came after each window out of the levels that follow a chunk.

    Args:
        centre: `(B, C)` means of the windows seen, see `LevelForecast`.
        levels_ahead: `(D + H - 1, N, C)`, sessions from the one after the first session on; NaN = absent.
        path_deviation: `(C,)`, typical deviation of a session from the mean of its window.
        horizon: Sessions foreseen `H`.
    """
    ahead = levels_ahead.unfold(0, horizon, 1).flatten(0, 1)  # (D*N, C, H)
    path = (ahead - centre.unsqueeze(-1)) / path_deviation.unsqueeze(-1)
    known = path.isfinite().all(dim=-1)
    return ComingLevels(torch.where(known.unsqueeze(-1), path, 0.0), known)


def fan_loss(main: Tensor, residual: Tensor, coming: ComingLevels, top_k: int) -> Tensor:
    r"""Error of both forecasts, :math:`\|\hat y_{main} - y_{main}\|^2 + \|\hat y_{res} - y_{res}\|^2`.

    `(y_main, y_res)` is the split of the coming sessions by *their* strongest frequencies (Ye et al.
    2024, section 3.3).

    Args:
        main: `(B, C, H)` foreseen main part.
        residual: `(B, C, H)` foreseen residual part.
        coming: What came; windows that are not known do not count and give no gradient.
        top_k: Frequency bins in the main part.

    Returns:
        Scalar, a mean over windows, channels and sessions; 0 where nothing is known.
    """
    true_main, true_residual = split_by_frequency(coming.path, top_k)
    return _mean_square(main, true_main, coming.known) + _mean_square(residual, true_residual, coming.known)


def san_loss(mean: Tensor, deviation: Tensor, coming: ComingLevels, slice_length: int) -> Tensor:
    r"""Error of both forecasts, :math:`\|\hat\mu - \mu\|^2 + \|\hat\sigma - \sigma\|^2`.

    The truth is the statistics of the coming slices (Liu et al. 2023, section 3.3).

    Args:
        mean: `(B, C, M)` foreseen means of the coming slices.
        deviation: `(B, C, M)` foreseen standard deviations.
        coming: What came; windows that are not known do not count and give no gradient.
        slice_length: Sessions of a slice; sessions beyond `M` slices are not looked at.

    Returns:
        Scalar, a mean over windows, channels and slices; 0 where nothing is known.
    """
    slices = mean.size(-1)
    _, true_mean, true_deviation = slice_statistics(coming.path[..., : slices * slice_length], slices)
    return _mean_square(mean, true_mean, coming.known) + _mean_square(deviation, true_deviation, coming.known)


def _mean_square(forecast: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    error = ((forecast.float() - truth) * known.unsqueeze(-1)).square().mean(dim=-1)
    return error.sum() / known.sum().clamp_min(1)


def _window_spread(channel: Tensor, window: int) -> Tensor:
    ends = range(0, channel.size(0) - window + 1, window)  # non-overlapping windows are enough
    windows = torch.stack([channel[e : e + window] for e in ends])  # (W, L, N)
    return (windows - windows.nanmean(dim=1, keepdim=True)).square().nanmean().sqrt()
