"""A portrait follows a driver: frames, times, sound and what is reported, with stand-ins for the networks."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch
from fake_models import SIDE, GrayPortrait, fake_models, mesh_at
from gray_videos import gray_levels, gray_video, unsteady_video
from PIL import Image

import talkinghead
from liveportrait import Motion, TemplateError
from liveportrait.templates import Template, save_template
from talkinghead import CropOptions, DriveOptions, Options, PortraitError, RenderOptions, api
from talkinghead.driver import driver as driver_module
from talkinghead.driver.extract import average_place, whole_place
from talkinghead.errors import AudioError, OptionError, OutputError, VideoError
from talkinghead.face import CropRule, NoFaceError
from talkinghead.face.crop import face_rect
from talkinghead.media.audio import probe_sound, stream_frames
from talkinghead.media.timing import positions
from talkinghead.media.video import read_frames
from talkinghead.options import EditOptions

pytestmark = pytest.mark.usefixtures("brightness_tracker")


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)


def tone(file, seconds, rate=16_000):
    soundfile.write(file, 0.3 * np.sin(np.arange(int(seconds * rate)) * 0.2), rate)
    return probe_sound(file)


def reenact(picture, file, models=None, fps=None, **drive):
    options = Options(CropOptions(face_only=True), drive=DriveOptions(**drive), render=RenderOptions(fps=fps))
    return talkinghead.reenact(picture, file, options=options, model=models or fake_models())


def test_every_driving_frame_is_followed(tmp_path, picture):
    levels = [40 + 5 * n for n in range(30)]
    models = fake_models()
    video = reenact(picture, gray_video(tmp_path / "d.mp4", levels), models)
    frames = list(video)
    assert len(video) == len(frames) == 30 and frames[0].shape == (SIDE, SIDE, 3)
    assert gray_levels(frames) == pytest.approx(levels, abs=2)
    assert max(models.portrait.batches) == RenderOptions.batch_size and len(models.portrait.encoded) == 1


@pytest.mark.parametrize("fps", ["30000/1001", "24000/1001", "50"])
def test_the_rate_is_the_drivers(tmp_path, picture, fps):
    file = gray_video(tmp_path / "d.mp4", [60] * 40, Fraction(fps))
    made = talkinghead.reenact(picture, file, tmp_path / "o.mp4", model=fake_models())
    assert made.fps == Fraction(fps) and made.frames == 40
    with av.open(str(made.file)) as container:
        assert container.streams.video[0].average_rate == Fraction(fps)


def test_another_rate_keeps_the_time(tmp_path, picture):
    video = reenact(picture, gray_video(tmp_path / "d.mp4", [40 + 4 * n for n in range(25)]), fps="50")
    assert len(video) == 50 and video.fps == 50
    assert gray_levels(video)[:48] == pytest.approx([40 + 2 * n for n in range(48)], abs=2)


def test_a_variable_rate_is_followed_by_its_times(tmp_path, picture):
    """The second half has half the rate: it lasts twice as long and comes out as smoothly."""
    file = unsteady_video(tmp_path / "v.mp4", [*range(20), *range(20, 60, 2)])
    video = reenact(picture, file, fps="25")
    assert len(video) == pytest.approx(60, abs=1)
    assert gray_levels(video)[:58] == pytest.approx([40 + 3 * n for n in range(58)], abs=3)


def test_ten_minutes_do_not_drift():
    fps, count = Fraction(30000, 1001), 17982
    times = [Fraction(round(n * 1000 / fps), 1000) for n in range(count)]  # rounded to milliseconds, as matroska has it
    places = positions(times, list(range(count)), fps)
    assert len(places) == count and places[-1] == count - 1
    slower = positions(times, list(range(count)), Fraction(25))
    assert abs(len(slower) - 15000) <= 1
    assert abs(float(slower[-1]) - float((len(slower) - 1) / Fraction(25) * fps)) < 1


def test_short_losses_are_bridged_and_long_ones_reported(tmp_path, picture):
    levels = [0] * 3 + [100] * 5 + [0] + [110] * 5 + [0] * 30 + [200] * 6
    video = reenact(picture, gray_video(tmp_path / "d.mp4", levels))
    frames = gray_levels(video)
    assert len(frames) == len(levels)
    assert frames[0] == pytest.approx(100, abs=2) and frames[8] == pytest.approx(105, abs=2)
    assert 110 < frames[25] < 200
    (note,) = video.notes
    assert "d.mp4" in note and "30 of 50 frames" in note


def test_the_sound_is_the_drivers_and_as_long(tmp_path, picture):
    file = gray_video(tmp_path / "d.mp4", [80] * 50, sound=tone(tmp_path / "a.wav", 3.0))
    made = talkinghead.reenact(picture, file, tmp_path / "o.mp4", model=fake_models())
    with av.open(str(made.file)) as container:
        audio = container.streams.audio[0]
        assert abs(float(audio.duration * audio.time_base) - 2.0) < 0.04
    silent = reenact(picture, file, audio="none")
    assert silent.sound is None
    other = reenact(picture, file, audio=str(tmp_path / "a.wav"))
    assert other.sound.seconds == 2


def test_a_part_of_the_driver_takes_its_part_of_the_sound(tmp_path, picture):
    wave = np.zeros(16_000 * 3)
    wave[16_000:32_000] = 0.5 * np.sin(np.arange(16_000) * 0.3)
    soundfile.write(tmp_path / "a.wav", wave, 16_000)
    file = gray_video(tmp_path / "d.mp4", [40 + 2 * n for n in range(75)], sound=probe_sound(tmp_path / "a.wav"))
    options = Options(CropOptions(face_only=True), drive=DriveOptions(trim="1:2"))
    made = talkinghead.reenact(picture, file, tmp_path / "o.mp4", options=options, model=fake_models())
    assert made.frames == 25
    levels = gray_levels(frame.picture for frame in read_frames(made.file))
    assert levels == pytest.approx([90 + 2 * n for n in range(25)], abs=4)
    samples = np.concatenate([frame.to_ndarray()[0] for frame in stream_frames(made.file, 16_000, "mono")])
    assert len(samples) == pytest.approx(16_000, abs=1100)
    assert np.abs(samples[800:15_000]).reshape(-1, 100).max(1).min() > 0.3


def test_a_driver_goes_back_and_forth_while_the_sound_lasts(tmp_path, picture):
    tone(tmp_path / "a.wav", 0.4)
    file = gray_video(tmp_path / "d.mp4", [60, 100, 140, 180])
    assert len(reenact(picture, file, audio=str(tmp_path / "a.wav"))) == 4
    video = reenact(picture, file, audio=str(tmp_path / "a.wav"), loop=True)
    assert gray_levels(video) == pytest.approx([60, 100, 140, 180, 140, 100, 60, 100, 140, 180], abs=2)


def test_regions_and_strengths_reach_the_model(tmp_path, picture):
    file = gray_video(tmp_path / "d.mp4", [100] * 3)
    assert gray_levels(reenact(picture, file, lip_strength=2.0, strength=0.5)) == pytest.approx([100] * 3, abs=2)
    assert gray_levels(reenact(picture, file, region="all-lip")) == [0] * 3
    rules = driver_module.driving_rules(DriveOptions(region="pose+eyes", eye_strength=0.5, strength=2.0))
    assert (rules.head, rules.eyes, rules.lips, rules.brows, rules.face) == (1.0, 0.5, 0, 0, 0)
    assert rules.strength == 2.0 and (rules.by_part().head, rules.by_part().eyes) == (2.0, 1.0)


def test_the_anchor_is_neutral_or_the_one_asked_for(tmp_path, picture):
    file = gray_video(tmp_path / "d.mp4", [200, 160, 40, 120])
    for asked, level in (("auto", 40), (0, 200), ("3", 120)):
        models = fake_models()
        list(reenact(picture, file, models, anchor=asked))
        assert float(models.portrait.anchors[0].lip_ratio) * 255 == pytest.approx(level, abs=2)
    with pytest.raises(OptionError, match=r"anchor is frame 4.*4 frames"):
        reenact(picture, file, anchor=4)


def test_what_cannot_drive(tmp_path, picture):
    with pytest.raises(NoFaceError, match=r"d\.mp4.*10 frames"):
        reenact(picture, gray_video(tmp_path / "d.mp4", [0] * 10))
    with pytest.raises(VideoError, match="trim"):
        reenact(picture, gray_video(tmp_path / "e.mp4", [90] * 10), trim="5:6")
    (tmp_path / "f.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match=r"f\.mp4"):
        reenact(picture, tmp_path / "f.mp4")
    with pytest.raises(PortraitError, match=r"missing\.mp4"):
        reenact(picture, tmp_path / "missing.mp4")


def test_corrupt_last_frames_are_left_out(tmp_path, picture):
    file = tmp_path / "d.ts"
    gray_video(tmp_path / "d.mp4", [100] * 50)
    with av.open(str(tmp_path / "d.mp4")) as given, av.open(str(file), "w", format="mpegts") as taken:
        stream = taken.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                taken.mux(packet)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle:] = np.random.default_rng(0).integers(0, 255, len(content) - middle, np.uint8).tobytes()
    file.write_bytes(content)
    frames = list(reenact(picture, file))
    assert 0 < len(frames) <= 50


def test_memory_does_not_grow_with_pictures(tmp_path, picture):
    """Frames are handed on one by one: while the driver is watched, no more than a few are alive."""
    import weakref

    file, alive, most = gray_video(tmp_path / "d.mp4", [100] * 60), weakref.WeakSet(), 0

    class Kept:
        def __init__(self, frame):
            self.picture, self.seconds = frame.picture, frame.seconds

    def progress(frames, total, stage):
        nonlocal most
        for frame in frames:
            kept = Kept(frame)
            alive.add(kept)
            most = max(most, len(alive))
            yield kept

    talkinghead.reenact(picture, file, model=fake_models(), progress=progress)
    assert most <= 3


def test_a_template_drives_as_its_video_does(tmp_path, picture):
    levels = [200, 160, 0, 40, 120] + [90] * 12
    file = gray_video(tmp_path / "d.mp4", levels, Fraction(30000, 1001))
    made = api.template(file, tmp_path / "m.safetensors", model=fake_models())
    assert len(made.motion) == 17
    models = fake_models()
    from_video, from_template = (reenact(picture, given, models) for given in (file, tmp_path / "m.safetensors"))
    assert from_template.fps == Fraction(30000, 1001) and from_template.sound is None
    assert all((a == b).all() for a, b in zip(from_video, from_template, strict=True))
    assert torch.equal(models.portrait.anchors[0].lip_ratio, models.portrait.anchors[-1].lip_ratio)
    cut = reenact(picture, tmp_path / "m.safetensors", trim="0.1:0.2")
    assert gray_levels(cut) == pytest.approx([40, 120, 90], abs=2)


class ResidualReader(GrayPortrait):
    """Reads how much brighter a driver is than its first frame, and notes the dense residuals that it is to render."""

    reads_dense_residual = True

    def __init__(self):
        super().__init__()
        self.residuals = []

    def read_dense_residual(self, reference, crop, search):
        change = crop.image.mean((1, 2, 3)) - reference.image.mean()
        return change[:, None, None, None].expand(-1, 3, 2, 2)

    def render(self, portrait, x_d, dense_residual=None):
        self.residuals.append(dense_residual)
        return super().render(portrait, x_d)


@pytest.mark.parametrize(("drive", "scale"), [({}, 1.0), ({"expression_strength": 0.5}, 0.5)])
def test_the_dense_residual_is_the_change_since_the_anchor_scaled_like_the_expression(tmp_path, picture, drive, scale):
    levels = [200, 100, 40, 120]
    models = replace(fake_models(), portrait=ResidualReader())
    list(reenact(picture, gray_video(tmp_path / "d.mp4", levels), models, smooth=0.0, anchor=2, **drive))
    found = torch.cat(models.portrait.residuals)[:, 0, 0, 0]
    change = torch.tensor([160.0, 60.0, 0.0, 80.0]) / 255 * scale
    assert torch.allclose(found / found[0], change / change[0], atol=0.03)
    assert found[2] == 0


@pytest.mark.parametrize("drive", [{"dense_residual": False}, {"region": "lip"}, {"expression_strength": 0.0}])
def test_the_dense_residual_can_be_left_out(tmp_path, picture, drive):
    models = replace(fake_models(), portrait=ResidualReader())
    list(reenact(picture, gray_video(tmp_path / "d.mp4", [60, 100, 140]), models, **drive))
    assert models.portrait.residuals == [None]


def test_the_dense_residual_is_kept_in_templates(tmp_path, picture):
    file, kept = gray_video(tmp_path / "d.mp4", [60, 100, 140]), tmp_path / "m.safetensors"
    models = [replace(fake_models(), portrait=ResidualReader()) for _ in range(2)]
    for given, model in zip((file, kept), models, strict=True):
        list(reenact(picture, given, model, save_template=str(kept) if given == file else ""))
    assert torch.equal(*(model.portrait.residuals[0] for model in models))


def test_a_template_is_saved_on_the_way(tmp_path, picture):
    file = gray_video(tmp_path / "d.mp4", [60, 100, 140])
    reenact(picture, file, save_template=str(tmp_path / "m.safetensors"))
    assert gray_levels(reenact(picture, tmp_path / "m.safetensors")) == pytest.approx([60, 100, 140], abs=2)
    with pytest.raises(OutputError, match="exists already"):
        reenact(picture, file, save_template=str(tmp_path / "m.safetensors"))
    with pytest.raises(OutputError, match="safetensors"):
        reenact(picture, file, save_template=str(tmp_path / "m.pkl"))


def test_templates_that_do_not_fit(tmp_path, picture):
    other = Template(Motion.still(3, 21), Fraction(25))
    save_template(other, tmp_path / "m.safetensors")
    with pytest.raises(TemplateError, match=r"m\.safetensors: made for a model with 21 keypoints, this one has 1"):
        reenact(picture, tmp_path / "m.safetensors")
    (tmp_path / "n.safetensors").write_bytes(b"no template")
    with pytest.raises(TemplateError, match=r"n\.safetensors"):
        reenact(picture, tmp_path / "n.safetensors")
    api.template(gray_video(tmp_path / "d.mp4", [60] * 3), tmp_path / "o.safetensors", model=fake_models())
    with pytest.raises(TemplateError, match="trim"):
        reenact(picture, tmp_path / "o.safetensors", trim="5:")


def test_a_picture_drives_a_picture(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "face.png")
    models = fake_models()
    made = talkinghead.reenact(picture, tmp_path / "face.png", tmp_path / "o.png", model=models)
    assert models.portrait.anchors == [None] and made.frames == 1
    assert np.array(Image.open(tmp_path / "o.png")).shape == picture.shape
    talkinghead.reenact(picture, tmp_path / "face.png", tmp_path / "o.mp4", model=models)
    tone(tmp_path / "a.wav", 0.4)
    assert len(reenact(picture, tmp_path / "face.png", audio=str(tmp_path / "a.wav"))) == 10
    with pytest.raises(OutputError, match="mp4"):
        talkinghead.reenact(picture, gray_video(tmp_path / "d.mp4", [60] * 3), tmp_path / "p.png", model=models)
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".part")]


def test_a_face_is_edited_by_hand(tmp_path, picture):
    options = Options(CropOptions(face_only=True), edit=EditOptions(smile=0.6))
    made = api.edit(picture, tmp_path / "o.png", options=options, model=fake_models())
    assert made.frames == 1 and gray_levels([np.array(Image.open(tmp_path / "o.png"))]) == [199]
    with pytest.raises(OutputError, match="pictures are written as png"):
        api.edit(picture, tmp_path / "o.mp4", model=fake_models())
    with pytest.raises(OptionError, match="smile is 2"):
        EditOptions(smile=2.0)


def test_the_drivers_crop_may_be_an_average_or_the_whole_frame(tmp_path):
    file = gray_video(tmp_path / "d.mp4", [60, 0, 100])
    rule = CropRule(scale=2.0, vy_ratio=0.0)
    place = average_place(read_frames(file), fake_models(), rule)
    expected = face_rect(mesh_at(32, 24, 20), 2.0, 0.0)
    assert place.center == pytest.approx(expected.center) and place.size == pytest.approx(expected.size)
    assert average_place(read_frames(gray_video(tmp_path / "e.mp4", [0, 0])), fake_models(), rule) is None
    assert whole_place(48, 64).center.tolist() == [32, 24] and whole_place(48, 64).size == 64


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_animated_pictures_are_written_without_sound(tmp_path, picture, suffix):
    file = gray_video(tmp_path / "d.mp4", [60, 100, 140, 180], sound=tone(tmp_path / "a.wav", 0.2))
    options = Options(CropOptions(face_only=True, size=64), drive=DriveOptions(smooth=0.0))
    made = talkinghead.reenact(picture, file, tmp_path / f"o.{suffix}", options=options, model=fake_models())
    assert made.frames == 4 and made.notes[-1].endswith(f".{suffix} files have no sound")
    with Image.open(made.file) as animation:
        assert animation.n_frames == 4 and animation.size == (64, 64) and animation.info["loop"] == 0
        levels = [np.asarray(animation.seek(n) or animation.convert("RGB"))[32, 32].mean() for n in range(4)]
    assert levels == pytest.approx([60, 100, 140, 180], abs=4)
    Image.fromarray(picture).save(tmp_path / "face.png")
    if suffix == "webp":  # of pictures alone, it is one
        talkinghead.reenact(picture, tmp_path / "face.png", tmp_path / "p.webp", model=fake_models())
        assert getattr(Image.open(tmp_path / "p.webp"), "n_frames", 1) == 1


def test_a_video_is_edited_frame_by_frame(tmp_path):
    sound = tone(tmp_path / "a.wav", 0.4)
    file = gray_video(tmp_path / "d.mp4", [60, 100, 140], sound=sound, size=(240, 320))
    for edit, level in ((EditOptions(smile=0.6), 199), (EditOptions(silence=True), 51)):
        options = Options(CropOptions(face_only=True), edit=edit, render=RenderOptions(overwrite=True))
        made = api.edit(file, tmp_path / "o.mp4", options=options, model=fake_models())
        assert made.frames == 3 and probe_sound(made.file)
        assert gray_levels(frame.picture for frame in read_frames(made.file)) == pytest.approx([level] * 3, abs=3)
    with pytest.raises(OutputError, match="mp4"):
        api.edit(file, tmp_path / "o.png", model=fake_models())
    (tmp_path / "k.yaml").write_text("1: {smile: 1}")
    options = Options(edit=EditOptions(keyframes=str(tmp_path / "k.yaml")))
    with pytest.raises(OptionError, match="keyframes animate a picture"):
        api.edit(file, tmp_path / "p.mp4", options=options, model=fake_models())
    with pytest.raises(OptionError, match="silence takes no sliders, smile is one"):
        EditOptions(silence=True, smile=0.5)


def test_a_source_video_has_the_requested_rate_and_its_own_length(tmp_path):
    sound = tone(tmp_path / "a.wav", 0.4)
    source = gray_video(tmp_path / "s.mp4", [60, 0, 60, 60, 0, 60, 60, 60, 60, 60], sound=sound, size=(240, 320))
    driver = gray_video(tmp_path / "d.mp4", [100] * 10)
    for fps, count in (("50", 20), ("10", 4), ("30000/1001", 12)):
        options = Options(CropOptions(face_only=True), render=RenderOptions(fps=fps, overwrite=True))
        made = talkinghead.reenact(source, driver, tmp_path / "o.mp4", options=options, model=fake_models())
        assert (made.fps, made.frames) == (Fraction(fps), count) and probe_sound(made.file)
        made = api.edit(source, tmp_path / "o.mp4", options=options, model=fake_models())
        assert (made.fps, made.frames) == (Fraction(fps), count)
        assert len(list(read_frames(made.file))) == count


def test_a_video_as_the_source_makes_no_picture(tmp_path, picture):
    source = gray_video(tmp_path / "s.mp4", [60, 100])
    Image.fromarray(picture).save(tmp_path / "face.png")
    with pytest.raises(OutputError, match=r"o\.png: videos are written as mp4"):
        talkinghead.reenact(source, tmp_path / "face.png", tmp_path / "o.png", model=fake_models())


def test_sound_that_is_asked_for_and_missing_is_an_error(tmp_path, picture):
    silent = gray_video(tmp_path / "d.mp4", [60, 100])
    for source, audio, said in (
        (picture, "driver", r"d\.mp4: no sound for --audio driver"),
        (picture, "source", "the source: no sound for --audio source"),
        (silent, "source", r"d\.mp4: no sound for --audio source"),
    ):
        options = Options(drive=DriveOptions(audio=audio))
        with pytest.raises(AudioError, match=said):
            talkinghead.reenact(source, silent, tmp_path / "o.mp4", options=options, model=fake_models())
    assert talkinghead.reenact(picture, silent, model=fake_models()).sound is None


def test_a_picture_takes_no_sound(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "face.png")
    options = Options(drive=DriveOptions(audio=str(tone(tmp_path / "a.wav", 0.2).file)))
    for name in ("o.png", "o.webp"):
        with pytest.raises(OptionError, match=f"{name}: a picture has no sound"):
            talkinghead.reenact(picture, tmp_path / "face.png", tmp_path / name, options=options, model=fake_models())


@pytest.mark.slow
def test_picture_and_sound_stay_together_for_ten_minutes(tmp_path, picture):
    """Flashes and bursts that coincide in a driver of 29.97 frames a second coincide in the video."""
    fps, count, rate = Fraction(30000, 1001), 17_982, 8_000
    flashes = (30, 4_500, 9_000, 13_500, 17_950)
    wave = np.zeros(round(count / fps * rate), np.float32)
    for n in flashes:
        begin = round(n / fps * rate)
        wave[begin : begin + rate // 20] = 0.8
    soundfile.write(tmp_path / "a.wav", wave * np.sin(np.arange(len(wave)) * 0.9), rate)
    sound = probe_sound(tmp_path / "a.wav")
    file = gray_video(tmp_path / "d.mp4", (230 if n in flashes else 60 for n in range(count)), fps, sound)
    options = Options(CropOptions(face_only=True, size=64), drive=DriveOptions(smooth=0.0))
    made = talkinghead.reenact(picture, file, tmp_path / "o.mp4", options=options, model=fake_models())
    assert (made.frames, made.fps) == (count, fps)
    with av.open(str(made.file)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.average_rate == fps
        assert abs(video.duration * video.time_base - audio.duration * audio.time_base) < 1 / fps
    seen = [frame.seconds for frame in read_frames(made.file) if frame.picture.mean() > 150]
    assert seen == [n / fps for n in flashes]
    samples = np.abs(np.concatenate([frame.to_ndarray()[0] for frame in stream_frames(made.file, rate, "mono")]))
    for time in seen:
        near = int(float(time - Fraction(1, 5)) * rate)
        begin = near + int(np.argmax(samples[near : near + rate // 2] > 0.3))
        assert abs(begin / rate - float(time)) < 1 / float(fps)
