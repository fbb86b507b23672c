"""Frequency-adaptive normalisation: split a window into its main frequencies and the rest, keep both."""

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

    Returns:
        The main part and the residual, each `(..., L)`.
    """
    spectrum = torch.fft.rfft(x.float(), dim=-1)
    strongest = spectrum.abs().topk(top_k, dim=-1).indices
    kept = torch.zeros_like(spectrum.real).scatter(-1, strongest, 1.0)
    main = torch.fft.irfft(spectrum * kept, n=x.size(-1), dim=-1).to(x.dtype)
    return main, x - main


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
