"""Handle Ctrl-C and SIGTERM, and end the process."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any

_ALARM = getattr(signal, "SIGALRM", None)
_TIDYING_SECONDS = 10.0
"""Time for cleanup after an interruption, during which further ones are ignored."""
_CLOCK_SECONDS = 0.1
"""Interval of checks whether an interruption has to be raised again, because it was delayed or swallowed."""
_NATIVE_IMPORTS = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


def run_interruptible(program: Callable[[], object], *, own_process: bool, message: str = "") -> None:
    """Run a program that Ctrl-C and SIGTERM end cleanly, with exit code 130 or 143, unless they were ignored before.

    Args:
        program: What to run.
        own_process: Whether the process ends with the program, at once and without tearing its modules down; if not,
            its signal handlers are restored.
        message: What to print after an interruption, unless the program has ended itself and said why.

    Raises:
        SystemExit: The program was interrupted, in a process that is not its own.
    """
    code, hook, handlers = 0, sys.unraisablehook, _handlers(own_process)
    interruption, succeeded = _Interruption(own_process), threading.Event()
    for number in handlers:
        signal.signal(number, interruption)
    if own_process:
        # An interruption that is lost in a destructor or a callback is raised again.
        sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else hook(lost)
        # Registered before what others do at exit, so that it comes after them.
        atexit.register(_leave_after, succeeded)
    try:
        program()
        succeeded.set()
    except BaseException as error:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        code = interruption.code or (130 if isinstance(error, KeyboardInterrupt) else 0)
        if not code:
            raise
        if not isinstance(error, SystemExit):
            sys.stderr.write(message)
    finally:
        sys.unraisablehook = hook
        if own_process and _ALARM:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not (own_process and code):
            for number, handler in handlers.items():
                signal.signal(number, handler)
    if code and own_process:
        gc.collect()  # closes unfinished generators, which clean up
        _leave_at_once(code)
    if code:
        raise SystemExit(code)


class _Interruption:
    """A signal handler that raises KeyboardInterrupt, but not during the cleanup after an earlier one.

    Attributes:
        code: The exit code; 0 if there was no signal.
    """

    def __init__(self, own_process: bool) -> None:
        self.code = 0
        self._own_process, self._first = own_process, 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal, or the timer that checks whether an earlier signal was handled."""
        if not self.code:
            self.code, self._first = 128 + number, time.monotonic()
            if self._own_process and _ALARM:
                signal.setitimer(signal.ITIMER_REAL, _CLOCK_SECONDS, _CLOCK_SECONDS)
        patient = number == _ALARM or time.monotonic() < self._first + _TIDYING_SECONDS
        if not (patient and _is_tidying()) and not (self._own_process and _imports_native_code(frame)):
            raise KeyboardInterrupt


def _handlers(own_process: bool) -> dict[signal.Signals, Any]:
    """Return the signals to be handled, which only the main thread can do, and the handlers to be set afterwards."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler not in {None, signal.SIG_IGN}}
    if not own_process:
        return before
    alarm = [_ALARM] if _ALARM else []
    return dict.fromkeys([*before, *alarm], signal.SIG_DFL)  # after its end, signals may end the process at once


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


def _leave_after(succeeded: threading.Event) -> None:
    """End this process at once after success, unless output cannot be flushed, which Python reports."""
    with suppress(OSError, ValueError):
        if succeeded.is_set():
            _leave_at_once(0)


def _leave_at_once(code: int) -> None:
    """End this process without waiting for threads or tearing modules down, which takes long with PyTorch."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
