"""Handle Ctrl-C and SIGTERM."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any, NoReturn

_ALARM = getattr(signal, "SIGALRM", None)
_TIDYING_SECONDS = 10.0
"""Time for cleanup after an interruption, during which further ones are ignored."""
_CLOCK_SECONDS = 0.1
"""Interval of checks whether an interruption has to be raised again, because it was delayed or swallowed."""
_NATIVE_IMPORTS = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


def leave_at_once(code: int) -> NoReturn:
    """End this process without waiting for threads."""
    gc.collect()  # closes unfinished generators, which clean up
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Interruption:
    """A signal handler that raises KeyboardInterrupt, but not during the cleanup after an earlier one.

    Attributes:
        code: The exit code; 0 if there was no signal.
    """

    def __init__(self, own_process: bool) -> None:
        self.code = 0
        self._own_process = own_process
        self._first, self._stopped = 0.0, False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal, or the timer that checks whether an earlier signal was handled."""
        if not self.code:
            self.code, self._first = 128 + number, time.monotonic()
            if self._own_process and _ALARM:
                signal.setitimer(signal.ITIMER_REAL, _CLOCK_SECONDS, _CLOCK_SECONDS)
        patient = number == _ALARM or time.monotonic() < self._first + _TIDYING_SECONDS
        if not (self._stopped or (patient and _is_tidying()) or (self._own_process and _imports_native_code(frame))):
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Stop raising."""
        self._stopped = True
        if self._own_process and _ALARM:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def note_lost(self, lost: Any) -> None:
        """Ignore an interruption lost in a destructor or a callback, since it is raised again."""
        if not (self.code and issubclass(lost.exc_type, KeyboardInterrupt)):
            sys.__unraisablehook__(lost)


def _is_tidying() -> bool:
    """Return whether an interruption is being handled."""
    error = sys.exc_info()[1]
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _imports_native_code(frame: FrameType | None) -> bool:
    """Return whether a native module or PyTorch is being imported, when an exception in C++ could abort the process."""
    while frame:
        is_torch = frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__", "").startswith("torch")
        if is_torch or frame.f_code in _NATIVE_IMPORTS:
            return True
        frame = frame.f_back
    return False


@contextmanager
def handle_signals(own_process: bool) -> Iterator[Interruption]:
    """End the program cleanly on Ctrl-C or SIGTERM, unless they were ignored before."""
    interruption = Interruption(own_process)
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler not in {None, signal.SIG_IGN}}
    for number in before:
        signal.signal(number, interruption)
    hook = sys.unraisablehook
    if own_process:
        sys.unraisablehook = interruption.note_lost
        if _ALARM:
            signal.signal(_ALARM, interruption)
    try:
        yield interruption
    finally:
        interruption.stop()
        sys.unraisablehook = hook
        if not own_process:
            for number, handler in before.items():
                signal.signal(number, handler)
        elif not interruption.code:  # finished: further signals may end it at once
            for number in before:
                signal.signal(number, signal.SIG_DFL)
