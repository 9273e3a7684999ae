"""What is where in the picture: layouts, slides, backgrounds, transparency."""

import os
from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from talkinghead import CropOptions, RenderOptions
from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.media.video import VideoWriter, read_frames
from talkinghead.narration import matte
from talkinghead.narration.assembly import find_slides
from talkinghead.narration.background import open_background
from talkinghead.narration.caption_painter import CaptionPainter
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.layouts import LayoutBox, plan, window
from talkinghead.narration.narrate import narrate
from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions
from talkinghead.narration.script import Script

TEXT = "# One\n\nHello.\n\n# Two\n\nBye.\n"


class LeftHalf:
    """Takes the left half of every picture for a person."""

    def find(self, picture):
        mask = np.zeros(picture.shape[:2], np.float32)
        mask[:, : picture.shape[1] // 2] = 1
        return mask


@pytest.fixture
def make(tmp_path, hum, models, source, monkeypatch):
    monkeypatch.setattr(matte, "PersonFinder", LeftHalf)

    def make(text=TEXT, name="out.mp4", script="script.md", size=None, **scene):
        (tmp_path / script).write_text(text)
        options = NarrationOptions(
            crop=CropOptions(size=size),
            scene=SceneOptions(**scene),
            captions=CaptionOptions(captions=False),
            render=RenderOptions(overwrite=True, crf=5),
        )
        summary = narrate(source, tmp_path / script, tmp_path / name, options=options, model=models)
        return summary.file, [frame.picture for frame in read_frames(summary.file)]

    return make


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    for name, colour in (("1.png", (250, 0, 0)), ("2.png", (0, 0, 250))):
        Image.new("RGB", (160, 90), colour).save(folder / name)
    return folder


def near(pixel, colour):
    return np.abs(pixel.astype(int) - colour).max() < 12


def test_windows_keep_the_shape_of_the_box_and_the_face_in_the_middle():
    assert window((100, 200), LayoutBox(0, 0, 160, 90), (150, 50)) == LayoutBox(0, 122, 100, 56)
    assert window((100, 200), LayoutBox(0, 0, 160, 90), (199, 50)) == LayoutBox(0, 144, 100, 56)
    assert window((200, 100), LayoutBox(0, 0, 50, 100), (50, 0)) == LayoutBox(0, 0, 50, 100)


@pytest.mark.parametrize(
    ("name", "slides", "size"),
    [("full", False, (192, 256)), ("circle", True, (360, 640)), ("portrait", True, (640, 360))],
)
def test_sizes(name, slides, size):
    layout = plan(name, (191, 255), 640, 2, slides=slides)
    assert layout.size == size and len(layout.speakers) == 2 and layout.cut
    for box in (*layout.speakers, *([layout.slide] if layout.slide else [])):
        assert box.top + box.height <= size[0] and box.left + box.width <= size[1]


def test_every_chapter_has_its_slide(make, slides):
    _, frames = make(slides=str(slides), size=320)
    assert frames[0].shape == (180, 320, 3)
    assert near(frames[0][20, 20], (250, 0, 0)) and near(frames[-1][20, 20], (0, 0, 250))
    assert not near(frames[0][140, 280], (250, 0, 0))  # the speaker is in the lower right corner
    assert near(frames[0][172, 240], (250, 0, 0))  # outside of the circle, inside of its box


def test_nine_to_sixteen_with_slides(make, slides):
    _, frames = make(slides=str(slides), layout="portrait", size=320)
    assert frames[0].shape == (320, 180, 3) and near(frames[0][50, 90], (250, 0, 0))
    assert not near(frames[0][200, 90], (250, 0, 0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layout": "circle"}, "needs something around it"),
        ({"layout": "full", "slides": "slides"}, "no room for slides"),
        ({"layout": "round"}, "layout 'round' is none of"),
        ({"alpha": True, "background": "red"}, "leave one of them out"),
        ({"slides": "none"}, "no such folder of slides"),
    ],
)
def test_what_does_not_go_together(make, given, message):
    with pytest.raises(OptionError, match=message):
        make(**given)


def test_a_missing_slide_is_named(make, slides, tmp_path):
    (slides / "2.png").unlink()
    with pytest.raises(ScriptError, match=r"chapter 2 \('Two'\) has no slide"):
        make(slides=str(slides))
    (slides / "1.png").unlink()
    with pytest.raises(ScriptError, match="has no pictures"):
        make(slides=str(slides))
    assert not (tmp_path / "out.mp4").exists()


def test_a_background_is_behind_the_person_only(make):
    _, plain = make(name="plain.mp4")
    _, frames = make(background="#00c800")
    assert all(near(frame[:, 200:].mean(axis=(0, 1)), (0, 200, 0)) for frame in frames)
    assert np.abs(frames[5][:, :100].astype(int) - plain[5][:, :100]).mean() < 3


def test_a_background_video_plays_on_from_shot_to_shot_and_repeats(tmp_path, make):
    with VideoWriter(tmp_path / "loop.mp4", Fraction(25), (64, 64)) as writer:
        for n in range(20):
            writer.write(np.full((64, 64, 3), n * 10, np.uint8))
    _, frames = make(background=str(tmp_path / "loop.mp4"))
    levels = [float(frame[:, 200:].mean()) for frame in frames]
    assert levels == pytest.approx([n % 20 * 10 for n in range(len(frames))], abs=8)
    moving = open_background(str(tmp_path / "loop.mp4"))
    shown = [float(picture.mean()) for picture in islice(moving.pictures((8, 8), 110, Fraction(50)), 12)]
    assert shown == pytest.approx([(55 + n // 2) % 20 * 10 for n in range(12)], abs=8)


@pytest.mark.parametrize(("given", "error"), [("none.png", InputNotFoundError), ("no colour", OptionError)])
def test_backgrounds_that_are_none(given, error):
    with pytest.raises(error, match=given):
        open_background(given)


def test_alpha_composited_over_a_colour(make):
    file, _ = make(name="out.webm", alpha=True)
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(file)) as video:
        frames = [frame for packet in video.demux(video.streams.video[0]) for frame in decoder.decode(packet)]
    picture = frames[5].to_ndarray(format="rgba").astype(float)
    share = picture[..., 3:] / 255
    shown = picture[..., :3] * share + np.array([200, 0, 200]) * (1 - share)
    assert near(shown[:, 140:].mean(axis=(0, 1)), (200, 0, 200)) and np.allclose(share[:, :110], 1, atol=0.02)


def test_prores_alpha(make):
    file, _ = make(name="out.mov", alpha=True)
    with av.open(str(file)) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgba")
    assert frame[:, :110, 3].min() > 250 and frame[:, 140:, 3].max() < 5


DIALOGUE = {
    "speakers": {"ada": {}, "ben": {"background": "#0000ff"}},
    "script": [{"ada": "Hello."}, {"ben": "Hello."}],
}


def test_one_speaker_after_another(make):
    _, frames = make(yaml.safe_dump(DIALOGUE), script="a.yaml")
    blue = [near(frame[:, 200:].mean(axis=(0, 1)), (0, 0, 255)) for frame in frames]
    assert blue == sorted(blue) and 0 < sum(blue) < len(blue)


def test_side_by_side_the_listener_is_there_too(make, models):
    _, frames = make(yaml.safe_dump({**DIALOGUE, "layout": "side-by-side"}), script="a.yaml", size=320)
    assert frames[0].shape == (180, 320, 3) and sum(models.portrait.batches) == 2 * len(frames)
    assert not near(frames[0][:, 60:100].mean(axis=(0, 1)), (0, 0, 255))


def test_nobody_there(make, tmp_path):
    with pytest.raises(ScriptError, match="'eve' is neither a speaker"):
        make(yaml.safe_dump({**DIALOGUE, "script": [{"eve": "Hello."}]}), script="a.yaml")


def test_selfie_model_sees_no_person_in_noise():
    from talkinghead.face.landmarks import PersonFinder

    mask = PersonFinder().find(np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8))
    assert mask.shape == (80, 120) and mask.mean() < 0.5


@pytest.mark.parametrize("name", ["pipe.ttf", "a" * 300])
def test_fonts_backgrounds_and_slides_that_are_no_files(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.ttf")
    given = str(tmp_path / name)
    with pytest.raises(OptionError):
        CaptionPainter((64, 64), CaptionOptions(caption_font=given))
    with pytest.raises((OptionError, InputNotFoundError)):
        open_background(given)
    with pytest.raises(OptionError, match="no such folder"):
        find_slides(Script(tmp_path / "s.md", ()), SceneOptions(slides=given))
