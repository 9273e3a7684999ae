"""An avatar in LiveKit Agents: a video generator for `AvatarRunner`, and an avatar session like those of its plugins.

Written against livekit-agents 1.8.9.

Example:
    >>> from livekit.agents import AgentSession
    >>> from talkinghead.integrations.livekit_agents import LiveKitAvatar
    >>> async def entrypoint(ctx):
    ...     agent_session = AgentSession(...)
    ...     avatar = LiveKitAvatar("portrait.png")
    ...     await avatar.start(agent_session, room=ctx.room)
    ...     await agent_session.start(agent=..., room=ctx.room)
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from talkinghead.errors import OptionError
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.options import MODEL, Options, StrPath
from talkinghead.realtime.avatar import SAMPLE_RATE, AvatarFrame, AvatarSession

try:
    from livekit import rtc
    from livekit.agents.voice import avatar
except ImportError as error:
    raise OptionError(f'{error}: pip install livekit-agents "protobuf<7" (docs/avatar.md says why)') from error


class AvatarGenerator(avatar.VideoGenerator):
    """Turns speech into pictures and sound for `AvatarRunner`.

    Args:
        session: The avatar. Its frames must not be read elsewhere; it is not closed.
    """

    def __init__(self, session: AvatarSession) -> None:
        self._session = session
        self._first_turn = 0  # turns before it have been interrupted
        self._sent = asyncio.Event()  # whether the runner has sent and counted the sound that it was given
        self._sent.set()

    async def push_audio(self, frame: rtc.AudioFrame | avatar.AudioSegmentEnd) -> None:
        """Add speech, whose channels are mixed, or end the turn."""
        if isinstance(frame, avatar.AudioSegmentEnd):
            self._session.flush()
            return
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        self._session.push_audio(mix(samples), frame.sample_rate)

    async def clear_buffer(self) -> None:
        """Drop what has not been played. The runner then reports the interruption itself."""
        self._session.interrupt()
        self._first_turn = self._session.next_turn
        await self._sent.wait()  # or the runner would count sound that it is still sending to the next turn

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | avatar.AudioSegmentEnd]:
        """Yield pictures all the time, with sound while the avatar speaks and an end after each complete turn."""
        async for frame in self._session.frames():
            height, width, _ = frame.picture.shape
            yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.picture.tobytes())
            if frame.turn is None or frame.turn < self._first_turn:
                continue  # the latter was being rendered when it was interrupted
            self._sent.clear()
            try:
                yield rtc.AudioFrame(frame.sound.tobytes(), frame.sample_rate, 1, len(frame.sound))
            finally:
                self._sent.set()
            if _ends_turn(frame):
                yield avatar.AudioSegmentEnd()


class LiveKitAvatar(avatar.AvatarSession):
    """An avatar that shows itself as the agent, in the agent's own process.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        options: All other options.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`, for several sessions.
        sample_rate: Samples per second of the sound.
    """

    def __init__(
        self,
        source: StrPath | Picture,
        *,
        options: Options | None = None,
        model: str | Path | Models = MODEL,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        super().__init__()
        self._source, self._options, self._model, self._sample_rate = source, options, model, sample_rate
        self._avatar: AvatarSession | None = None
        self._runner: avatar.AvatarRunner | None = None
        self._identity = ""

    @property
    def avatar_identity(self) -> str:
        """The agent's own identity."""
        return self._identity

    @property
    def provider(self) -> str:
        """The name of this package."""
        return "talkinghead"

    async def start(self, agent_session: Any, room: rtc.Room) -> None:
        """Open the portrait and take the agent's sound; call it before `agent_session.start`, with a connected room.

        Raises:
            PortraitError: The portrait cannot be used.
        """
        self._avatar = await asyncio.to_thread(
            AvatarSession,
            self._source,
            options=self._options,
            model=self._model,
            sample_rate=self._sample_rate,
        )
        self._identity = room.local_participant.identity
        await super().start(agent_session, room)
        height, width = self._avatar.size
        options = avatar.AvatarOptions(width, height, float(self._avatar.fps), self._avatar.sample_rate, 1)
        speech = avatar.QueueAudioOutput(sample_rate=self._avatar.sample_rate, wait_playback_start=True)
        runner = avatar.AvatarRunner(room, audio_recv=speech, video_gen=AvatarGenerator(self._avatar), options=options)
        await runner.start()
        self._runner = runner
        agent_session.output.replace_audio_tail(speech)

    async def aclose(self) -> None:
        """Stop the avatar; the agent stays in the room."""
        if self._room is not None:
            self._room.off("connection_state_changed", self._on_connection_state_changed)
            self._room = None  # or the agent itself would be removed from it
        await super().aclose()
        if self._runner is not None:
            await self._runner.aclose()
            self._runner = None
        if self._avatar is not None:
            await self._avatar.aclose()
            self._avatar = None


def mix(samples: np.ndarray[Any, np.dtype[np.int16]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Mix the channels of samples (N, channels) to one, (N,)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(1).astype(np.int16)


def _ends_turn(frame: AvatarFrame) -> bool:
    return any(mark.kind == "turn_ended" for mark in frame.marks)
