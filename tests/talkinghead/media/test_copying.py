"""A part of a video is new, the rest is copied: packets bit for bit, at their times, in one stream."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from talkinghead.media.audio import probe_sound
from talkinghead.media.copying import Changes, plan_copy
from talkinghead.media.formats import MP4, WEBM
from talkinghead.media.h264 import Header, nal_units
from talkinghead.media.mix import Layer, mix
from talkinghead.media.video import VideoWriter, probe_video, read_frames
from talkinghead.options import ProvenanceOptions
from talkinghead.provenance.marks import Marks

RATE, GROUP, COUNT = 44_100, 12, 60
PLAIN = Marks(ProvenanceOptions(watermark=False, c2pa=False))


def make(file, fps=Fraction(25), times=range(COUNT), codec="libx264", pixels="yuv420p", **options):
    """Write moving stripes with B-frames and a tone."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"g": str(GROUP), "crf": "10", "bf": "2"} | options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        sound = container.add_stream("aac", rate=RATE, layout="stereo")
        for n, time in enumerate(times):
            rows = ((np.arange(48)[:, None] * 5 + np.arange(64) * 3 + n * 7) % 200 + 20).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(rows[..., None].repeat(3, 2), format="rgb24")
            frame.pts, frame.time_base = time, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        wave = (0.3 * np.sin(np.arange(round(COUNT / fps * RATE)) * 0.05)).astype(np.float32)
        for start in range(0, len(wave), 1024):
            block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].repeat(2, 0), "fltp", "stereo")
            block.pts, block.sample_rate = start, RATE
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return file


def packets(file, kind):
    with av.open(str(file)) as container:
        return {packet.pts * packet.time_base: bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size}


def change(source, output, *parts, marks=PLAIN, color=(255, 255, 255), crf=18):
    """Paint a square into the frames of some parts of a video, and write the video."""
    file = probe_video(source)
    frames = [frame.picture for frame in read_frames(source)]
    changed = np.zeros(len(frames), bool)
    for start, stop in parts:
        changed[start:stop] = True
    ducked = tuple((start / 25, stop / 25) for start, stop in parts)
    own = probe_sound(source).starting_at(file.begins)
    sound = mix([Layer(own, volume=0.2, ducked=ducked)], len(frames) / file.fps, own)
    changes = Changes(file, changed, ducked)
    plan, remarks = plan_copy(changes, file.size, file.fps, sound, MP4, marks)
    pictures = [picture.copy() for picture in frames]
    for n in np.flatnonzero(changed):
        pictures[n][10:30, 20:40] = color
    with VideoWriter(output, file.fps, file.size, sound, crf, marks=marks, plan=plan) as writer:
        for picture in pictures:
            writer.write(picture)
    return plan, remarks, frames


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (20, 30), (55, 60)])
def test_groups_outside_the_part_are_copied_bit_for_bit(tmp_path, start, stop):
    source, output = make(tmp_path / "s.mp4"), tmp_path / "o.mp4"
    plan, remarks, frames = change(source, output, (start, stop))
    assert plan and remarks == ()
    before, after = packets(source, "video"), packets(output, "video")
    first, last = start // GROUP * GROUP, -(-stop // GROUP) * GROUP
    assert list(after) == sorted(after, key=list(after).index) and set(before) == set(after)
    for time, data in before.items():
        assert (after[time] == data) == (not first <= time * 25 < last)
    shown = [frame.picture.astype(int) for frame in read_frames(output)]
    assert len(shown) == COUNT
    for n, (old, new) in enumerate(zip(frames, shown, strict=True)):
        is_changed = start <= n < stop
        assert new[12:28, 22:38].mean() > 245 or not is_changed
        difference = np.abs(old - new)[32 if is_changed else 0 :]
        assert difference.mean() < 3 if first <= n < last else (difference == 0).all()
    times = [float(frame.seconds * 25) for frame in read_frames(output)]
    assert times == pytest.approx(range(COUNT), abs=0.01)


def test_several_parts(tmp_path):
    source, output = make(tmp_path / "s.mp4"), tmp_path / "o.mp4"
    plan, _, frames = change(source, output, (2, 5), (27, 30), (58, 60))
    assert plan and [run.is_copied for run in plan.runs] == [False, True] * 2 + [False]
    shown = [frame.picture.astype(int) for frame in read_frames(output)]
    assert max(np.abs(a - b)[32:].mean() for a, b in zip(frames, shown, strict=True)) < 3
    assert all(shown[n][12:28, 22:38].mean() > 245 for n in (2, 29, 59))
    with av.open(str(output)) as container:
        assert [packet.duration for packet in container.demux(video=0) if packet.size] == [512] * COUNT


def test_sound_outside_the_part_is_copied_too(tmp_path):
    source, output = make(tmp_path / "s.mp4"), tmp_path / "o.mp4"
    change(source, output, (20, 30))
    before, after = packets(source, "audio"), packets(output, "audio")
    assert list(before) == list(after)
    for time, data in before.items():
        assert (after[time] == data) == (time + Fraction(2048, RATE) + 0.05 <= 0.8 or time - 0.05 >= 1.2)
    old, new = (np.concatenate([f.to_ndarray()[0] for f in probe_sound(f).decoded()]) for f in (source, output))
    assert len(old) == len(new)
    loud = new[int(0.9 * RATE) : int(1.1 * RATE)].std() / old[int(0.9 * RATE) : int(1.1 * RATE)].std()
    assert loud == pytest.approx(0.2, abs=0.02)
    outside = np.abs(old - new)[np.r_[: int(0.74 * RATE), int(1.26 * RATE) : len(old) - 1024]]
    assert outside.max() < 0.002


@pytest.mark.parametrize(
    "options", [{"bf": "0"}, {"bf": "3", "b-pyramid": "normal"}, {"profile": "baseline"}, {"profile": "main"}]
)
def test_any_order_of_decoding(tmp_path, options):
    source, output = make(tmp_path / "s.mp4", Fraction(30000, 1001), **options), tmp_path / "o.mp4"
    plan, _, frames = change(source, output, (20, 30))
    assert plan and [run.is_copied for run in plan.runs] == [True, False, True]
    shown = list(read_frames(output))
    assert [round(frame.seconds * 30000 / 1001) for frame in shown] == list(range(COUNT))
    assert max(np.abs(a - b.picture.astype(int))[32:].mean() for a, b in zip(frames, shown, strict=True)) < 3


@pytest.mark.parametrize("crf", [0, 1])
def test_the_best_quality_is_not_lossless(tmp_path, crf):
    """Lossless frames need a profile that neither the copied frames nor many players have."""
    source, output = make(tmp_path / "s.mp4"), tmp_path / "o.mp4"
    plan, _, frames = change(source, output, (20, 30), crf=crf)
    shown = list(read_frames(output))
    assert plan and np.abs(frames[25].astype(int) - shown[25].picture)[32:].mean() < 1
    with VideoWriter(tmp_path / "n.mp4", Fraction(25), frames[0].shape[:2], None, crf=1) as writer:
        writer.write(frames[0])
    with av.open(str(tmp_path / "n.mp4")) as container:
        assert container.streams.video[0].codec_context.profile == "High"


def test_open_groups_are_not_parted(tmp_path):
    """Each group begins with frames that need the one before; only the first of all can be decoded alone."""
    source = make(tmp_path / "s.mp4", **{"x264-params": "open-gop=1"})
    with av.open(str(source)) as container:
        begun = [packet for packet in container.demux(video=0) if packet.size and packet.is_keyframe]
    assert len(begun) > 1
    plan, (remark,), _ = change(source, tmp_path / "o.mp4", (20, 30))
    assert plan is None and "too few key frames" in remark


def test_a_video_on_its_side_stays_so(tmp_path):
    upright, source = make(tmp_path / "u.mp4"), tmp_path / "s.mp4"
    data = bytearray(upright.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    source.write_bytes(data)
    plan, _, frames = change(source, tmp_path / "o.mp4", (20, 30))
    shown = [frame.picture.astype(int) for frame in read_frames(tmp_path / "o.mp4")]
    assert plan and shown[0].shape == (64, 48, 3)
    assert all((a == b).all() for a, b in zip(frames[:12] + frames[36:], shown[:12] + shown[36:], strict=True))
    assert shown[25][12:28, 22:38].mean() > 245
    assert max(np.abs(a - b)[32:].mean() for a, b in zip(frames, shown, strict=True)) < 3


def test_encoded_frames_have_the_files_colours(tmp_path):
    source = make(tmp_path / "s.mp4", colorspace="smpte170m", color_range="pc")
    change(source, tmp_path / "o.mp4", (20, 30), color=(200, 40, 60))
    shown = list(read_frames(tmp_path / "o.mp4"))[25].picture
    assert shown[14:26, 24:36].mean((0, 1)) == pytest.approx((200, 40, 60), abs=4)


def test_only_encoded_frames_are_watermarked(tmp_path):
    source = make(tmp_path / "s.mp4")
    marked = Marks(ProvenanceOptions(c2pa=False), source, (source,))
    change(source, tmp_path / "o.mp4", (20, 30), marks=marked)
    change(source, tmp_path / "p.mp4", (20, 30))
    one, other = (packets(tmp_path / name, "video") for name in ("o.mp4", "p.mp4"))
    assert {round(time * 25) for time in one if one[time] != other[time]} == set(range(12, 36))


def test_what_cannot_be_copied_is_said(tmp_path):
    def remark(source, kind=MP4, fps=Fraction(25), marks=PLAIN, count=COUNT):
        file = probe_video(source)
        changes = Changes(file, np.arange(count) < 3, [])
        plan, (said,) = plan_copy(changes, file.size, fps, None, kind, marks)
        assert plan is None and said.startswith(str(source))
        return said

    source = make(tmp_path / "s.mp4")
    file = probe_video(source)
    assert plan_copy(Changes(file, np.ones(COUNT, bool), []), file.size, file.fps, None, MP4, PLAIN) == (None, ())
    assert "label" in remark(source, marks=Marks(ProvenanceOptions(label="AI")))
    assert "frame rate" in remark(source, fps=Fraction(30)) and "format" in remark(source, WEBM)
    assert "no MP4" in remark(make(tmp_path / "s.mkv"))
    assert "mpeg4" in remark(make(tmp_path / "4.mp4", codec="mpeg4"))
    assert "varies" in remark(make(tmp_path / "v.mp4", times=[n + n // 30 * 9 for n in range(COUNT)]))
    assert "too few key frames" in remark(make(tmp_path / "g.mp4", g="250"))
    assert "interlaced" in remark(make(tmp_path / "i.mp4", flags="+ildct+ilme"))
    assert "unusual" in remark(make(tmp_path / "r.mp4", profile="high10", pixels="yuv420p10le"))


def test_headers_and_packets_are_read_and_written(tmp_path):
    with av.open(str(make(tmp_path / "s.mp4"))) as container:
        data = container.streams.video[0].codec_context.extradata
        packet = next(container.demux(video=0))
        assert [unit[0] & 31 for unit in nal_units(bytes(packet))][-1] == 5
    header = Header.parse(data)
    assert bytes(header) == data and header.free_id() == 1
    other = replace(header, level=51, constraints=0)
    both = Header.parse(bytes(header.joined(other)))
    assert both.level == 51 and both.sps == header.sps * 2 and both.pps == header.pps * 2
    for damaged in (b"", data[:9], data[:-9], b"\0" + data[1:]):
        with pytest.raises(ValueError, match="avcC"):
            Header.parse(damaged)
    with pytest.raises(ValueError, match="damaged"):
        list(nal_units(b"\0\0\0\x09\x65"))
