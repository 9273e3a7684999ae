"""Blinks and glances, drawn frame by frame, so that streaming does not change them."""

from __future__ import annotations

import random

from audio2motion.config import FRAME_RATE

# Eye openness per frame relative to the open eye. Lids close within two or three frames and open more slowly.
BLINKS = ((0.4, 0.0, 0.45), (0.45, 0.0, 0.15, 0.7), (0.5, 0.0, 0.0, 0.4, 0.85), (0.6, 0.1, 0.0, 0.25, 0.65, 0.92))
BLINK_SHARES = (1, 4, 4, 2)
SHORTEST_GAP_SECONDS = 0.9
MEAN_GAP_SECONDS = 3.8
DOUBLE_SHARE = 0.12
FURTHEST_GLANCE_DEG = 8.0


class Blinks:
    """Draws random blinks.

    Args:
        seed: Random seed.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._lids: list[float] = []
        self._wait = self._gap() * self._random.uniform(0.3, 1.0)

    def _gap(self) -> float:
        """Draw the number of frames until the next blink from a shifted gamma distribution."""
        more = self._random.gammavariate(2.0, (MEAN_GAP_SECONDS - SHORTEST_GAP_SECONDS) / 2.0)
        return (SHORTEST_GAP_SECONDS + more) * FRAME_RATE

    def next(self, pause: float, glanced: bool) -> float:
        """Return the eye openness of the next frame.

        Args:
            pause: Degree of silence, 0 to 1; blinks are more frequent in pauses.
            glanced: Whether a gaze shift just began; it often triggers a blink.
        """
        self._wait -= 0.9 + 0.25 * pause
        if glanced and not self._lids and self._wait < FRAME_RATE:
            self._wait = 0.0
        if self._wait <= 0 and not self._lids:
            self._lids = list(self._random.choices(BLINKS, BLINK_SHARES)[0])
            self._wait = 8.0 if self._random.random() < DOUBLE_SHARE else self._gap()
        return self._lids.pop(0) if self._lids else 1.0


class Glances:
    """Draws gaze directions: mostly at the viewer, with short glances aside.

    Args:
        seed: Random seed.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._at = self._target = (0.0, 0.0)
        self._wait = self._random.uniform(1.0, 2.0) * FRAME_RATE

    def next(self) -> tuple[float, float, bool]:
        """Return the next frame's gaze in degrees (right, down), and whether a large gaze shift began."""
        self._wait -= 1
        jumped = False
        if self._wait <= 0:
            before = self._target
            self._target = self._draw()
            self._wait = (0.4 + self._random.expovariate(0.9)) * FRAME_RATE
            jumped = abs(self._target[0] - before[0]) > 3.0
        x, y = (0.75 * t + 0.25 * a for t, a in zip(self._target, self._at, strict=True))
        self._at = (x, y)
        return x, y, jumped

    def _draw(self) -> tuple[float, float]:
        aside = self._random.random() < 0.3
        x, y = self._random.gauss(0, 4.5 if aside else 0.7), self._random.gauss(0, 2.2 if aside else 0.5)
        return tuple(max(-FURTHEST_GLANCE_DEG, min(FURTHEST_GLANCE_DEG, v)) for v in (x, y))  # type: ignore[return-value]
