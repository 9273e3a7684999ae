"""Programs keep freed memory where the system's C library can be asked to, and their threads sleep."""

import ctypes
import os
import platform

import pytest

from liveportrait.process import keep_freed_memory, settle_process


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


@pytest.mark.parametrize("before", [None, "ACTIVE"])
def test_threads_sleep_while_they_wait_unless_told_otherwise(monkeypatch, before):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if before:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    settle_process()
    assert os.environ.pop("OMP_WAIT_POLICY") == (before or "PASSIVE")


def test_threads_of_a_training_spin_before_they_sleep(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # restored at the end
        monkeypatch.delenv(name)
    settle_process()
    assert "GOMP_SPINCOUNT" not in os.environ
    settle_process(training=True)
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE" and 0 < int(os.environ["GOMP_SPINCOUNT"]) < 100_000
