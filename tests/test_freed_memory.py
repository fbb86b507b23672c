"""Freed memory goes back to the system, or is kept while a model trains, where the C library can do that."""

import platform
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gogooku_kedro import freed_memory
from gogooku_kedro.freed_memory import freed_memory_kept

MIB = 1024**2
on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def resident() -> float:
    """Memory of this process in MiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in status if line.startswith("VmRSS"))) / 1024


def test_all_free_memory_is_given_back(monkeypatch):
    given_back = []
    library = SimpleNamespace(malloc_trim=given_back.append, mallopt=None)
    monkeypatch.setattr(freed_memory.sys, "platform", "linux")
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: library)
    freed_memory.give_back()
    assert given_back == [0]


def test_another_system_or_c_library_is_left_alone(monkeypatch):
    opened = []
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: opened.append(name) or SimpleNamespace())
    monkeypatch.setattr(freed_memory.sys, "platform", "linux")
    assert freed_memory.glibc() is None
    freed_memory.give_back()
    assert opened == [None, None]
    monkeypatch.setattr(freed_memory.sys, "platform", "win32")
    freed_memory.give_back()
    assert opened == [None, None]


@on_glibc
def test_freed_memory_stays_while_the_context_is_open_and_goes_at_its_end():
    before = resident()
    torch.ones(200 * MIB // 4)
    assert resident() < before + 20  # as ever
    with freed_memory_kept() as kept:
        assert kept
        torch.ones(200 * MIB // 4)
        assert resident() > before + 100  # some of it may be memory that was free before
    assert resident() < before + 20


@on_glibc
def test_memory_goes_back_after_an_error_too():
    before = resident()
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        _ = len(torch.ones(200 * MIB // 4)) // 0
    assert resident() < before + 20


def test_on_other_c_libraries_nothing_changes(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    with freed_memory_kept() as kept:
        assert not kept
