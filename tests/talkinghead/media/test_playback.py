"""Frames of a video in any order: to and fro with eased turns, held, stretched; read in constant memory."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest
from gray_videos import gray_levels, gray_video, unsteady_video

from talkinghead.media import playback
from talkinghead.media.playback import frames_within, play, play_order
from talkinghead.media.timing import steady
from talkinghead.media.video import probe_video, read_frames

RATE = Fraction(25)


def order(length, count, loop, fps=RATE, **start):
    return play_order(length, count, loop, fps, RATE, **start)


def test_a_video_that_is_long_enough_plays_once():
    for loop in ("pingpong", "hold", "cut"):
        assert order(50, 50, loop) == list(range(50))


def test_to_and_fro_with_eased_turns():
    shown = order(50, 200, "pingpong")
    steps = [after - before for before, after in pairwise(shown)]
    assert min(shown) == 0 and max(shown) == 49 and max(map(abs, steps)) <= 2
    assert shown[:39] == list(range(39))  # it begins at full speed
    assert shown[49] == 49 and shown[98] == 0 and shown[147] == 49  # and keeps its tempo
    assert all(abs(step) <= 1 for step in steps[46:52])  # slow around the turn
    assert shown[48:51] == [49, 49, 49]


def test_a_later_part_goes_on_where_the_earlier_one_ended():
    whole = order(30, 100, "pingpong")
    assert order(30, 60, "pingpong", start=40) == whole[40:]


def test_other_ways_to_become_longer():
    assert order(3, 5, "hold") == [0, 1, 2, 2, 2]
    assert order(3, 5, "stretch") == [0, 0, 1, 2, 2]
    assert order(5, 3, "stretch") == [0, 2, 4]
    assert order(1, 3, "pingpong") == [0, 0, 0]
    assert order(4, 8, "hold", Fraction(50)) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("kept", [3, 250])
def test_backwards_is_forwards_reversed(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(playback, "_MOST_KEPT", kept)
    levels = [40 + 5 * n for n in range(30)]
    video = probe_video(gray_video(tmp_path / "a.mp4", levels))
    turns = [*range(30), *range(28, -1, -1), 1, 2, 3, 20, 7]
    assert gray_levels(play(video, turns)) == pytest.approx([levels[n] for n in turns], abs=2)


def test_frames_are_counted_by_their_times(tmp_path):
    file = unsteady_video(tmp_path / "v.mp4", [*range(10), *range(10, 40, 2)])
    video = probe_video(file)
    expected = gray_levels(frame.picture for frame in steady(read_frames(file), video.fps))
    assert gray_levels(play(video, range(len(expected)))) == expected
    assert gray_levels(play(video, range(len(expected) - 1, -1, -1))) == expected[::-1]


def test_a_format_without_an_index_is_read_from_its_beginning(tmp_path):
    gray_video(tmp_path / "a.mp4", [40 + 5 * n for n in range(12)])
    with av.open(str(tmp_path / "a.mp4")) as given, av.open(str(tmp_path / "a.ts"), "w", format="mpegts") as taken:
        stream = taken.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                taken.mux(packet)
    video = probe_video(tmp_path / "a.ts")
    assert gray_levels(play(video, [11, 10, 2])) == pytest.approx([95, 90, 50], abs=2)


def test_beyond_the_end_the_last_frame_stays(tmp_path):
    video = probe_video(gray_video(tmp_path / "a.mp4", [40, 80]))
    assert gray_levels(play(video, [0, 1, 2, 5])) == pytest.approx([40, 80, 80, 80], abs=2)


def test_frames_of_a_part():
    assert frames_within(Fraction(1), Fraction(2), RATE, 100) == range(25, 50)
    assert frames_within(Fraction(0), None, RATE, 10) == range(10)
    assert frames_within(Fraction(3), Fraction(9), RATE, 10) == range(10, 10)
