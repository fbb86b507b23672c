"""The machine a run trains on: its device, its precision and its memory."""

import logging
from typing import Literal

import psutil
import torch

from gogooku_kedro.params import TrainingParams

logger = logging.getLogger(__name__)

Precision = Literal["bf16-mixed", "32-true"]

GIB = 1024**3


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


def resolve_cuda_graphs(training: TrainingParams, watched: bool = False, say: bool = False) -> bool:
    """Return whether the training steps of a model are recorded and replayed as CUDA graphs (`training.cuda_graphs`).

    Args:
        training: Settings of the training.
        watched: Whether every step is logged, whose figures the host has to wait for.
        say: Log why not, where it was not asked for.
    """
    if training.cuda_graphs is False or resolve_device(training.device) != "cuda":
        return False
    obstacles = {
        "training.devices is above 1": training.devices > 1,
        "training.accumulate is above 1": training.accumulate > 1,
        "debug.gat_verbose logs every step": watched,
        "training.loss.pairwise_weight draws its pairs on the host": training.loss.pairwise_weight > 0,
    }
    found = [obstacle for obstacle, there in obstacles.items() if there]
    if found and say:
        logger.info("no CUDA graphs: %s", "; ".join(found))
    return not found


def resolve_seeds_together(training: TrainingParams, needed: int) -> bool:
    """Return whether the models of several seeds train in one loop.

    `auto` does so on CUDA, where the kernels of one small model leave most of the device idle, if their passes fit into
    half of the memory that is free; and not on the CPU, where one model after the other takes no longer
    (`docs/gpu.md`). With several processes each model has them all.

    Args:
        training: Settings of the training.
        needed: Bytes that one model keeps for the backward pass, an estimate.
    """
    wanted, seeds = training.seeds_together, len(training.all_seeds())
    if seeds == 1:
        return False
    if training.devices > 1:
        if wanted is True:
            logger.info("training.seeds_together: true, but training.devices is %d: in turn", training.devices)
        return False
    if wanted != "auto":
        return wanted
    if resolve_device(training.device) != "cuda":
        return False
    return seeds * needed <= free_memory() / 2


def resolve_processes(training: TrainingParams, models: int, needed: int) -> int:
    """Return how many models train at a time, each in a process of its own; 1 is this process, one after the other.

    `auto` is one for every thread that PyTorch has here, as far as half of the free memory allows: the operators of a
    small model are too short to be shared out among threads. A look at a few batches is not worth a new process.

    Args:
        training: Settings of the training.
        models: Models to be trained.
        needed: Bytes that one process holds, an estimate.
    """
    if training.devices > 1 or resolve_device(training.device) == "cuda":
        return 1
    if training.processes != "auto":
        return min(training.processes, models)
    if training.max_batches is not None:
        return 1
    room = int(psutil.virtual_memory().available / 2 // needed)
    return max(1, min(models, torch.get_num_threads(), room))


def resolve_market_memory(training: TrainingParams, device: str, needed: int) -> Literal["device", "host"]:
    """Turn `training.market_memory` into where the market lies while a model trains.

    Args:
        training: Settings of the training. `auto` streams from the host what takes more than half of the memory
            that is free on a CUDA device; the other half is for the passes.
        device: `cpu` or `cuda`; on the CPU both are one memory.
        needed: Bytes of the market.
    """
    if training.market_memory != "auto":
        return training.market_memory
    if device == "cpu" or needed <= free_memory() / 2:
        return "device"
    logger.info(
        "the market of %.1f GiB stays in host memory: %.1f GiB of the device are free",
        needed / GIB,
        free_memory() / GIB,
    )
    return "host"


def free_memory() -> int:
    """Bytes of the CUDA device that are free."""
    return int(torch.cuda.mem_get_info()[0])


def describe_device(device: str, devices: int = 1) -> str:
    """Name the device for logs and reports, with the number of processes where there are several."""
    name = f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else "cpu"
    return f"{devices} x {name}" if devices > 1 else name
