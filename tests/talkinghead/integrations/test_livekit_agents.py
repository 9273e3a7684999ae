"""LiveKit Agents, the real library up to the room: two turns and an interruption between them."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fake_models import fake_models
from live_voice import LiveVoice

pytest.importorskip("livekit.agents")

from livekit import rtc
from livekit.agents.voice import avatar

from talkinghead import AvatarSession
from talkinghead.integrations.livekit_agents import AvatarGenerator, LiveKitAvatar

PICTURE = np.full((240, 320, 3), 40, np.uint8)


@pytest.fixture
def models():
    return replace(fake_models(), voice=LiveVoice())


def tone(seconds, pitch, channels=1):
    samples = (8_000 * np.sin(np.arange(int(24_000 * seconds)) * pitch) + 1).astype(np.int16)
    return rtc.AudioFrame(np.repeat(samples, channels).tobytes(), 24_000, channels, len(samples)), samples


class Publication:
    async def wait_for_subscription(self):
        pass


class LocalParticipant:
    identity = "agent"

    def __init__(self):
        self.tracks = []

    async def publish_track(self, track, options):
        self.tracks.append(track.kind)
        return Publication()


class Room(rtc.EventEmitter):
    """A room without a server."""

    def __init__(self):
        super().__init__()
        self.local_participant = LocalParticipant()

    def isconnected(self):
        return True


def test_the_generator_speaks_two_turns_with_an_interruption_between_them(models):
    async def talk():
        shown = []
        async with AvatarSession(PICTURE, model=models) as session:
            generator = AvatarGenerator(session)
            await generator.push_audio(tone(3, 0.1)[0])
            await generator.push_audio(avatar.AudioSegmentEnd())
            async for frame in generator:
                shown.append(frame)
                if len(shown) == 20:
                    clearing = asyncio.create_task(generator.clear_buffer())
                    await asyncio.sleep(0)
                    await generator.push_audio(second)
                    await generator.push_audio(avatar.AudioSegmentEnd())
                if isinstance(frame, avatar.AudioSegmentEnd):
                    await clearing
                    return shown

    second, expected = tone(0.5, 0.2, channels=2)
    shown = asyncio.run(talk())
    spoken = np.concatenate([np.frombuffer(f.data, np.int16) for f in shown[20:] if isinstance(f, rtc.AudioFrame)])
    assert np.array_equal(spoken[: len(expected)], expected) and not spoken[len(expected) :].any()
    pictures = [frame for frame in shown if isinstance(frame, rtc.VideoFrame)]
    assert all((frame.width, frame.height) == (320, 240) for frame in pictures)
    assert sum(isinstance(frame, rtc.AudioFrame) for frame in shown[:20]) > 5


def test_the_runner_of_livekit_publishes_and_reports_playback(models):
    async def talk():
        room, events = Room(), []
        speech = avatar.QueueAudioOutput(sample_rate=24_000, wait_playback_start=True)
        speech.on("playback_started", lambda event: events.append("started"))
        speech.on("playback_finished", lambda event: events.append((event.interrupted, event.playback_position)))
        async with AvatarSession(PICTURE, model=models) as session:
            options = avatar.AvatarOptions(320, 240, 25, 24_000, 1)
            runner = avatar.AvatarRunner(room, audio_recv=speech, video_gen=AvatarGenerator(session), options=options)
            await runner.start()
            await speech.capture_frame(tone(3, 0.1)[0])
            speech.flush()
            while not events:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.6)
            speech.clear_buffer()
            await asyncio.sleep(0.4)
            await speech.capture_frame(tone(0.4, 0.2)[0])
            speech.flush()
            await asyncio.wait_for(speech.wait_for_playout(), 5)
            await runner.aclose()
        return room.local_participant.tracks, events

    tracks, events = asyncio.run(talk())
    assert sorted(tracks) == sorted([rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO])
    assert [event for event in events if event == "started"] == ["started"] * 2
    (interrupted, position), (finished, whole) = [event for event in events if event != "started"]
    assert interrupted and 0.2 < position < 1.2
    assert not finished and whole == pytest.approx(0.4)


def test_the_avatar_takes_the_place_of_the_agents_sound_and_leaves_the_agent_alone(models):
    async def talk():
        room, taken = Room(), []
        output = SimpleNamespace(replace_audio_tail=taken.append)
        agent = SimpleNamespace(output=output, on=lambda *_: None, off=lambda *_: None)
        plugin = LiveKitAvatar(PICTURE, model=models)
        room.remote_participants = {}
        starting = plugin.start(agent, room)
        await asyncio.wait_for(starting, 10)
        assert (plugin.avatar_identity, plugin.provider) == ("agent", "talkinghead")
        await asyncio.sleep(0.5)
        await plugin.aclose()
        await plugin.aclose()
        return taken, room.local_participant.tracks

    taken, tracks = asyncio.run(talk())
    assert isinstance(taken[0], avatar.QueueAudioOutput) and len(tracks) == 2
