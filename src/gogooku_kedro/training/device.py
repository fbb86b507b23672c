"""Choose the device and the precision a run trains with, and say so."""

from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]


def resolve_device(device: str) -> str:
    """Turn ``training.device`` into ``cpu`` or ``cuda``.

    Args:
        device: ``auto`` takes CUDA when there is one; ``cpu`` and ``cuda`` are taken at their word.

    Raises:
        ValueError: If ``cuda`` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError(
            "training.device: cuda, but PyTorch sees no CUDA device; set training.device: auto (or cpu), "
            "or install a CUDA build of torch and a driver"
        )
    return "cuda" if available and device != "cpu" else "cpu"


def resolve_precision(precision: str, device: str) -> Precision:
    """Turn ``training.precision`` into Lightning's name: ``auto`` is bf16 on CUDA and float32 on CPU."""
    if precision == "auto":
        return "bf16-mixed" if device == "cuda" else "32-true"
    return "bf16-mixed" if precision == "bf16-mixed" else "32-true"


def describe_device(device: str) -> str:
    """Name the device for logs and reports."""
    return f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else "cpu"
