"""Time alternatives in turn and report medians, so that a machine that slows down slows both."""

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def in_turn(first: Callable[[], object], second: Callable[[], object], repeats: int = 5) -> dict[str, float]:
    """Run both `repeats` times in turn after one warm-up.

    Returns:
        Median seconds of each, and the median over pairs of `second / first`.
    """
    pairs = []
    first(), second()
    for _ in range(repeats):
        pairs.append((_seconds(first), _seconds(second)))
    return {
        "seconds": round(statistics.median(a for a, _ in pairs), 4),
        "reference_seconds": round(statistics.median(b for _, b in pairs), 4),
        "times_faster": round(statistics.median(b / a for a, b in pairs), 2),
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def peak_gib() -> float:
    """Peak memory of this process in GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2)


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """Print the rows and keep them beside the machine in `benchmarks/results`."""
    RESULTS.mkdir(exist_ok=True)
    result = {"machine": machine(), "peak_gib": peak_gib(), "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2))
    print(f"\n{name}: {result['machine']}, peak {result['peak_gib']} GiB")
    for row in rows:
        print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
