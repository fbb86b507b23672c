"""Frequency-adaptive normalisation: split a window into its main frequencies and the rest, keep both."""

import math

import torch
from torch import Tensor, nn


def split_by_frequency(x: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    r"""Split windows into their `top_k` strongest frequencies and the residual.

    `x_main = irFFT(rFFT(x) * 1_S)` with `S` the `top_k` bins of largest amplitude of each window
    (the constant counts as a bin), `x_residual = x - x_main`: together they are `x` again, on every
    session of the window. From Ye et al., "Frequency Adaptive Normalization" (NeurIPS 2024), eq. 1-3.

    Args:
        x: `(..., L)` windows; any `L`, odd or even.
        top_k: Number of frequency bins in the main part.

    The transforms are products with the real matrices of `fourier_matrices`: windows are short, and a compiler
    cannot join complex numbers and `torch.fft` with what stands around them.

    Returns:
        The main part and the residual, each `(..., L)`.
    """
    with torch.autocast(x.device.type, enabled=False):  # the order of the amplitudes needs float32
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        forward, inverse = fourier_matrices(x.size(-1), values)
        spectrum = (values @ forward).unflatten(-1, (2, -1))  # (..., 2, L // 2 + 1): real and imaginary parts
        amplitude = spectrum.square().sum(dim=-2)
        strongest = amplitude.topk(top_k, dim=-1).indices
        kept = torch.zeros_like(amplitude).scatter(-1, strongest, 1.0)
        main = ((spectrum * kept.unsqueeze(-2)).flatten(-2) @ inverse).to(x.dtype)
    return main, x - main


def fourier_matrices(length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    r"""Discrete Fourier transform of real windows as a product with a matrix, and its inverse.

    With :math:`w_{tk} = 2\pi t k / L` the real parts are :math:`\sum_t x_t \cos w_{tk}`, the imaginary ones
    :math:`-\sum_t x_t \sin w_{tk}`, and back it is :math:`x_t = \frac1L \sum_k c_k (a_k \cos w_{tk} -
    b_k \sin w_{tk})`, where :math:`c_k` counts a frequency twice unless it is 0 or the half of an even `L`.

    Args:
        length: Sessions of a window `L`.
        like: A tensor of the type and on the device of the result.

    Returns:
        `(L, 2 K)` and `(2 K, L)` with `K = L // 2 + 1`; real parts first.
    """
    frequency = torch.arange(length // 2 + 1, device=like.device)
    session = torch.arange(length, device=like.device).unsqueeze(1)
    angle = (session * frequency % length).to(torch.float64) * (2 * math.pi / length)  # (L, K)
    once = (frequency == 0) | (2 * frequency == length)
    twice = 2 - once.to(torch.float64)
    parts = torch.cat([angle.cos(), -angle.sin()], dim=1)  # (L, 2 K)
    return parts.to(like.dtype), (parts.T * (twice.repeat(2) / length).unsqueeze(1)).to(like.dtype)


class FrequencyAdaptiveNorm(nn.Module):
    r"""FAN on raw price channels, with both its forecasts, as an encoder of the window.

    The window is split by `split_by_frequency`. A small network shared by the channels foresees
    the main part of the coming `horizon` sessions,
    :math:`\hat y_{main} = W_3\,\mathrm{relu}(W_2[\mathrm{relu}(W_1 x_{main}); x])`, and a linear map, which
    stands for the paper's backbone, their residual part, :math:`\hat y_{res} = W_4\,x_{res}` (Ye et al.
    2024, section 3.3). Main part, residual and forecasts are *all* handed on: a normaliser that keeps what
    it removes to itself would erase the level differences between stocks.

    Args:
        n_channels: Number of raw price channels `C`.
        window: Length of the window `L` in sessions.
        top_k: Frequency bins in the main part.
        predictor_size: Hidden width of the frequency predictor.
        horizon: Sessions of the forecasts `H`.
        hidden_size: Width of the output.

    Shapes:
        - **x**: `(B, C, L)`
        - **output**: `(B, hidden_size)`, the foreseen main and residual part `(B, C, H)` each
    """

    def __init__(
        self,
        n_channels: int,
        window: int,
        top_k: int,
        predictor_size: int,
        horizon: int,
        hidden_size: int,
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.main_encoder = nn.Sequential(nn.Linear(window, predictor_size), nn.ReLU())
        self.main_forecast = nn.Sequential(
            nn.Linear(predictor_size + window, predictor_size),
            nn.ReLU(),
            nn.Linear(predictor_size, horizon),
        )
        self.residual_forecast = nn.Linear(window, horizon)
        self.out = nn.Linear(2 * n_channels * (window + horizon), hidden_size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode both parts of the window and what they foresee, and return the forecasts."""
        main, residual = split_by_frequency(x, self.top_k)
        coming_main = self.main_forecast(torch.cat([self.main_encoder(main), x], dim=-1))  # (B, C, H)
        coming_residual = self.residual_forecast(residual)
        parts = torch.cat([main, residual, coming_main, coming_residual], dim=-1)
        return self.out(parts.flatten(1)), coming_main, coming_residual
