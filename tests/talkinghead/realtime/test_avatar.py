"""An avatar that stays: frames in real time, from any thread and any coroutine."""

import asyncio
import threading
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from drawn_face import drawn_face
from fake_models import GrayPortrait, fake_models
from live_voice import LiveVoice

from talkinghead import AudioError, AvatarSession, CropOptions, OptionError, Options, RenderOptions, SessionError
from talkinghead.models import load_models

OPTIONS = Options(crop=CropOptions(face=1), render=RenderOptions(fps=50))
PICTURE = np.full((240, 320, 3), 40, np.uint8)


@pytest.fixture
def models():
    return replace(fake_models(), voice=LiveVoice())


@pytest.fixture
def session(models):
    with AvatarSession(PICTURE, options=OPTIONS, model=models) as session:
        yield session


def tone(seconds):
    return (8_000 * np.sin(np.arange(int(24_000 * seconds)) / 10)).astype(np.int16)


def kinds(frames):
    return [mark.kind for frame in frames for mark in frame.marks]


def until_ended(session):
    frames = []
    for frame in session.frames():
        frames.append(frame)
        if "turn_ended" in kinds([frame]):
            return frames
    raise AssertionError


def test_frames_come_in_real_time_with_their_sound(session):
    begun = time.monotonic()
    idle = list(islice(session.frames(), 10))
    assert 0.17 < time.monotonic() - begun < 0.6
    assert [frame.number for frame in idle] == list(range(10)) and idle[5].seconds == 0.1
    assert idle[0].picture.shape == (240, 320, 3) and len(idle[0].sound) == 480 and not idle[0].speaks
    sound = tone(0.3)
    session.push_audio(sound.tobytes(), 24_000)
    session.flush()
    frames = until_ended(session)
    spoken = np.concatenate([frame.sound for frame in frames if frame.speaks])
    assert np.array_equal(spoken[: len(sound)], sound) or np.array_equal(spoken[480 : 480 + len(sound)], sound)
    assert kinds(frames) == ["speech_started", "turn_ended"]


def test_coroutines_read_push_and_interrupt(session):
    async def talk():
        async with session:
            frames = []
            async for frame in session.frames():
                frames.append(frame)
                if len(frames) == 3:
                    session.push_audio(tone(5), 24_000)
                if len(frames) == 10:
                    played = session.interrupt()
                if len(frames) == 25:
                    return frames, played

    frames, played = asyncio.run(talk())
    assert kinds(frames) == ["speech_started", "interrupted"]
    mark = next(mark for frame in frames for mark in frame.marks if mark.kind == "interrupted")
    assert played == mark.played_seconds > 0
    assert sum(frame.speaks for frame in frames) * 0.02 == pytest.approx(played, abs=0.021)
    with pytest.raises(SessionError, match="closed"):
        session.push_audio(tone(1), 24_000)


def test_slow_rendering_repeats_pictures_and_keeps_the_clock(models):
    class SlowPortrait(GrayPortrait):
        def render(self, portrait, x_d, dense_residual=None):
            time.sleep(0.1)
            return super().render(portrait, x_d)

    with AvatarSession(PICTURE, options=OPTIONS, model=replace(models, portrait=SlowPortrait())) as session:
        reader, repeated = iter(session.frames()), 0
        next(reader)
        begun = time.monotonic()
        for frame in islice(reader, 60):
            assert time.monotonic() - begun - frame.seconds < 1.1
            repeated += frame.repeated
    assert 20 < repeated < 60


def test_frames_say_to_which_turn_their_sound_belongs_also_if_two_are_rendered_at_a_time(models):
    class SlowPortrait(GrayPortrait):
        def render(self, portrait, x_d, dense_residual=None):
            time.sleep(0.03)
            return super().render(portrait, x_d)

    with AvatarSession(PICTURE, options=OPTIONS, model=replace(models, portrait=SlowPortrait())) as session:
        frames = iter(session.frames())
        session.push_audio(tone(5), 24_000)
        before = list(islice(frames, 40))
        session.interrupt()
        assert session.next_turn == 1
        session.push_audio(tone(5), 24_000)
        after = list(islice(frames, 20))
    assert {frame.turn for frame in before[-10:]} == {0}
    assert 1 <= sum(frame.turn == 0 for frame in after) <= 4  # being rendered; a frame is half as long as a motion's
    assert all(frame.turn == 1 for frame in after[4:])


def test_the_newest_reader_goes_on_and_the_one_before_is_told(session):
    first = iter(session.frames())
    assert next(first).number == 0
    assert next(iter(session.frames())).number == 1
    with pytest.raises(SessionError, match="read elsewhere"):
        next(first)


def test_loops_in_coroutines_follow_each_other(session):
    async def read():
        numbers = []
        for _ in range(3):
            async for frame in session.frames():
                numbers.append(frame.number)
                if frame.number % 2:
                    break
        return numbers

    assert asyncio.run(read()) == [0, 1, 2, 3, 4, 5]


def test_closing_ends_the_frames_and_leaves_no_thread(models):
    before = set(threading.enumerate())
    session = AvatarSession(PICTURE, options=OPTIONS, model=models)
    closing = threading.Timer(0.1, session.close)
    closing.start()
    assert len(list(session.frames())) < 30
    closing.join()  # frames can end before its thread does
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert all(name.startswith("avatar") for name in left)  # shared by all sessions


def test_closing_in_another_thread_while_frames_are_asked_for(session):
    frames = session.frames(real_time=False)
    reader = iter(frames)
    next(reader)
    session._mover.shutdown()  # what `close` does just after the reader has looked whether the session is closed
    assert len(list(islice(reader, 10))) < 10 and session.is_closed


def test_several_sessions_share_models(models):
    sessions = [AvatarSession(PICTURE, options=OPTIONS, model=models) for _ in range(3)]
    readers = [iter(session.frames()) for session in sessions]
    sessions[1].push_audio(tone(0.4), 24_000)
    frames = [[next(reader) for reader in readers] for _ in range(20)]
    assert ["speech_started" in kinds(column) for column in zip(*frames, strict=True)] == [False, True, False]
    for session in sessions:
        session.close()


def test_an_error_ends_the_session(models):
    class BrokenPortrait(GrayPortrait):
        def render(self, portrait, x_d, dense_residual=None):
            raise MemoryError("no memory")

    session = AvatarSession(PICTURE, options=OPTIONS, model=replace(models, portrait=BrokenPortrait()))
    with pytest.raises(MemoryError):
        next(iter(session.frames()))
    with pytest.raises(SessionError):
        session.flush()


def test_bad_arguments(session, models):
    with pytest.raises(AudioError, match="3 bytes"):
        session.push_audio(b"\0\0\0", 24_000)
    with pytest.raises(AudioError, match="rate"):
        session.push_audio(b"\0\0", 0)
    for rate in (24_001, 1_000, "fast"):
        with pytest.raises(OptionError, match="sample_rate"):
            AvatarSession(PICTURE, model=models, sample_rate=rate)


def test_the_networks_that_ship_idle_speak_and_close_the_lips():
    options = Options(crop=CropOptions(face_only=True, size=64))
    voice = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    models = load_models("mini", "cpu")
    with AvatarSession(drawn_face(256), options=options, model=models, sample_rate=16_000) as session:
        session.push_audio(voice, 16_000)
        frames = list(islice(session.frames(), 12))
        assert frames[0].marks[0].kind == "speech_started"
        session.interrupt()
        frames = list(islice(session.frames(), 6))
        assert kinds(frames) == ["interrupted"] and not frames[-1].sound.any()
