"""Slice-adaptive normalisation: normalise a window slice by slice and hand the statistics on."""

import torch
from torch import Tensor, nn

SD_FLOOR = 0.05
"""Smallest slice standard deviation, in units of the channel's scale: a halted stock has constant slices."""


def slice_statistics(x: Tensor, slices: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""Normalise windows over `slices` equal, non-overlapping slices that cover every session.

    :math:`\tilde x_m = (x_m - \mu_m)/\sigma_m` with mean and (floored) standard deviation of slice `m`.
    From Liu et al., "Adaptive Normalization for Non-stationary Time Series" (NeurIPS 2023), eq. 1.

    Args:
        x: `(..., L)` windows with `L` a multiple of `slices`.
        slices: Number of slices `M`.

    Returns:
        The normalised windows `(..., L)`, the means and the standard deviations `(..., M)`.

    Raises:
        ValueError: If `slices` does not divide the window.
    """
    if x.size(-1) % slices:
        raise ValueError(
            f"model.san.slices: {slices} does not divide the window of {x.size(-1)} sessions; "
            f"choose a divisor, so that the last day is covered too"
        )
    parts = x.unflatten(-1, (slices, -1))  # (..., M, P)
    mean = parts.mean(dim=-1)
    centred = parts - mean.unsqueeze(-1)
    # torch.var over so few sessions takes three times as long
    variance = centred.square().sum(dim=-1) / (parts.size(-1) - 1)
    deviation = (variance + SD_FLOOR**2).sqrt()
    normalised = centred / deviation.unsqueeze(-1)
    return normalised.flatten(-2), mean, deviation


class SliceAdaptiveNorm(nn.Module):
    r"""SAN on raw price channels, with its statistics predictor, as an encoder of the window.

    Two small networks shared by the channels foresee the statistics of the coming slices from the past ones
    (Liu et al. 2023, section 3.2), with one pair of weights per channel that starts at 1:

    .. math::
        \hat\mu = w_0\,\mathrm{MLP}_\mu([\mu_m - \bar x; x - \bar x]) + w_1\,\bar x, \qquad
        \hat\sigma = \mathrm{softplus}(\mathrm{MLP}_\sigma([\sigma_m; x]))

    Here the window comes without its mean, :math:`x - \bar x`, and :math:`\hat\mu - \bar x` is returned;
    :math:`\bar x` in :math:`(w_1 - 1)\,\bar x` is the `level`, so that :math:`w_1 < 1` foresees a return
    to the channel's mean. The paper's relu around the deviation is a softplus: where a relu is shut it has
    no gradient, and a network that once foresees no deviation anywhere would never learn again.
    Normalised window, past statistics and foreseen statistics are all handed on.

    Args:
        n_channels: Number of raw price channels `C`.
        window: Length of the window `L` in sessions.
        slices: Number of slices `M`; must divide `window`.
        predictor_size: Hidden width of the predictors, for statistics and for sessions each.
        horizon: Sessions to foresee; as many whole slices `M_f` as fit are.
        hidden_size: Width of the output.

    Shapes:
        - **x**: `(B, C, L)`, a window less its mean
        - **level**: `(B, C)`, the mean of the window in units of the channel's deviation
        - **output**: `(B, hidden_size)`, the means and deviations of the coming slices `(B, C, M_f)`
    """

    def __init__(
        self,
        n_channels: int,
        window: int,
        slices: int,
        predictor_size: int,
        horizon: int,
        hidden_size: int,
    ) -> None:
        super().__init__()
        self.slices, self.slice_length = slices, window // slices
        coming = horizon // self.slice_length
        self.mean_forecast = StatisticPredictor(slices, window, predictor_size, coming, nn.Tanh())
        self.deviation_forecast = StatisticPredictor(slices, window, predictor_size, coming, nn.ReLU())
        self.weight = nn.Parameter(torch.ones(2, n_channels))  # w_0, w_1
        self.out = nn.Linear(n_channels * (window + 2 * slices + 2 * coming), hidden_size)

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the normalised window with its past and foreseen statistics; return the latter too."""
        normalised, mean, deviation = slice_statistics(x, self.slices)
        drift = (self.weight[1] - 1) * level  # (B, C)
        coming_mean = self.weight[0].unsqueeze(-1) * self.mean_forecast(mean, x) + drift.unsqueeze(-1)
        coming_deviation = nn.functional.softplus(self.deviation_forecast(deviation, x))
        parts = [normalised, mean, deviation.log(), coming_mean, coming_deviation]
        return self.out(torch.cat(parts, dim=-1).flatten(1)), coming_mean, coming_deviation


class StatisticPredictor(nn.Module):
    """Foresee a statistic of the coming slices from that of the past ones and from the sessions themselves.

    Statistics and sessions each have a first layer of their own; the second one reads both (Liu et al. 2023,
    section 3.2).

    Args:
        slices: Number of past slices `M`.
        window: Sessions of the window `L`.
        predictor_size: Width of either first layer.
        coming: Number of slices to foresee `M_f`.
        activation: Between the layers: the paper takes tanh for means and relu for deviations.

    Shapes:
        - **statistic**: `(*, M)`
        - **x**: `(*, L)`
        - **output**: `(*, M_f)`
    """

    def __init__(self, slices: int, window: int, predictor_size: int, coming: int, activation: nn.Module) -> None:
        super().__init__()
        self.of_slices = nn.Linear(slices, predictor_size)
        self.of_days = nn.Linear(window, predictor_size)
        self.activation = activation
        self.out = nn.Linear(2 * predictor_size, coming)

    def forward(self, statistic: Tensor, x: Tensor) -> Tensor:
        """Return the statistic of the coming slices."""
        both = torch.cat([self.of_slices(statistic), self.of_days(x)], dim=-1)
        out: Tensor = self.out(self.activation(both))
        return out
