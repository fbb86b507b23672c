"""Choose the device and the precision a run trains with, and say so."""

from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]


def resolve_device(device: str, devices: int = 1) -> str:
    """Turn `training.device` into `cpu` or `cuda`.

    Args:
        device: `auto` takes CUDA when there is one; `cpu` and `cuda` are taken at their word.
        devices: Number of processes, one a device; on the CPU any number.

    Raises:
        ValueError: If `cuda` is asked for and there is none, or there are fewer than `devices`.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError(
            "training.device: cuda, but PyTorch sees no CUDA device; set training.device: auto (or cpu), "
            "or install a CUDA build of torch and a driver"
        )
    if not available or device == "cpu":
        return "cpu"
    if devices > torch.cuda.device_count():
        raise ValueError(
            f"training.devices: {devices}, but PyTorch sees {torch.cuda.device_count()} CUDA device(s); set "
            f"training.devices: {torch.cuda.device_count()}, or training.device: cpu"
        )
    return "cuda"


def resolve_precision(precision: str, device: str) -> Precision:
    """Turn `training.precision` into Lightning's name: `auto` is bf16 on CUDA and float32 on CPU."""
    if precision == "auto":
        return "bf16-mixed" if device == "cuda" else "32-true"
    return "bf16-mixed" if precision == "bf16-mixed" else "32-true"


def describe_device(device: str, devices: int = 1) -> str:
    """Name the device for logs and reports, with the number of processes where there are several."""
    name = f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else "cpu"
    return f"{devices} x {name}" if devices > 1 else name
