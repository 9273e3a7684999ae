"""What an avatar says: turns of speech that arrive piece by piece, as pairs of motion and sound at 25 frames a second.

Sound and lips are taken together, frame by frame, so that they cannot shift against each other. If sound is late, a
frame of silence is put in and the lips wait with it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.silence import SILENT_DB
from audio2motion.streaming import AHEAD, HOP, VoiceStream
from audio2motion.voices import SpeechMotionGenerator
from liveportrait import SpeechMotion
from talkinghead.errors import AudioError
from talkinghead.host.isolation import computing_alone
from talkinghead.media.audio import MODEL_RATE
from talkinghead.realtime.sound import Resampler, cut, to_int16

PREROLL = HOP + AHEAD + 1
"""Frames of sound that must have arrived before a turn begins or goes on.

The last one is for sound that comes a little late: the motion of the next frames needs as much again."""

LONGEST_WAITING = 600
"""Seconds of sound that may wait to be played."""


@dataclass(frozen=True)
class Mark:
    """An event at a frame of an avatar.

    Attributes:
        kind: "speech_started" with the first frame of a turn, "turn_ended" with its last one, "interrupted" with the
            first frame after an interruption.
        turn: The number of the turn, counted from 0.
        played_seconds: How much of the turn has been played.
    """

    kind: Literal["speech_started", "turn_ended", "interrupted"]
    turn: int
    played_seconds: float


@dataclass(frozen=True)
class LiveFrame:
    """The motion and the sound of one frame.

    Attributes:
        motion: One frame.
        sound: Mono, shape (N,), int16.
        marks: What happens here.
        turn: The number of the turn whose sound it is; None for silence between turns or while sound is late.
    """

    motion: SpeechMotion
    sound: NDArray[np.int16]
    marks: tuple[Mark, ...] = ()
    turn: int | None = None

    @property
    def speaks(self) -> bool:
        """Whether the sound is that of a turn."""
        return self.turn is not None


class Turn:
    """One turn of speech. Sound may be pushed in one thread while frames are taken in another.

    Args:
        number: Counted from 0.
        listener: Computes features of the speech.
        rate: Samples per second of the sound of the frames, a multiple of 25.

    Attributes:
        ended: Whether no more sound is going to be pushed.
        playing: Whether its frames are being taken; they are not while the turn waits for sound.
        started: Whether a frame has been played.
        max_delay: The most seconds that sound waits, or None; see `Turns.push`.
        taken: The number of frames that have been taken.
    """

    def __init__(self, number: int, listener: VoiceStream[Tensor], rate: int) -> None:
        self.number, self.ended, self.playing, self.started, self.taken = number, False, False, False, 0
        self.max_delay: float | None = None
        self._listener, self._rate, self._size = listener, rate, rate // FRAME_RATE
        self._given_rate: int | None = None
        self._unheard: deque[NDArray[np.float32]] = deque()  # at 16 kHz, for the networks
        self._arrived: deque[NDArray[np.int16]] = deque()  # at the rate of the frames
        self._num_arrived = 0
        self._sound = np.zeros(0, np.int16)
        self._features: deque[Tensor] = deque()
        self._complete = False

    def push(self, samples: NDArray[np.float32], rate: int) -> None:
        """Add sound, floating-point of shape (N,), whose rate may change."""
        if rate != self._given_rate:
            self._finish_resampling()
            self._given_rate = rate
            self._resamplers = Resampler(rate, MODEL_RATE), Resampler(rate, self._rate)
        for piece in cut(samples, rate):
            self._keep(*(resampler.push(piece) for resampler in self._resamplers))

    def end(self) -> None:
        """End the turn."""
        self._finish_resampling()
        self.ended = True

    @computing_alone()
    def prepare(self, count: int) -> int:
        """Compute features until `count` frames are ready, as far as the sound allows, and return how many are."""
        ended = self.ended  # before looking for sound, which may still arrive
        while self._unheard and len(self._features) < count:
            self._hear(self._listener.push(torch.from_numpy(self._unheard.popleft())))
        while self._arrived:
            self._sound = np.concatenate([self._sound, self._arrived.popleft()])
        if ended and not self._unheard and not self._complete:
            self._hear(self._listener.finish())
            # Resampling may have made the one sound a sample longer than the other.
            missing = -(-len(self._sound) // self._size) - len(self._features)
            self._features.extend([self._features[-1]] * missing if self._features else [])
            self._complete = True
        return len(self._features) if self._complete else min(len(self._features), len(self._sound) // self._size)

    @property
    def is_over(self) -> bool:
        """Whether all frames have been taken."""
        return self._complete and not self._features

    def waiting_seconds(self) -> float:
        """Return how much sound has not been taken."""
        return max(self._num_arrived - self.taken * self._size, 0) / self._rate

    def loudness_db(self) -> float:
        """Return the loudness of the next frame, which must be ready."""
        return float(self._features[0][0, -1])

    def take(self) -> tuple[Tensor, NDArray[np.int16]]:
        """Take the next frame, which must be ready: features (1, C + 1) and sound (rate / 25,), padded with silence."""
        sound, self._sound = self._sound[: self._size], self._sound[self._size :]
        self.taken += 1
        return self._features.popleft(), np.pad(sound, (0, self._size - len(sound)))

    def _hear(self, parts: list[Tensor]) -> None:
        self._features.extend(frame for part in parts for frame in part.split(1))

    def _finish_resampling(self) -> None:
        if self._given_rate is not None:
            self._keep(*(resampler.finish() for resampler in self._resamplers))

    def _keep(self, for_networks: list[NDArray[np.float32]], for_frames: list[NDArray[np.float32]]) -> None:
        for samples in for_frames:
            self._num_arrived += len(samples)
            self._arrived.append(to_int16(samples))
        self._unheard.extend(for_networks)


class Turns:
    """Turns of speech, one after the other, and idle motion in between; sound may be pushed in any thread.

    Args:
        voice: Generates the motion.
        rate: Samples per second of the sound of the frames, a multiple of 25.
        seed: Random seed of the idle motion.
        preroll: As `PREROLL`.
    """

    def __init__(self, voice: SpeechMotionGenerator, rate: int, *, seed: int = 0, preroll: int = PREROLL) -> None:
        self._voice, self._rate, self._preroll = voice, rate, preroll
        self._motion = voice.live(seed=seed)
        self._turns: deque[Turn] = deque()
        self._interrupted: list[Mark] = []
        self._count = 0
        self._lock = threading.Lock()

    def push(self, samples: NDArray[np.float32], rate: int, max_delay: float | None = None) -> None:
        """Add sound to the last turn, or begin a turn.

        Args:
            samples: Floating-point, shape (N,).
            rate: Samples per second.
            max_delay: The most seconds that sound of this turn waits; if more is waiting, silent frames are left out,
                and if twice as much is waiting, all frames. None if all sound is to be played, however early it comes.

        Raises:
            AudioError: Too much sound is waiting to be played.
        """
        if not len(samples):
            return
        with self._lock:
            if sum(turn.waiting_seconds() for turn in self._turns) > LONGEST_WAITING:
                raise AudioError(f"more than {LONGEST_WAITING} seconds of sound wait to be played: push it later")
            if not self._turns or self._turns[-1].ended:
                self._turns.append(Turn(self._count, self._voice.listen(), self._rate))
                self._count += 1
            self._turns[-1].max_delay = max_delay
            self._turns[-1].push(samples, rate)

    def flush(self) -> None:
        """End the last turn."""
        with self._lock:
            if self._turns and not self._turns[-1].ended:
                self._turns[-1].end()

    def interrupt(self) -> float:
        """Drop all sound that has not been taken.

        Returns:
            How many seconds of the current turn have been played; 0 between turns.
        """
        with self._lock:
            if not self._turns:
                return 0.0
            turn = self._turns[0]
            self._turns.clear()
            self._interrupted.append(Mark("interrupted", turn.number, turn.taken / FRAME_RATE))
            return turn.taken / FRAME_RATE

    @property
    def next_number(self) -> int:
        """The number that the next turn will get."""
        return self._count

    def can_speak(self) -> bool:
        """Tell whether the next frame is one of speech."""
        turn = self._first()
        return turn is not None and self._is_ready(turn)

    def next(self) -> LiveFrame:
        """Return the next frame: of speech, of waiting for speech, or idle."""
        turn = self._first()
        ready = turn is not None and self._is_ready(turn)
        with self._lock:
            marks = tuple(self._interrupted)
            self._interrupted.clear()
            if turn is None or not self._turns or self._turns[0] is not turn:  # interrupted meanwhile
                move = self._motion.rest
            elif ready:
                return self._speak(turn, marks)
            else:
                move = self._motion.wait if turn.started else self._motion.rest
                turn.playing = False
                if turn.is_over:  # too short for a frame
                    self._turns.popleft()
        return LiveFrame(move(), np.zeros(self._rate // FRAME_RATE, np.int16), marks)

    def _first(self) -> Turn | None:
        """Return the current turn."""
        with self._lock:
            return self._turns[0] if self._turns else None

    def _is_ready(self, turn: Turn) -> bool:
        """Tell whether a frame of a turn can be taken, after leaving out those that came too early."""
        ready = turn.prepare(1)
        while turn.max_delay and (waiting := turn.waiting_seconds()) > turn.max_delay and turn.prepare(2) >= 2:
            if turn.loudness_db() > SILENT_DB and waiting < 2 * turn.max_delay:
                break
            turn.take()
        goes_on = turn.playing or turn.ended or turn.waiting_seconds() * FRAME_RATE >= self._preroll
        return goes_on and ready > 0

    def _speak(self, turn: Turn, marks: tuple[Mark, ...]) -> LiveFrame:
        begins = not turn.started
        turn.started = turn.playing = True
        if begins:
            marks = (*marks, Mark("speech_started", turn.number, 0.0))
        features, sound = turn.take()
        if turn.is_over:
            self._turns.popleft()
            marks = (*marks, Mark("turn_ended", turn.number, turn.taken / FRAME_RATE))
        return LiveFrame(self._motion.speak(features, begins=begins), sound, marks, turn.number)
