"""An avatar in Pipecat: a service between text-to-speech and the output of the transport.

Written against pipecat-ai 1.14.0. The transport needs `video_out_enabled=True`, `video_out_is_live=False`, and the size
and the frame rate of the avatar.

Example:
    >>> from pipecat.pipeline.pipeline import Pipeline
    >>> from talkinghead.integrations.pipecat_ai import TalkingheadVideoService
    >>> avatar = TalkingheadVideoService("portrait.png")
    >>> pipeline = Pipeline([transport.input(), stt, llm, tts, avatar, transport.output()])
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from talkinghead.errors import OptionError
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.options import MODEL, Options, StrPath
from talkinghead.realtime.avatar import AvatarFrame, AvatarSession

try:
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        Frame,
        InterruptionFrame,
        OutputImageRawFrame,
        StartFrame,
        TTSAudioRawFrame,
        TTSStoppedFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
    from pipecat.services.ai_service import AIService
    from pipecat.services.settings import ServiceSettings
except ImportError as error:
    raise OptionError(f'{error}: pip install pipecat-ai "protobuf<7" (docs/avatar.md says why)') from error


class TalkingheadVideoService(AIService):
    """Replaces speech by pictures, each followed by its sound; the avatar idles while there is no speech.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        options: All other options.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`, for several services.
        **kwargs: Further arguments of `AIService`.
    """

    def __init__(
        self,
        source: StrPath | Picture,
        *,
        options: Options | None = None,
        model: str | Path | Models = MODEL,
        **kwargs: Any,
    ) -> None:
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._source, self._options, self._model = source, options, model
        self._avatar: AvatarSession | None = None
        self._reader: asyncio.Task[None] | None = None
        self._speech_came = False  # since the last end of a turn
        self._ends: deque[TTSStoppedFrame] = deque()  # of turns that are still being spoken
        self._silent = asyncio.Event()
        self._silent.set()
        self._first_turn = 0  # turns before it have been interrupted

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Open the portrait.

        Raises:
            PortraitError: The portrait cannot be used.
        """
        await super().setup(setup)
        self._avatar = await asyncio.to_thread(
            AvatarSession,
            self._source,
            options=self._options,
            model=self._model,
            sample_rate=setup.audio_out_sample_rate,
        )

    async def start(self, frame: StartFrame) -> None:
        """Begin to show the avatar."""
        await super().start(frame)
        if self._avatar is not None:
            self._reader = self.create_task(self._show(self._avatar))

    async def stop(self, frame: EndFrame) -> None:
        """Finish what is being said, then close the avatar."""
        await super().stop(frame)
        if self._avatar is not None:
            self._avatar.flush()
            await self._silent.wait()
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Close the avatar at once."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """Close the avatar."""
        await super().cleanup()
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take speech; hold the end of a turn until it has been spoken; drop everything at an interruption."""
        await super().process_frame(frame, direction)
        if self._avatar is not None and isinstance(frame, TTSAudioRawFrame):
            samples = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
            self._avatar.push_audio(samples.mean(1).astype(np.int16), frame.sample_rate)
            self._speech_came = True
            self._silent.clear()
            return
        if self._avatar is not None and isinstance(frame, TTSStoppedFrame) and self._speech_came:
            self._avatar.flush()
            self._ends.append(frame)
            self._speech_came = False
            return
        if self._avatar is not None and isinstance(frame, InterruptionFrame):
            self._avatar.interrupt()
            self._first_turn = self._avatar.next_turn
            self._ends.clear()
            self._speech_came = False
            self._silent.set()
        await self.push_frame(frame, direction)

    async def _show(self, avatar: AvatarSession) -> None:
        try:
            async for frame in avatar.frames():
                await self._show_frame(frame)
        except Exception as error:  # whatever it is, the pipeline has to learn of it
            self._silent.set()
            await self.push_error(error_msg=f"the avatar stopped: {error}", exception=error)

    async def _show_frame(self, frame: AvatarFrame) -> None:
        height, width, _ = frame.picture.shape
        image = OutputImageRawFrame(image=frame.picture.tobytes(), size=(width, height), format="RGB")
        image.sync_with_audio = True
        await self.push_frame(image)
        if frame.turn is None or frame.turn < self._first_turn:  # the latter was being rendered when interrupted
            return
        await self.push_frame(TTSAudioRawFrame(frame.sound.tobytes(), frame.sample_rate, 1))
        if any(mark.kind == "turn_ended" for mark in frame.marks):
            if self._ends:
                await self.push_frame(self._ends.popleft())
            if not self._ends and not self._speech_came:
                self._silent.set()

    async def _close(self) -> None:
        if self._reader is not None:
            await self.cancel_task(self._reader)
            self._reader = None
        if self._avatar is not None:
            await self._avatar.aclose()
            self._avatar = None
