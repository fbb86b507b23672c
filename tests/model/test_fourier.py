"""The Fourier transform of FAN as products with real matrices, against `torch.fft`."""

import pytest
import torch

from gogooku_kedro.model.fan import fourier_matrices, split_by_frequency

lengths = pytest.mark.parametrize("length", [1, 2, 8, 9, 20, 60])


@lengths
def test_the_matrices_are_the_transform_and_its_inverse(length):
    x = torch.randn(7, length, generator=torch.Generator().manual_seed(0))
    forward, inverse = fourier_matrices(length, x)
    spectrum = torch.fft.rfft(x)
    torch.testing.assert_close(x @ forward, torch.cat([spectrum.real, spectrum.imag], dim=1), rtol=0, atol=1e-5)
    torch.testing.assert_close(x @ forward @ inverse, x, rtol=0, atol=1e-5)


@lengths
def test_the_split_is_that_of_the_complex_transform(length):
    x = torch.randn(5, 3, length, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    top_k = min(3, length // 2 + 1)
    main, residual = split_by_frequency(x, top_k)
    spectrum = torch.fft.rfft(x, dim=-1)
    strongest = spectrum.abs().topk(top_k, dim=-1).indices
    kept = torch.zeros_like(spectrum.real).scatter_(-1, strongest, 1.0)
    expected = torch.fft.irfft(spectrum * kept, n=length, dim=-1)
    torch.testing.assert_close(main, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(main + residual, x)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (ours,) = torch.autograd.grad((main * weights).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    single, _ = split_by_frequency(x.float(), top_k)
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5)


def test_the_split_is_in_float32_under_autocast():
    x = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        main, _ = split_by_frequency(x, 3)
    torch.testing.assert_close(main, split_by_frequency(x, 3)[0], rtol=0, atol=0)
