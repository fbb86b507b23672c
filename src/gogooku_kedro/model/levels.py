"""Encode the window of level-like channels (price, volume, volatility) with FAN and SAN."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gogooku_kedro.model.fan import FrequencyAdaptiveNorm
from gogooku_kedro.model.grn import GatedResidual
from gogooku_kedro.model.level_forecast import LevelForecast, coming_levels, fan_loss, san_loss
from gogooku_kedro.model.san import SliceAdaptiveNorm


class LevelScale(NamedTuple):
    """Scales of the level-like channels, fitted on the training sessions only; each ``(C,)``."""

    mean: Tensor
    deviation: Tensor
    path_deviation: Tensor


def fit_level_scale(levels: Tensor, window: int) -> LevelScale:
    """Measure the scales of level-like channels.

    Args:
        levels: ``(T, N, C)`` of the *training* sessions; NaN = absent. No later session may be in it.
        window: Sessions of a window.

    Returns:
        Mean and standard deviation of each channel, and the root mean square deviation of a window's
        days from the window's own mean. A channel that never varies gets 1.
    """
    flat = levels.flatten(0, 1)
    mean = flat.nanmean(dim=0)
    deviation = (flat - mean).square().nanmean(dim=0).sqrt()
    spread = torch.stack([_window_spread(levels[:, :, c], window) for c in range(levels.size(-1))])
    usable = [torch.nan_to_num(s, nan=1.0).clamp_min(1e-6) for s in (deviation, spread)]
    return LevelScale(torch.nan_to_num(mean), usable[0], usable[1])


def _window_spread(channel: Tensor, window: int) -> Tensor:
    ends = range(0, channel.size(0) - window + 1, window)  # non-overlapping windows are enough
    windows = torch.stack([channel[e : e + window] for e in ends])  # (W, L, N)
    return (windows - windows.nanmean(dim=1, keepdim=True)).square().nanmean().sqrt()


class LevelEncoder(nn.Module):
    """Add what FAN and SAN read from the level-like channels to the stock states.

    A window is centred on its own mean and scaled by the training sessions' typical deviation; the mean
    itself, in units of the channel, goes on beside it. Absent days lie on the window's mean.

    Args:
        hidden_size: Width of the stock states.
        n_channels: Number of level-like channels ``C``.
        window: Sessions of a window ``L``.
        horizon: Sessions that FAN and SAN foresee ``H``.
        fan: The FAN encoder, None to do without.
        san: The SAN encoder, None to do without.
        dropout: Dropout of the gated residual.

    Shapes:
        - **h**: ``(D, N, hidden_size)``
        - **levels**: ``(D + L - 1, N, C)``; NaN = absent
        - **output**: ``(D, N, hidden_size)`` and :class:`LevelForecast`
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
        """Errors of the forecasts, ``fan`` and ``san``, each where it is built.

        Args:
            forecast: Of the ``D * N`` windows of a chunk.
            levels_ahead: ``(D + H - 1, N, C)`` of the sessions that followed, the first one being that
                after the first day; NaN = absent. Only a loss may read it.
        """
        coming = coming_levels(forecast.centre, levels_ahead, self.path_deviation, self.horizon)
        errors = {}
        if self.fan is not None and forecast.main is not None and forecast.residual is not None:
            errors["fan"] = fan_loss(forecast.main, forecast.residual, coming, self.fan.top_k)
        if self.san is not None and forecast.mean is not None and forecast.deviation is not None:
            errors["san"] = san_loss(forecast.mean, forecast.deviation, coming, self.san.slice_length)
        return errors
