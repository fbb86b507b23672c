"""Forecasts of the level-like channels, and their losses against what came: the label side of FAN and SAN."""

from typing import NamedTuple

import torch
from torch import Tensor

from gogooku_kedro.model.fan import split_by_frequency
from gogooku_kedro.model.san import slice_statistics


class LevelForecast(NamedTuple):
    """What FAN and SAN foresee of the ``H`` sessions after a window, for ``B = D * N`` windows.

    Everything but ``centre`` is in units of the channel's typical deviation from a window's mean, around
    the mean of the window that was seen.

    Attributes:
        main: ``(B, C, H)`` main part of the coming sessions, None without FAN.
        residual: ``(B, C, H)`` their residual part, None without FAN.
        mean: ``(B, C, M)`` means of the coming slices, None without SAN.
        deviation: ``(B, C, M)`` standard deviations of the coming slices, None without SAN.
        centre: ``(B, C)`` mean of the window that was seen, in units of the channel; NaN = never there.
    """

    main: Tensor | None
    residual: Tensor | None
    mean: Tensor | None
    deviation: Tensor | None
    centre: Tensor


class ComingLevels(NamedTuple):
    """The sessions that came after each window.

    Attributes:
        path: ``(B, C, H)`` in the units of a :class:`LevelForecast`, 0 where not known.
        known: ``(B, C)`` bool, the window was seen and no coming session is absent.
    """

    path: Tensor
    known: Tensor


def coming_levels(centre: Tensor, levels_ahead: Tensor, path_deviation: Tensor, horizon: int) -> ComingLevels:
    """Cut what came after each window out of the levels that follow a chunk.

    Args:
        centre: ``(B, C)`` means of the windows seen, see :class:`LevelForecast`.
        levels_ahead: ``(D + H - 1, N, C)``, sessions from the one after the first day on; NaN = absent.
        path_deviation: ``(C,)``, typical deviation of a day from the mean of its window.
        horizon: Sessions foreseen ``H``.
    """
    ahead = levels_ahead.unfold(0, horizon, 1).flatten(0, 1)  # (D*N, C, H)
    path = (ahead - centre.unsqueeze(-1)) / path_deviation.unsqueeze(-1)
    known = path.isfinite().all(dim=-1)
    return ComingLevels(torch.where(known.unsqueeze(-1), path, 0.0), known)


def fan_loss(main: Tensor, residual: Tensor, coming: ComingLevels, top_k: int) -> Tensor:
    r"""Error of both forecasts, :math:`\|\hat y_{main} - y_{main}\|^2 + \|\hat y_{res} - y_{res}\|^2`.

    ``(y_main, y_res)`` is the split of the coming sessions by *their* strongest frequencies (Ye et al.
    2024, section 3.3).

    Args:
        main: ``(B, C, H)`` foreseen main part.
        residual: ``(B, C, H)`` foreseen residual part.
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
        mean: ``(B, C, M)`` foreseen means of the coming slices.
        deviation: ``(B, C, M)`` foreseen standard deviations.
        coming: What came; windows that are not known do not count and give no gradient.
        slice_length: Sessions of a slice; sessions beyond ``M`` slices are not looked at.

    Returns:
        Scalar, a mean over windows, channels and slices; 0 where nothing is known.
    """
    slices = mean.size(-1)
    _, true_mean, true_deviation = slice_statistics(coming.path[..., : slices * slice_length], slices)
    return _mean_square(mean, true_mean, coming.known) + _mean_square(deviation, true_deviation, coming.known)


def _mean_square(forecast: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    error = torch.where(known.unsqueeze(-1), forecast.float() - truth, 0.0).square().mean(dim=-1)
    return error.sum() / known.sum().clamp_min(1)
