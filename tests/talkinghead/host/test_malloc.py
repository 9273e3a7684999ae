"""Freed memory is kept where the system's C library can be asked to."""

import ctypes
import platform

import pytest

from talkinghead.host.malloc import keep_freed_memory


class Library:
    def __init__(self, calls):
        self.mallopt = lambda name, value: calls.append((name, value))


@pytest.mark.parametrize(("name", "asked"), [("glibc", 3), ("", 0), ("musl", 0)])
def test_only_glibc_is_asked(monkeypatch, name, asked):
    calls = []
    monkeypatch.setattr(platform, "libc_ver", lambda: (name, "1"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library(calls))
    keep_freed_memory()
    assert len(calls) == asked
