"""Memory that a process has freed and its C library keeps for the next allocation."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`."""
NEVER, DEFAULT_TRIM, DEFAULT_MMAPS = 2**31 - 1, 64 * 1024**2, 65536
"""Trim at 2 GiB of free memory at the top only; what glibc's own adjustment ends at; its default."""


def glibc() -> ctypes.CDLL | None:
    """Return glibc, whose settings of allocation can be changed; None on other systems and C libraries."""
    if sys.platform != "linux":
        return None  # elsewhere, on Windows for one, a process cannot be opened as a library
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def give_back() -> None:
    """Give freed memory back to the system. glibc keeps pieces below 32 MiB: of LightGBM's bins, gigabytes."""
    libc = glibc()
    if libc is not None:
        libc.malloc_trim(0)


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Keep freed memory for the next allocation while the context is open, and give it back at its end.

    glibc maps a block of more than 32 MiB anew for every tensor and unmaps it when the tensor goes; the
    kernel then clears every page of it in every training step. `benchmarks/training_step.py` measures what
    that costs. On other systems and C libraries nothing changes.

    Yields:
        Whether the C library has such a setting.
    """
    libc = glibc()
    if libc is not None:
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield libc is not None
    finally:
        if libc is not None:
            libc.mallopt(MMAP_MAX, DEFAULT_MMAPS)
            libc.mallopt(TRIM_THRESHOLD, DEFAULT_TRIM)
            libc.malloc_trim(0)
