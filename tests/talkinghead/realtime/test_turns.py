"""What an avatar says: turns, waiting, interruptions, and an hour of them."""

import random
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from live_voice import LiveVoice

from talkinghead import AudioError, MotionOptions
from talkinghead.realtime.live_frames import live_frames
from talkinghead.realtime.pacing import MOST_LATE, Pacer
from talkinghead.realtime.turns import PREROLL, Turns

RATE, FRAME = 16_000, 640


@pytest.fixture
def turns():
    return Turns(LiveVoice(), RATE)


def noise(frames, seed=0):
    return np.random.default_rng(seed).integers(1, 20_000, int(frames * FRAME)).astype(np.float32) / 32_768


def lips(frame):
    return float(frame.motion.lip_ratio)


def take(turns, count):
    return [turns.next() for _ in range(count)]


def marks(frames):
    return [(number, mark.kind, mark.turn) for number, frame in enumerate(frames) for mark in frame.marks]


def test_a_turn_is_played_sample_for_sample_and_begins_and_ends_at_rest(turns):
    assert [lips(frame) for frame in take(turns, 2)] == [0, 0]
    sound = noise(10.5)
    turns.push(sound, RATE)
    turns.flush()
    frames = take(turns, 16)
    assert marks(frames) == [(0, "speech_started", 0), (10, "turn_ended", 0)]
    assert frames[10].marks[0].played_seconds == 0.44
    played = np.concatenate([frame.sound for frame in frames])
    assert played.dtype == np.int16 and np.array_equal(played[: len(sound)], np.rint(sound * 32_768))
    assert not played[len(sound) :].any()
    shown = [round(lips(frame), 2) for frame in frames]
    assert shown == [0.5, *[1.0] * 10, 0.67, 0.33, 0.0, 0.0, 0.0]


def test_lips_and_sound_stay_paired_at_any_rate_and_chunk_size():
    for rate, size in ((16_000, 160), (24_000, 7_001), (44_100, 441), (48_000, 96_000)):
        turns = Turns(LiveVoice(), 24_000)
        loud = np.repeat([1, 1, 0, 0, 0, 1, 0, 1, 1, 0] * 3, rate // 25).astype(np.float32)
        sound = loud * np.sin(2 * np.pi * 200 * np.arange(len(loud)) / rate, dtype=np.float32)
        for start in range(0, len(sound), size):
            turns.push(sound[start : start + size], rate)
        turns.flush()
        frames = take(turns, 30)
        heard = [int(np.abs(frame.sound[100:-100]).max()) > 1_000 for frame in frames]
        assert heard == [bool(each) for each in loud[rate // 50 :: rate // 25]]
        assert [lips(frame) > 0.4 for frame in frames] == heard


def test_late_sound_holds_the_lips_and_shifts_nothing(turns):
    sound = noise(20)
    turns.push(sound[: 10 * FRAME], RATE)  # with the look-ahead, for two hops
    before = take(turns, 8)
    held = take(turns, 8)
    assert all(lips(frame) == 1 for frame in (*before[1:], *held[:5]))
    assert [round(lips(frame), 2) for frame in held[5:]] == [0.67, 0.33, 0.0]
    assert not any(frame.sound.any() or frame.speaks for frame in held)
    turns.push(sound[10 * FRAME :], RATE)
    turns.flush()
    after = take(turns, 12)
    played = np.concatenate([frame.sound for frame in (*before, *after)])
    assert np.array_equal(played, np.rint(sound * 32_768))
    assert marks((*before, *held, *after)) == [(0, "speech_started", 0), (27, "turn_ended", 0)]


def test_a_turn_waits_until_it_can_go_on_in_real_time(turns):
    started = []
    for _ in range(10):
        turns.push(noise(1), RATE)
        started.append(turns.next().speaks)
    assert started == [False] * (PREROLL - 1) + [True] * (11 - PREROLL)


def test_an_interruption_drops_all_turns_and_closes_the_lips_within_200_ms(turns):
    for _ in range(2):
        turns.push(noise(50), RATE)
        turns.flush()
    take(turns, 10)
    assert turns.interrupt() == 0.4
    frames = take(turns, 5)
    assert marks(frames) == [(0, "interrupted", 0)] and frames[0].marks[0].played_seconds == 0.4
    assert not any(frame.sound.any() for frame in frames)
    assert [round(lips(frame), 2) for frame in frames] == [0.67, 0.33, 0.0, 0.0, 0.0]
    assert turns.interrupt() == 0.0 and not turns.next().marks
    turns.push(noise(10), RATE)
    turns.flush()
    assert marks(take(turns, 10)) == [(0, "speech_started", 2), (9, "turn_ended", 2)]


def test_turns_follow_each_other_and_those_without_a_frame_are_dropped(turns):
    turns.flush()
    turns.push(noise(5), RATE)
    turns.flush()
    turns.push(np.zeros(1, np.float32), 768_000)
    turns.flush()
    turns.push(noise(5), RATE)
    turns.flush()
    kinds = [(kind, turn) for _, kind, turn in marks(take(turns, 14))]
    assert kinds[:2] == [("speech_started", 0), ("turn_ended", 0)]
    assert kinds[-2:] == [("speech_started", 2), ("turn_ended", 2)]


def test_sound_that_waits_is_bounded(turns, monkeypatch):
    monkeypatch.setattr("talkinghead.realtime.turns.LONGEST_WAITING", 5)
    turns.push(noise(130), RATE)
    with pytest.raises(AudioError, match="wait to be played"):
        turns.push(noise(1), RATE)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1001), Fraction(10), Fraction(50)])
def test_other_frame_rates_cut_the_sound_exactly(turns, fps):
    frames = live_frames(turns, RATE, MotionOptions(), 1, fps, None)
    before = list(islice(frames, 3))
    sound = noise(60)
    turns.push(sound, RATE)
    turns.flush()
    frames = [*before, *islice(frames, int(3 * fps))]
    ends = np.cumsum([len(frame.sound) for frame in frames])
    assert [int(end) for end in ends] == [int((n + 1) * RATE / fps) for n in range(len(frames))]
    played = np.concatenate([frame.sound for frame in frames])
    first = int(np.flatnonzero(played)[0])
    assert np.array_equal(played[first : first + len(sound)], np.rint(sound * 32_768))
    (start, *_), (end, *_) = marks(frames)
    assert (ends[start - 1] if start else 0) <= first < ends[start]
    assert ends[end - 1] < first + len(sound) <= ends[end]


@pytest.mark.parametrize("seconds", [120, pytest.param(3600, marks=pytest.mark.slow)])
def test_a_microphone_whose_clock_is_fast_is_never_late_by_more(seconds):
    turns, chance = Turns(LiveVoice(), RATE), random.Random(0)
    pieces = [np.repeat(np.float32([loud]), FRAME) for loud in [0.5] * 40 + [0.0] * 10]
    pushed = played = 0
    for n in range(seconds * 25):
        while pushed < n * 1.005 - chance.choice([0, 0, 0, 1, 2]):  # 18 s more in an hour, and jitter
            turns.push(pieces[pushed % 50], RATE, max_delay=0.6)
            pushed += 1
        frame = turns.next()
        played += frame.speaks
        if n > 100 and n % 1000 == 0:
            assert turns._turns[0].waiting_seconds() < 0.7
            assert lips(frame) == float(frame.sound.any())
    assert played > seconds * 25 - 20
    assert 0 < pushed - played < 0.005 * pushed + 20


def test_an_hour_of_pictures_stays_on_the_clock():
    pacer, chance, now, skipped = Pacer(Fraction(25)), random.Random(0), 0.0, 0
    for n in range(3600 * 25):
        if pacer.skips(now):
            cost, skipped = 0.002, skipped + 1
        else:
            cost = chance.choice([0.02, 0.06, 0.07])
            pacer.rendered(cost * pacer.frames_ahead())  # two at a time on one core take twice as long
        now += cost
        now += pacer.wait(now)
        assert abs(now - n / 25 - 0.05) < 0.15
    assert 0.1 < skipped / n < 0.5


def test_the_clock_waits_for_a_consumer_that_pauses():
    pacer = Pacer(Fraction(25))
    assert pacer.wait(0.0) == 0
    assert pacer.wait(0.0) == pytest.approx(0.04)
    pacer.rendered(0.01)
    assert not pacer.skips(100.0)
    assert pacer.wait(100.0) == 0
    waits = [pacer.wait(100.0) for _ in range(40)]
    assert sum(wait == 0 for wait in waits) == pytest.approx(MOST_LATE * 25, abs=1)
