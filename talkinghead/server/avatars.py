"""Live avatars of the server: uploaded portraits, a bounded number of sessions, and what clients tell them."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import soundfile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from liveportrait.errors import PortraitError
from talkinghead.cli.demo import demo_inputs
from talkinghead.errors import ImageError, InputNotFoundError, OptionError
from talkinghead.media.image import read_image
from talkinghead.models import Models
from talkinghead.narration.sentences import sentences
from talkinghead.narration.voices import SpeechEngine, open_voice
from talkinghead.options import CropOptions, MotionOptions, Options, RenderOptions
from talkinghead.provenance.deny_list import DenyList
from talkinghead.realtime.avatar import AvatarFrame, AvatarSession
from talkinghead.server.inputs import EXAMPLE
from talkinghead.server.metrics import Metrics
from talkinghead.server.options import ServerOptions

logger = logging.getLogger(__name__)

MOST_PORTRAITS = 64
MICROPHONE_DELAY = 0.6
"""Seconds that the sound of a microphone may wait, see `AvatarSession.push_audio`."""


class AvatarRequest(BaseModel):
    """What an avatar should be like."""

    model_config = ConfigDict(extra="forbid")

    portrait: str = Field(EXAMPLE, description="The id of an uploaded portrait, a data URL of a picture, or example.")
    face_only: bool = Field(True, description="Show only the face, as a square.")
    size: int = Field(384, ge=64, le=1280, description="Longer side of the pictures.")
    fps: int = Field(25, ge=5, le=30, description="Frames per second.")
    seed: int = Field(0, ge=0, lt=2**63, description="Random seed of the idle motion.")
    sample_rate: int = Field(24_000, description="Samples per second of the sound, in both directions.")
    format: Literal["jpeg", "mp4"] = Field("jpeg", description="What the web socket sends.")
    microphone: bool = Field(False, description="Whether sound is sent in real time, so that late sound is left out.")

    def options(self) -> Options:
        """Return the options of the session."""
        return Options(
            crop=CropOptions(face_only=self.face_only, size=self.size),
            motion=MotionOptions(seed=self.seed),
            render=RenderOptions(fps=str(self.fps)),  # type: ignore[arg-type]
        )


class TooManyError(Exception):
    """All avatars are in use."""


class Avatars:
    """Opens sessions, and keeps uploaded portraits in a private folder.

    Args:
        folder: The private folder.
        models: The networks, shared by all sessions.
        options: The limits.
        metrics: Where figures are counted.
        denied: Portraits that may not be animated.
    """

    def __init__(
        self, folder: Path, models: Models, options: ServerOptions, metrics: Metrics, denied: DenyList | None = None
    ) -> None:
        self._folder, self._models, self._options, self._metrics = folder, models, options, metrics
        self._denied = denied or DenyList()
        self._portraits: dict[str, tuple[Path, float]] = {}
        self._open: set[AvatarSession] = set()
        self._opening = 0
        folder.mkdir(mode=0o700)

    def add_portrait(self, content: bytes) -> tuple[str, tuple[int, int]]:
        """Keep a portrait, and return its id and size; the oldest ones are forgotten.

        Raises:
            ImageError: It is no picture.
        """
        name, file = secrets.token_urlsafe(16), self._new_file(content)
        try:
            height, width, _ = read_image(file).shape
        except PortraitError as error:
            file.unlink()
            raise type(error)(str(error).replace(str(file), "the portrait")) from None
        self._portraits[name] = file, time.monotonic()
        for old, (kept, added) in list(self._portraits.items()):
            if len(self._portraits) > MOST_PORTRAITS or time.monotonic() - added > self._options.keep_seconds:
                kept.unlink(missing_ok=True)
                del self._portraits[old]
        return name, (height, width)

    @asynccontextmanager
    async def session(self, asked: AvatarRequest) -> AsyncIterator[AvatarSession]:
        """Open a session, and close it at the end.

        Raises:
            TooManyError: All avatars are in use.
            PortraitError: The portrait is unknown or shows no face.
        """
        if len(self._open) + self._opening >= self._options.max_avatars:
            raise TooManyError(f"all {self._options.max_avatars} avatars are in use: try again later")
        self._opening += 1
        try:
            session = await asyncio.to_thread(self._open_session, asked)
        finally:
            self._opening -= 1
        self._open.add(session)
        self._metrics.avatars.set(len(self._open))
        try:
            yield session
        finally:
            self._open.discard(session)
            self._metrics.avatars.set(len(self._open))
            await session.aclose()

    def count(self, frame: AvatarFrame) -> None:
        """Count a frame that was sent."""
        self._metrics.frames.labels("repeated" if frame.repeated else "rendered").inc()
        self._metrics.interruptions.inc(sum(mark.kind == "interrupted" for mark in frame.marks))

    def close(self) -> None:
        """Close all sessions."""
        for session in list(self._open):
            session.close()

    def _open_session(self, asked: AvatarRequest) -> AvatarSession:
        options, own = asked.options(), None
        if asked.portrait == EXAMPLE:
            file = demo_inputs().portrait
        elif asked.portrait.startswith("data:"):
            file = own = self._new_file(decode_data_url(asked.portrait))
        elif asked.portrait in self._portraits:
            file = self._portraits[asked.portrait][0]
        else:
            raise InputNotFoundError("there is no such portrait, or it was removed: upload it again")
        try:
            self._denied.check(file, self._models.faces)
            return AvatarSession(file, options=options, model=self._models, sample_rate=asked.sample_rate)
        except PortraitError as error:
            raise type(error)(str(error).replace(str(file), "the portrait")) from None
        finally:
            if own is not None:
                own.unlink()

    def _new_file(self, content: bytes) -> Path:
        file = self._folder / secrets.token_hex(16)
        file.write_bytes(content)
        return file


class Control:
    """Does what clients say in JSON: say, flush, interrupt.

    Args:
        session: The avatar.
        max_text: The longest text.
    """

    def __init__(self, session: AvatarSession, max_text: int) -> None:
        self._session, self._max_text = session, max_text
        self._speaking: asyncio.Task[None] | None = None

    async def obey(self, message: object) -> dict[str, Any] | None:
        """Do what a message says, and return the answer, if there is one.

        Raises:
            OptionError: The message is unknown or incomplete.
        """
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "flush":
            self._session.flush()
        elif kind == "interrupt":
            await self.stop()
            return {"type": "dropped", "played_seconds": self._session.interrupt()}
        elif kind == "say":
            text = message["text"] if isinstance(message, dict) and isinstance(message.get("text"), str) else ""
            if not text.strip() or len(text) > self._max_text:
                raise OptionError(f"say needs a text of 1 to {self._max_text:,} characters")
            await self.stop()
            self._session.flush()
            self._speaking = asyncio.create_task(self._say(text))
        else:
            raise OptionError(f"unknown message {kind!r}: give say, flush or interrupt")
        return None

    async def stop(self) -> None:
        """Stop reading a text aloud."""
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.wait([self._speaking])
            self._speaking = None

    async def _say(self, text: str) -> None:
        """Read a text aloud; the first sentence is spoken while the others are being synthesized."""
        try:
            for sentence in sentences(text):
                samples, rate = await asyncio.to_thread(synthesize, sentence)
                self._session.push_audio(samples, rate)
            self._session.flush()
        except PortraitError as error:  # such as that the session has been closed
            logger.warning("a text could not be read aloud: %s", error)
        except Exception:
            logger.exception("a text could not be read aloud")


_one_speaks = threading.Lock()


def synthesize(text: str) -> tuple[Any, int]:
    """Speak a sentence with the voice that ships; returns samples (N,) and their rate."""
    with tempfile.TemporaryDirectory(prefix="talkinghead-") as folder, _one_speaks:
        file = Path(folder) / "speech.wav"
        _voice().say(text, file)
        return soundfile.read(file, dtype="float32")


@cache
def _voice() -> SpeechEngine:
    return open_voice("heart")


def decode_data_url(text: str) -> bytes:
    """Return the bytes of a data URL in base64.

    Raises:
        ImageError: It is none.
    """
    try:
        return base64.b64decode(text.partition(";base64,")[2], validate=True)
    except ValueError:
        raise ImageError("the portrait is no data URL in base64") from None


def read_request(given: object) -> AvatarRequest:
    """Check what an avatar should be like.

    Raises:
        OptionError: A value is unknown or out of range.
    """
    try:
        return AvatarRequest.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the request"
        raise OptionError(f"{name}: {first['msg']}") from None


def described_marks(frame: AvatarFrame) -> list[dict[str, Any]]:
    """Describe what happens at a frame."""
    return [
        {
            "type": mark.kind,
            "turn": mark.turn,
            "played_seconds": mark.played_seconds,
            "frame": frame.number,
            "seconds": frame.seconds,
        }
        for mark in frame.marks
    ]
