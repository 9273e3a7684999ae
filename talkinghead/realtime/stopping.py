"""End a live session at Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from talkinghead.media.video import VideoFrame


class Stop:
    """Lets a signal end a session normally once it has frames; earlier ones, and a second one, interrupt as usual."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._is_set = self._waits = False

    def __enter__(self) -> Stop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def arm(self) -> None:
        """Let the next signal end the session normally; in other threads than the main one this is impossible."""
        if self._is_set or self._before or threading.current_thread() is not threading.main_thread():
            return
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self._before:
            signal.signal(number, self._handle)

    def next_frame(self, frames: Iterator[VideoFrame]) -> VideoFrame | None:
        """Wait for the next frame; return None at the end of the input or after a signal.

        Raises:
            KeyboardInterrupt: A signal came before there were frames.
        """
        if self._is_set:
            return None
        try:
            self._waits = True
            return next(frames, None)
        except KeyboardInterrupt:
            if not self._is_set:
                raise
            return None
        finally:
            self._waits = False

    def _handle(self, *_: object) -> None:
        self._is_set = True
        self._restore()
        if self._waits:
            raise KeyboardInterrupt

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
