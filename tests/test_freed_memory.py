"""Freed memory goes back to the system where the C library can do that, and elsewhere nothing happens."""

from types import SimpleNamespace

from gogooku_kedro import freed_memory


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
