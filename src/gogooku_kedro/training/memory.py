"""Large tensors on the CPU without asking the operating system for their memory in every step."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``."""
NEVER, DEFAULT_TRIM, DEFAULT_MMAPS = 2**31 - 1, 64 * 1024**2, 65536
"""Trim at 2 GiB of free memory at the top only; what glibc's own adjustment ends at; its default."""


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Keep freed memory for the next allocation while the context is open, and give it back at its end.

    glibc maps a block of more than 32 MiB anew for every tensor and unmaps it when the tensor goes; the
    kernel then clears every page of it in every training step. ``benchmarks/training_step.py`` measures what
    that costs. On other C libraries nothing changes.

    Yields:
        Whether the C library has such a setting.
    """
    libc = ctypes.CDLL(None)
    kept = hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")
    if kept:
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield kept
    finally:
        if kept:
            libc.mallopt(MMAP_MAX, DEFAULT_MMAPS)
            libc.mallopt(TRIM_THRESHOLD, DEFAULT_TRIM)
            libc.malloc_trim(0)
