"""An avatar that stays: it listens, speaks, can be interrupted, and idles in between."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from audio2motion import FRAME_RATE
from audio2motion.voices import SpeechMotionGenerator, suits_any_model
from liveportrait import SpeechMotion
from liveportrait.numerals import read_whole
from talkinghead.driver.reference import extract_reference
from talkinghead.errors import OptionError, SessionError
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, Options, StrPath
from talkinghead.realtime.live_frames import live_frames
from talkinghead.realtime.pacing import MOST_AHEAD, Pacer
from talkinghead.realtime.sound import Samples, check_rate, from_bytes, to_floats
from talkinghead.realtime.turns import LiveFrame, Mark, Turns
from talkinghead.render import render
from talkinghead.source.given import read_picture
from talkinghead.source.image import open_image_source

SAMPLE_RATE = 24_000
"""Samples per second of an avatar's sound unless told otherwise: what most speech services send."""

_LEAST_RATE, _MOST_RATE = 8_000, 48_000

_renderers = ThreadPoolExecutor(max(MOST_AHEAD, os.cpu_count() or 1), "avatar")
"""Threads that all sessions of a process share; each waits for the picture of a frame."""


@dataclass(frozen=True)
class AvatarFrame:
    """A picture of an avatar and the sound that belongs to it.

    Attributes:
        picture: RGB, shape (H, W, 3), uint8; the array of the frame before if this one could not be rendered in time.
        sound: Mono, shape (N,), int16; silence while the avatar does not speak.
        sample_rate: Samples per second.
        number: Counted from 0.
        seconds: The time of the frame since the first one.
        marks: Events at this frame.
        turn: The number of the turn whose sound it is; None while the avatar does not speak.
        repeated: Whether the picture is that of the frame before.
    """

    picture: Picture
    sound: NDArray[np.int16]
    sample_rate: int
    number: int
    seconds: float
    marks: tuple[Mark, ...]
    turn: int | None
    repeated: bool

    @property
    def speaks(self) -> bool:
        """Whether the sound is that of a turn."""
        return self.turn is not None


@dataclass(frozen=True)
class _Begun:
    """A frame whose motion is known and whose picture is being rendered."""

    live: LiveFrame
    number: int
    picture: Future[Picture]
    repeated: bool


class AvatarSession:
    """A portrait that speaks turn by turn, for as long as you like, with sound and picture on one clock.

    All methods may be called in any thread and in coroutines; none but the constructor and `close` takes long. The
    models and the thread that renders are shared by all sessions that get the same `model`.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        options: All other options; `options.render.fps` is the frame rate, by default 25.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`, for several sessions.
        sample_rate: Samples per second of the sound of the frames, 8,000 to 48,000 and a multiple of 25.

    Attributes:
        size: (height, width) of the pictures.
        fps: Frames per second.
        sample_rate: Samples per second of the sound of the frames.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import numpy as np
        >>> import talkinghead
        >>> with talkinghead.AvatarSession("portrait.png") as session:
        ...     session.push_audio(np.zeros(24_000, np.int16), 24_000)
        ...     session.flush()
        ...     for frame in session.frames():  # in coroutines: async for
        ...         height, width, _ = frame.picture.shape
        ...         if any(mark.kind == "turn_ended" for mark in frame.marks):
        ...             break
    """

    @own_settings()
    def __init__(
        self,
        source: StrPath | Picture,
        *,
        options: Options | None = None,
        model: str | Path | Models = MODEL,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        options = options or Options()
        self.sample_rate = _check_sample_rate(sample_rate)
        picture, name = read_picture(source)
        models = load_models_for(options.render, model)
        voice = live_voice(models)
        self._source, self._portrait = open_image_source(picture, name, models, options.crop), models.portrait
        self.size, self.fps = self._source.size, options.render.fps or Fraction(FRAME_RATE)
        clip = options.motion.reference
        reference = extract_reference(clip, models) if clip else None
        self._turns = Turns(voice, self.sample_rate, seed=options.motion.seed)
        self._live_frames = live_frames(
            self._turns, self.sample_rate, options.motion, voice.num_mouth, self.fps, reference
        )
        self._pacer, self._number = Pacer(self.fps), 0
        self._mover = ThreadPoolExecutor(1, "avatar motion")  # one thread, for frames in order
        self._ahead: deque[Future[_Begun]] = deque()
        self._picture: Future[Picture] | None = None
        self._reader: object = None  # identifies the loop that reads the frames
        self._closed = False

    def push_audio(self, pcm: Samples | bytes, sample_rate: int, *, max_delay: float | None = None) -> None:
        """Add sound to the current turn, or begin a turn.

        Args:
            pcm: 16-bit little-endian mono samples; or an array of mono samples, floating-point in [-1, 1] or integers
                as in WAV files. Any number of samples, as fast as you like.
            sample_rate: Samples per second, 1,000 to 768,000. If it is the session's, samples are not changed.
            max_delay: For microphones: the most seconds that the sound of this turn waits. If it comes faster than it
                is played, silent frames are left out. By default all sound is played, however early it comes.

        Raises:
            AudioError: This is no such sound, or too much sound waits to be played.
            SessionError: The session is closed.
        """
        self._check_open()
        rate = check_rate(sample_rate)
        samples = to_floats(from_bytes(pcm) if isinstance(pcm, bytes | bytearray | memoryview) else pcm)
        self._turns.push(samples, rate, max_delay)

    def flush(self) -> None:
        """End the turn. Its last frames are only shown after this, as they might depend on more sound."""
        self._check_open()
        self._turns.flush()

    def interrupt(self) -> float:
        """Drop all sound that has not been played; the lips close within 200 ms.

        Returns:
            How many seconds of the current turn have been played, with the frames that are being rendered; 0 between
            turns.
        """
        self._check_open()
        return self._turns.interrupt()

    def frames(self, *, real_time: bool = True) -> AvatarFrames:
        """Return the frames, endlessly, until the session is closed.

        A frame is computed while the one before is being used, or two at a time if one takes about as long as it is
        shown. If rendering is too slow even so, frames repeat the picture before them, so that sound and clock go on.
        If frames are not taken for more than a second, the clock waits.

        Args:
            real_time: Whether each frame comes when it is due; otherwise as soon as it is rendered, and all are.

        Raises:
            SessionError: During iteration: the session is closed, or somebody else has begun to read its frames.
        """
        return AvatarFrames(self, real_time=real_time)

    @property
    def next_turn(self) -> int:
        """The number that the next turn will get; after an interruption, frames of turns before it can be ignored."""
        return self._turns.next_number

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended."""
        return self._closed

    def close(self) -> None:
        """End the session and the iteration over its frames; wait for the frames that are being rendered."""
        self._closed = True
        self._mover.shutdown()
        wait([begun.result().picture for begun in self._ahead if begun.exception() is None])

    async def aclose(self) -> None:
        """End the session like `close`, without blocking the event loop."""
        self._closed = True
        await asyncio.to_thread(self.close)

    def __enter__(self) -> AvatarSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> AvatarSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise SessionError("the session is closed: open another one")

    def _fill(self, *, real_time: bool) -> None:
        """Begin to compute as many frames as are wanted ahead."""
        while len(self._ahead) < (self._pacer.frames_ahead() if real_time else MOST_AHEAD):
            now = time.monotonic()
            repeat = real_time and self._pacer.skips(now, len(self._ahead))
            try:
                self._ahead.append(self._mover.submit(self._move, now, repeat=repeat))
            except RuntimeError:  # closed in another thread meanwhile, or Python ends
                self._closed = True
                return

    @own_settings()
    def _move(self, asked: float, *, repeat: bool) -> _Begun:
        """Compute the motion of the next frame, and have its picture rendered unless it repeats the last one."""
        with self._closing():
            live = next(self._live_frames)
            repeated = repeat and self._picture is not None
            if self._picture is None or not repeat:
                self._picture = _renderers.submit(self._render, live.motion, asked)
            number, self._number = self._number, self._number + 1
            return _Begun(live, number, self._picture, repeated)

    @own_settings()
    def _render(self, motion: SpeechMotion, asked: float) -> Picture:
        with self._closing():
            frame = next(self._source.source_frames())
            picture = next(render(self._portrait, frame, motion, self._portrait.speech_keypoints))
            self._pacer.rendered(time.monotonic() - asked)  # with the time for which other sessions held the threads
            return picture

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """End the session if something fails."""
        try:
            yield
        except BaseException:
            self._closed = True
            raise

    def _finished(self, begun: _Begun, picture: Picture) -> AvatarFrame:
        return AvatarFrame(
            picture=picture,
            sound=begun.live.sound,
            sample_rate=self.sample_rate,
            number=begun.number,
            seconds=float(begun.number / self.fps),
            marks=begun.live.marks,
            turn=begun.live.turn,
            repeated=begun.repeated,
        )


class AvatarFrames:
    """The frames of a session, for `for` and `async for`; see `AvatarSession.frames`."""

    def __init__(self, session: AvatarSession, *, real_time: bool) -> None:
        self._session, self._real_time = session, real_time
        self._identity = object()  # for the session, which would be freed late if it referred to this object

    def __iter__(self) -> Iterator[AvatarFrame]:
        self._begin()
        while self._session._ahead:
            begun = self._session._ahead[0].result()
            picture = begun.picture.result()
            time.sleep(self._early_seconds())
            if self._has_ended():
                return
            yield self._advance(begun, picture)

    async def __aiter__(self) -> AsyncIterator[AvatarFrame]:
        self._begin()
        while self._session._ahead:
            # Cancelling the task that reads must not cancel the frame, which another one may read.
            begun = await asyncio.shield(asyncio.wrap_future(self._session._ahead[0]))
            picture = await asyncio.shield(asyncio.wrap_future(begun.picture))
            await asyncio.sleep(self._early_seconds())
            if self._has_ended():
                return
            yield self._advance(begun, picture)

    def _begin(self) -> None:
        """Become the reader of the session, from the frame on that the reader before has left."""
        self._session._check_open()
        self._session._reader = self._identity
        self._session._fill(real_time=self._real_time)

    def _advance(self, begun: _Begun, picture: Picture) -> AvatarFrame:
        """Take the next frame and have others computed."""
        self._session._ahead.popleft()
        self._session._fill(real_time=self._real_time)
        return self._session._finished(begun, picture)

    def _early_seconds(self) -> float:
        return self._session._pacer.wait(time.monotonic()) if self._real_time else 0.0

    def _has_ended(self) -> bool:
        if self._session._reader is not self._identity:
            raise SessionError("the frames of this session are being read elsewhere: read them once")
        return self._session._closed


def live_voice(models: Models) -> SpeechMotionGenerator:
    """Return the voice model, which must support live speech.

    Raises:
        OptionError: It does not.
    """
    if not suits_any_model(models.voice):
        raise OptionError(
            "this voice model needs seconds of sound at once and cannot speak live: leave out --voice-model"
        )
    return models.voice


def _check_sample_rate(rate: int) -> int:
    try:
        rate = read_whole(rate, "sample_rate", _LEAST_RATE, _MOST_RATE)
    except ValueError as error:
        raise OptionError(str(error)) from None
    if rate % FRAME_RATE:
        raise OptionError(f"sample_rate must be a multiple of {FRAME_RATE}, not {rate}: give 16000, 24000 or 48000")
    return rate
