"""Motion of a face that speaks now and then: lips that follow speech, wait for it or rest, and constant idle motion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from liveportrait.motion import SpeechMotion

FADE_IN = 2
"""Frames in which the lips join speech."""

FADE_OUT = 3
"""Frames in which they come to rest: with two frames that may be on their way, 200 ms."""

LONGEST_HOLD = 5
"""Frames for which the lips stay as they are if sound is late; then they come to rest."""

_State: TypeAlias = Literal["speech", "hold", "rest"]


class LiveMotion:
    """Generates one frame of motion at a time, without jumps between speech and rest.

    Args:
        rest: Features of silence, shape (1, C + 1): mouth coefficients and loudness.
        generate: Converts features of consecutive frames to motion and adds idle motion, which goes on.
    """

    def __init__(self, rest: Tensor, generate: Callable[[Tensor], SpeechMotion]) -> None:
        self._rest, self._generate = rest, generate
        self._shown = self._start = rest[:, :-1]  # mouth coefficients of the last frame, and before the last change
        self._state: _State = "rest"
        self._frames, self._fade = FADE_OUT, FADE_OUT  # since the last change, and until it is complete
        self._held = 0

    def speak(self, features: Tensor, *, begins: bool) -> SpeechMotion:
        """Follow one frame of speech.

        Args:
            features: Shape (1, C + 1).
            begins: Whether this is the first frame of a turn.
        """
        self._held = 0
        if begins or self._state != "speech":
            self._change("speech", FADE_IN)
        return self._next(features[:, :-1], features[:, -1:])

    def wait(self) -> SpeechMotion:
        """Hold the lips because sound is late, and close them if it takes long."""
        self._held += 1
        if self._held > LONGEST_HOLD:
            return self.rest()
        if self._state == "speech":
            self._change("hold", 0)
        return self._next(self._start, self._rest[:, -1:])

    def rest(self) -> SpeechMotion:
        """Close the lips, or keep them closed."""
        if self._state != "rest":
            self._change("rest", FADE_OUT)
        return self._next(self._rest[:, :-1], self._rest[:, -1:])

    def _change(self, state: _State, fade: int) -> None:
        self._state, self._start, self._frames, self._fade = state, self._shown, 0, fade

    @torch.inference_mode()
    def _next(self, mouth: Tensor, loudness: Tensor) -> SpeechMotion:
        self._frames += 1
        share = min(self._frames / self._fade, 1.0) if self._fade else 1.0
        self._shown = torch.lerp(self._start, mouth, share)
        return self._generate(torch.cat([self._shown, loudness], 1))
