"""Keep live frames on the clock."""

from __future__ import annotations

from fractions import Fraction

MOST_LATE = 1.0
"""Seconds that frames may be late; if the consumer or the machine pauses for longer, the clock pauses too."""

MOST_AHEAD = 2
"""Most frames that are computed at the same time, each on a core."""

_NEARLY = 0.8
"""Share of a frame's time from which two are computed at the same time."""

_MEMORY = 0.2
"""Weight of the newest frame in the average cost."""


class Pacer:
    """Tells when frames are due, and which ones repeat the picture before them so that the others come in time.

    Due times are counted from the first frame, so errors of single frames do not add up.

    Args:
        fps: Frames per second.
    """

    def __init__(self, fps: Fraction) -> None:
        self._period, self._start, self._count, self._cost = 1 / float(fps), 0.0, 0, 0.0

    def wait(self, now: float) -> float:
        """Count a frame that is ready and return the seconds until it is due; 0 if it is late."""
        if not self._count:
            self._start = now
        late = now - self._due()
        self._start += max(late - MOST_LATE, 0.0)
        self._count += 1
        return max(-late, 0.0)

    def frames_ahead(self) -> int:
        """Return how many frames should be computed at the same time."""
        return MOST_AHEAD if self._cost > _NEARLY * self._period else 1

    def skips(self, now: float, waiting: int = 0) -> bool:
        """Tell whether the next frame cannot be rendered in time, because rendering is slower than the frame rate.

        Args:
            now: The time.
            waiting: How many frames before it are being computed.
        """
        late = now > self._due() + waiting * self._period
        return self._count > 0 and late and self._cost > self._period * self.frames_ahead()

    def rendered(self, seconds: float) -> None:
        """Learn how long a frame took from when it was asked for."""
        self._cost += (seconds - self._cost) * (_MEMORY if self._cost else 1.0)

    def _due(self) -> float:
        return self._start + self._count * self._period
