"""Clips joined without coding them again, in every format."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from talkinghead.errors import OutputError
from talkinghead.media.audio import probe_sound
from talkinghead.media.files import new_output
from talkinghead.media.formats import MOV_ALPHA, MP4, WEBM, WEBM_ALPHA, choose_format
from talkinghead.media.splice import Mark, Splice, write_splice
from talkinghead.media.video import VideoWriter, read_frames

COUNTS = (1, 2, 7, 20)


def make(folder, kind, fps):
    """Write clips whose corner brightens by six a frame, and join them."""
    soundfile.write(folder / "a.wav", np.sin(np.arange(48_000 * 2) / 20) * 0.3, 48_000)
    ground = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    clips, shown = [], 0
    for count in COUNTS:
        clips.append((folder / f"{count}{kind.suffix}", count))
        with VideoWriter(clips[-1][0], fps, (64, 64), kind=kind, overwrite=True) as writer:
            for _ in range(count):
                picture = np.roll(ground, shown * 3, 1)
                picture[:8, :8] = shown * 6
                shown += 1
                writer.write(np.dstack([picture, np.full((64, 64), 200, np.uint8)]) if kind.alpha else picture)
    file = folder / f"all{kind.suffix}"
    write_splice(
        file, Splice(clips, probe_sound(folder / "a.wav"), fps, kind, [Mark("A", 0, 3), Mark("B", 3, 30)], "T")
    )
    return file


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
@pytest.mark.parametrize("kind", [MP4, WEBM, WEBM_ALPHA, MOV_ALPHA])
def test_every_frame_is_where_it_belongs(tmp_path, kind, fps):
    file = make(tmp_path, kind, fps)
    frames = list(read_frames(file))
    levels = [float(frame.picture[2:6, 2:6].mean()) for frame in frames]
    assert levels == pytest.approx([n * 6 for n in range(sum(COUNTS))], abs=6)
    assert [float(frame.seconds * fps) for frame in frames] == pytest.approx(range(30), abs=0.02)
    with av.open(str(file)) as video:
        starts = [float(chapter["start"] * chapter["time_base"] * fps) for chapter in video.chapters()]
        assert starts == pytest.approx([0, 3], abs=0.02) and video.metadata["title"] == "T"
        assert "compositeWithTrainedAlgorithmicMedia" in str(video.metadata.values())
    assert float(probe_sound(file).seconds) == pytest.approx(2, abs=0.03)
    first = file.read_bytes()
    assert make(tmp_path, kind, fps).read_bytes() == first


def test_alpha_is_in_the_file(tmp_path):
    file = make(tmp_path, WEBM_ALPHA, Fraction(25))
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(file)) as video:
        frames = [frame for packet in video.demux(video.streams.video[0]) for frame in decoder.decode(packet)]
    assert len(frames) == 30 and np.abs(frames[5].to_ndarray(format="rgba")[..., 3].astype(int) - 200).max() < 4
    assert b"\x53\xc0\x81\x01" in file.read_bytes()  # Matroska's AlphaMode, which tells players to look for it


def test_clips_that_are_not_alike_are_refused(tmp_path):
    file = make(tmp_path, MP4, Fraction(25))
    other = tmp_path / "other.mp4"
    with VideoWriter(other, Fraction(25), (32, 32)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
    sound = probe_sound(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="unlike the first"), new_output(tmp_path / "b.mp4") as partial:
        write_splice(partial, Splice([(file, 30), (other, 1)], sound, Fraction(25), MP4))
    assert not (tmp_path / "b.mp4").exists() and not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(("name", "alpha"), [("a.mp4", True), ("a.mov", False), ("a.gif", False)])
def test_names_that_stand_for_no_format(tmp_path, name, alpha):
    with pytest.raises(OutputError, match="give a name that ends in one of them"):
        choose_format(tmp_path / name, alpha=alpha)
