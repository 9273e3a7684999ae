"""From a picture and a sound to a video, with stand-ins for the networks."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from fake_models import SIDE, fake_models
from gray_videos import gray_video
from PIL import Image, ImageSequence

import talkinghead
from talkinghead import CropOptions, MotionOptions, Options, RenderOptions
from talkinghead.errors import ImageError, OptionError, OutputError, OutputExistsError
from talkinghead.face import FaceIndexError, NoFaceError
from talkinghead.media.video import read_frames


@pytest.fixture
def voice(tmp_path):
    """A voice of 1.01 seconds: 26 frames, the last one hardly begun."""
    file = tmp_path / "voice.wav"
    soundfile.write(file, np.random.default_rng(0).uniform(-0.3, 0.3, 44_541), 44_100)
    return file


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)


def shown(frame):
    """Read the lip ratio off the middle of a crop."""
    return frame[len(frame) // 2, frame.shape[1] // 2].mean() / 255 * 100


def test_crops_show_the_motion_frame_by_frame(picture, voice):
    models = fake_models()
    video = talkinghead.speak(picture, voice, options=Options(crop=CropOptions(face_only=True)), model=models)
    frames = list(video)
    assert len(frames) == len(video) == 26
    assert {frame.shape for frame in frames} == {(SIDE, SIDE, 3)} and frames[0].dtype == np.uint8
    assert [shown(frame) for frame in frames] == pytest.approx(range(26), abs=0.3)
    assert len(models.portrait.encoded) == 1
    assert max(models.portrait.batches) == RenderOptions.batch_size


def test_a_video_can_be_iterated_again(picture, voice):
    video = talkinghead.speak(picture, voice, model=fake_models())
    first, second = ([frame.copy() for frame in video] for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_do_not_matter(picture, voice, batch_size):
    options = Options(crop=CropOptions(face_only=True), render=RenderOptions(batch_size=batch_size))
    frames = talkinghead.speak(picture, voice, options=options, model=fake_models())
    assert [shown(frame) for frame in frames] == pytest.approx(range(26), abs=0.3)


def test_the_face_is_pasted_into_the_whole_picture(picture, voice):
    frames = list(talkinghead.speak(picture, voice, model=fake_models()))
    assert all(frame.shape == picture.shape for frame in frames)
    changed = np.abs(frames[20].astype(int) - picture).max(axis=(0, 2)) > 0
    assert not changed[:200].any() and changed[400:560].all()  # the large face is at the right
    assert frames[0] is not frames[1] and (frames[0] != frames[20]).any()


def test_faces_are_counted_from_the_left(picture, voice):
    models = fake_models()
    left = next(iter(talkinghead.speak(picture, voice, options=Options(crop=CropOptions(face=0)), model=models)))
    changed = np.abs(left.astype(int) - picture).max(axis=(0, 2)) > 0
    assert changed[140:180].any() and not changed[340:].any()
    with pytest.raises(FaceIndexError, match="2 faces"):
        talkinghead.speak(picture, voice, options=Options(crop=CropOptions(face=7)), model=models)


def test_no_face_names_the_file(tmp_path, picture, voice):
    models = fake_models()
    object.__setattr__(models, "faces", type("Blind", (), {"detect": lambda *_, **__: []})())
    Image.fromarray(picture).save(tmp_path / "wall.png")
    with pytest.raises(NoFaceError, match=r"wall\.png"):
        talkinghead.speak(tmp_path / "wall.png", voice, model=models)


@pytest.mark.parametrize(
    ("crop", "shape"),
    [
        (CropOptions(), (480, 640)),
        (CropOptions(size=320), (240, 320)),
        (CropOptions(size=1000), (480, 640)),
        (CropOptions(face_only=True), (SIDE, SIDE)),
        (CropOptions(face_only=True, size=100), (100, 100)),
    ],
)
def test_sizes(picture, voice, crop, shape):
    video = talkinghead.speak(picture, voice, options=Options(crop=crop), model=fake_models())
    assert video.source.size == shape and next(iter(video)).shape == (*shape, 3)


def test_nothing_that_repeats_the_picture_s_border_is_shown(voice):
    """The face's crop reaches beyond the picture; only what is in the picture is shown, and black only where it is."""
    picture = np.full((240, 200, 3), 90, np.uint8)
    picture[:, :2] = picture[:, -2:] = picture[:2] = picture[-2:] = 0
    options = Options(crop=CropOptions(face_only=True, size=128))
    source = talkinghead.speak(picture, voice, options=options, model=fake_models()).source
    crop = np.full((SIDE, SIDE, 3), 200, np.uint8)
    shown = source.place(crop, None)
    assert shown.shape == (128, 128, 3)
    assert not (shown == 0).all(axis=2)[8:-8, 8:-8].any()
    corners = source.window.points_to_image(np.array([[0, 0], [127, 127]], np.float32))
    assert corners.min() > -1 and (corners.max(axis=0) < (200, 240)).all()


@pytest.mark.parametrize("still", [True, False])
def test_the_background_is_separated_for_models_that_keep_it_still(picture, voice, monkeypatch, still):
    class Middle:
        def find(self, crop):
            person = np.zeros(crop.shape[:2], np.float32)
            person[len(crop) // 4 : -len(crop) // 4, len(crop) // 4 : -len(crop) // 4] = 1
            return person

    monkeypatch.setattr("talkinghead.source.image.PersonFinder", Middle)
    options, models = Options(crop=CropOptions(still_background=still)), fake_models()
    for renders_layers in (True, False):
        models.portrait.renders_layers = renders_layers
        talkinghead.speak(picture, voice, options=options, model=models)
        assert (models.portrait.encoded[-1].layers is not None) == (still and renders_layers)


def test_a_set_of_teeth_that_the_model_lacks_is_refused(tmp_path, picture, voice):
    models = fake_models()
    models.portrait.num_teeth = 2
    video = gray_video(tmp_path / "s.mp4", [0] * 10)  # without a face: the number is checked before one is searched for
    for source in (picture, video):
        with pytest.raises(OptionError, match="--teeth 2: there are 2 sets; give one from 0 to 1"):
            talkinghead.speak(source, voice, options=Options(crop=CropOptions(teeth=2)), model=models)


def test_seed_and_strength_arrive(picture, voice):
    models = fake_models()
    options = Options(crop=CropOptions(face_only=True), motion=MotionOptions(seed=5, lip_strength=2.0))
    frames = list(talkinghead.speak(picture, voice, options=options, model=models))
    assert models.voice.seeds == [5]
    assert shown(frames[10]) == pytest.approx(20, abs=0.3)
    assert models.voice.samples == pytest.approx(1.01 * 16_000, abs=2)


@pytest.mark.parametrize("fps", ["25", "30000/1001", "12.5", "50"])
def test_the_file_has_the_frames_the_sound_and_the_rate(tmp_path, picture, voice, fps):
    options = Options(render=RenderOptions(fps=fps), crop=CropOptions(face_only=True))
    extracted = []

    def progress(pictures, count, stage):
        extracted.append(count)
        yield from pictures

    made = talkinghead.speak(
        picture, voice, tmp_path / "out.mp4", options=options, model=fake_models(), progress=progress
    )
    rate = options.render.fps
    assert made.frames == extracted[0] == -(-Fraction(44_541, 44_100) * rate // 1)
    assert (made.fps, made.width, made.height) == (rate, SIDE, SIDE)
    frames = list(read_frames(made.file))
    assert len(frames) == made.frames
    for n in (3, made.frames // 2):  # where the middle of frame n lies among 25 a second
        assert shown(frames[n].picture) == pytest.approx(float((n + 0.5) * 25 / rate - 0.5), abs=1)
    with av.open(str(made.file)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert audio.rate == 44_100
        assert abs(video.duration * video.time_base - audio.duration * audio.time_base) < 1 / rate


@pytest.mark.parametrize(("suffix", "fps", "count"), [("gif", 50, 51), ("webp", 90, 91)])
def test_animated_pictures_are_no_faster_than_browsers_show_them(tmp_path, picture, voice, suffix, fps, count):
    options = Options(CropOptions(face_only=True), render=RenderOptions(fps="120"))
    made = talkinghead.speak(picture, voice, tmp_path / f"o.{suffix}", options=options, model=fake_models())
    assert (made.fps, made.frames) == (fps, count)
    assert made.notes[0].endswith(f".{suffix} files show at most {fps} frames per second, 120 became {fps}")
    with Image.open(made.file) as animation:  # encoders leave out frames that equal the one before
        delays = [frame.load() and frame.info["duration"] for frame in ImageSequence.Iterator(animation)]
    assert min(delays[:-1]) > 10 and sum(delays) == pytest.approx(1012, abs=12)


def test_files_are_read(tmp_path, picture, voice):
    Image.fromarray(picture).save(tmp_path / "a.png")
    video = talkinghead.speak(str(tmp_path / "a.png"), str(voice), model=fake_models())
    assert (video.source.picture == picture).all()


def test_outputs_are_checked_before_anything_is_read(tmp_path, picture, voice):
    taken = tmp_path / "taken.mp4"
    taken.write_text("x")
    with pytest.raises(OutputExistsError):
        talkinghead.speak("missing.png", "missing.wav", taken)
    with pytest.raises(OutputError, match="one of the inputs"):
        overwrite = Options(render=RenderOptions(overwrite=True))
        talkinghead.speak(picture, taken, taken, options=overwrite, model=fake_models())
    with pytest.raises(ImageError, match="uint8 RGB"):
        talkinghead.speak(picture[..., 0], voice, model=fake_models())


def test_an_error_on_the_way_leaves_nothing(tmp_path, picture, voice):
    def progress(pictures, count, stage):
        for n, frame in enumerate(pictures):
            if n == 5:
                raise KeyboardInterrupt
            yield frame

    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        talkinghead.speak(picture, voice, folder / "a.mp4", model=fake_models(), progress=progress)
    assert not list(folder.iterdir())


def test_video_is_shown_in_one_line(picture, voice):
    video = talkinghead.speak(picture, voice, model=fake_models())
    assert repr(video) == f"<Video 640x480, {len(video)} frames at 25 fps, with sound>"
