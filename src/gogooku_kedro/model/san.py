"""Slice-adaptive normalisation: normalise a window slice by slice and hand the statistics on."""

import torch
from torch import Tensor, nn

SD_FLOOR = 0.05
"""Smallest slice standard deviation, in units of the channel's scale: a halted stock has constant slices."""


def slice_statistics(x: Tensor, slices: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""Normalise windows over ``slices`` equal, non-overlapping slices that cover every day.

    :math:`\tilde x_m = (x_m - \mu_m)/\sigma_m` with mean and (floored) standard deviation of slice ``m``.
    From Liu et al., "Adaptive Normalization for Non-stationary Time Series" (NeurIPS 2023), eq. 1.

    Args:
        x: ``(..., L)`` windows with ``L`` a multiple of ``slices``.
        slices: Number of slices ``M``.

    Returns:
        The normalised windows ``(..., L)``, the means and the standard deviations ``(..., M)``.

    Raises:
        ValueError: If ``slices`` does not divide the window.
    """
    if x.size(-1) % slices:
        raise ValueError(
            f"model.san.slices: {slices} does not divide the window of {x.size(-1)} sessions; "
            f"choose a divisor, so that the last day is covered too"
        )
    parts = x.unflatten(-1, (slices, -1))  # (..., M, P)
    mean = parts.mean(dim=-1)
    deviation = (parts.var(dim=-1) + SD_FLOOR**2).sqrt()
    normalised = (parts - mean.unsqueeze(-1)) / deviation.unsqueeze(-1)
    return normalised.flatten(-2), mean, deviation


class SliceAdaptiveNorm(nn.Module):
    r"""SAN on level-like channels, with its statistics predictor, as an encoder of the window.

    Two small networks shared by the channels foresee the statistics of the coming ``slices`` slices from
    the past ones (Liu et al. 2023, section 3.2):
    :math:`\hat\mu = \mathrm{MLP}_\mu([\mu_m - \bar x; x - \bar x]) + \bar x`,
    :math:`\hat\sigma = \mathrm{softplus}(\mathrm{MLP}_\sigma([\sigma_m; x]))`.
    Normalised window, past statistics and foreseen statistics are all handed on.

    Args:
        n_channels: Number of level-like channels ``C``.
        window: Length of the window ``L`` in sessions.
        slices: Number of slices ``M``; must divide ``window``.
        predictor_size: Hidden width of the predictors.
        hidden_size: Width of the output.

    Shapes:
        - **x**: ``(B, C, L)``
        - **output**: ``(B, hidden_size)``
    """

    def __init__(
        self, n_channels: int, window: int, slices: int, predictor_size: int, hidden_size: int
    ) -> None:
        super().__init__()
        self.slices = slices
        self.mean_forecast = _mlp(slices + window, predictor_size, slices)
        self.deviation_forecast = _mlp(slices + window, predictor_size, slices)
        self.out = nn.Linear(n_channels * (window + 4 * slices), hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode the normalised window together with its past and foreseen statistics."""
        normalised, mean, deviation = slice_statistics(x, self.slices)
        centre = x.mean(dim=-1, keepdim=True)
        coming_mean = self.mean_forecast(torch.cat([mean - centre, x - centre], dim=-1)) + centre
        coming_deviation = nn.functional.softplus(self.deviation_forecast(torch.cat([deviation, x], dim=-1)))
        parts = [normalised, mean, deviation.log(), coming_mean, coming_deviation]
        out: Tensor = self.out(torch.cat(parts, dim=-1).flatten(1))
        return out


def _mlp(in_features: int, hidden: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, out_features))
