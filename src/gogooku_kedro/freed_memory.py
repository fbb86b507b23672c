"""Memory that a process has freed and its C library keeps for the next allocation."""

import ctypes
import sys


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
