"""Pipecat, the real library: two turns and an interruption between them."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from fake_models import fake_models
from live_voice import LiveVoice

pytest.importorskip("pipecat")

from pipecat.frames.frames import (
    EndFrame,
    InterruptionFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import SleepFrame, run_test

from talkinghead.integrations.pipecat_ai import TalkingheadVideoService

PICTURE = np.full((240, 320, 3), 40, np.uint8)


def tone(seconds, pitch, channels=1):
    samples = (8_000 * np.sin(np.arange(int(24_000 * seconds)) * pitch) + 1).astype(np.int16)
    return TTSAudioRawFrame(np.repeat(samples, channels).tobytes(), 24_000, channels), samples


def test_two_turns_with_an_interruption_between_them():
    first, _ = tone(3, 0.1)
    second, expected = tone(0.5, 0.2, channels=2)
    service = TalkingheadVideoService(PICTURE, model=replace(fake_models(), voice=LiveVoice()))
    sent = [
        TextFrame("passed on"),
        SleepFrame(0.3),
        first,
        TTSStoppedFrame(),
        SleepFrame(0.6),
        InterruptionFrame(),
        SleepFrame(0.3),
        second,
        TTSStoppedFrame(),
        SleepFrame(0.05),
    ]
    params = PipelineParams(audio_out_sample_rate=24_000)
    down, up = asyncio.run(run_test(service, frames_to_send=sent, pipeline_params=params, start_timeout=30))
    cut = next(n for n, frame in enumerate(down) if isinstance(frame, InterruptionFrame))
    before, after = down[:cut], down[cut:]
    played = [frame for frame in before if isinstance(frame, TTSAudioRawFrame)]
    assert 2 <= len(played) <= 20
    assert not any(isinstance(frame, TTSStoppedFrame) for frame in before)
    spoken = np.concatenate([np.frombuffer(f.audio, np.int16) for f in after if isinstance(f, TTSAudioRawFrame)])
    assert np.array_equal(spoken[: len(expected)], expected) and not spoken[len(expected) :].any()
    kinds = [type(frame) for frame in after]
    assert kinds.index(TTSStoppedFrame) > max(n for n, kind in enumerate(kinds) if kind is TTSAudioRawFrame)
    images = [frame for frame in down if isinstance(frame, OutputImageRawFrame)]
    assert all(frame.sync_with_audio and frame.size == (320, 240) and frame.format == "RGB" for frame in images)
    assert len(images) > 25 and isinstance(down[0], TextFrame | OutputImageRawFrame)
    assert any(isinstance(frame, TextFrame) for frame in down)
    for n, frame in enumerate(down):
        if isinstance(frame, TTSAudioRawFrame):
            assert isinstance(down[n - 1], OutputImageRawFrame)
    assert not up and not any(isinstance(frame, EndFrame) for frame in down[:-1])
