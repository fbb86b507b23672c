"""Memory of freed tensors is kept while a model trains, and given back afterwards."""

import platform
from pathlib import Path

import pytest
import torch

from gogooku_kedro.training.device import freed_memory_kept

MIB = 1024**2
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def resident() -> float:
    """Memory of this process in MiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in status if line.startswith("VmRSS"))) / 1024


@glibc
def test_freed_memory_stays_while_the_context_is_open_and_goes_at_its_end():
    before = resident()
    torch.ones(200 * MIB // 4)
    assert resident() < before + 20  # as ever
    with freed_memory_kept() as kept:
        assert kept
        torch.ones(200 * MIB // 4)
        assert resident() > before + 180
    assert resident() < before + 20


@glibc
def test_memory_goes_back_after_an_error_too():
    before = resident()
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        _ = len(torch.ones(200 * MIB // 4)) // 0
    assert resident() < before + 20


def test_on_other_c_libraries_nothing_changes(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    with freed_memory_kept() as kept:
        assert not kept
