"""From raw videos to what the training scripts read; sync on curves whose lag is known."""

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from safetensors.torch import save_file
from whisper_tiny import save_whisper

from audio2motion import AudioToMotion
from liveportrait import LivePortrait
from liveportrait.mini.regions import KEYPOINTS, rows
from liveportrait.training.loop import TrainingError
from talkinghead.dataset import prepare
from talkinghead.dataset.clips import load_clips, load_stills
from talkinghead.dataset.looks import Looks
from talkinghead.dataset.people import name_people
from talkinghead.dataset.speech import decode_sound, read_training, read_validation
from talkinghead.dataset.sync import find_sync, score_of
from talkinghead.dataset.tracking import Stretch, crop_of, landmarks_of, why_not
from talkinghead.dataset.writing import cut_sound, write_landmarks
from talkinghead.errors import InputNotFoundError, OptionError, OutputExistsError
from talkinghead.training.speech import PRESETS, export, train

FRAMES = 60


class ByColour:
    """Takes blue faces for one person and others for another."""

    def describe(self, picture, points):
        red, _, blue = picture[tuple(points[1, 1::-1].round().astype(int))].astype(int)
        return np.eye(128, dtype=np.float32)[int(blue > red)]


def film(file, sizes, sound=None, colours=None):
    """Write a video of a drawn face that opens and shuts its mouth; None is a frame without it.

    For each frame `colours` may say whether the face is blue.
    """
    with av.open(str(file), "w") as container:
        video = container.add_stream("libx264", 25, {"crf": "12"})
        video.width = video.height = 320
        video.pix_fmt = "yuv420p"
        audio = None if sound is None else container.add_stream("aac", 16_000, layout="mono")
        for n, size in enumerate(sizes):
            picture = np.full((320, 320, 3), 90, np.uint8)
            if size is not None:
                face = drawn_face(size, mouth=0.5 - 0.5 * np.cos(n / 2))
                blue = colours is not None and colours[n]
                picture[20 : 20 + size, 20 : 20 + size] = face[..., ::-1] if blue else face
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            frame = av.AudioFrame.from_ndarray(sound[None], "flt", "mono")
            frame.sample_rate = 16_000
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * 16_000)).astype(np.float32)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two people, one of them in two videos, and what is no use."""
    root = tmp_path_factory.mktemp("footage")
    (root / "raw" / "ada").mkdir(parents=True)
    film(root / "raw" / "ada" / "one.mp4", [256] * FRAMES, noise(FRAMES / 25))
    film(root / "raw" / "ada" / "two.mp4", [256] * 34 + [None] * 3 + [256] * 5)
    film(root / "raw" / "bob.mov", [256] * 34, noise(2, 1), [True] * 34)
    film(root / "raw" / "both.mp4", [256] * 40, None, [n % 20 > 9 for n in range(40)])
    film(root / "raw" / "empty.mp4", [None] * 5)
    (root / "raw" / "broken.mp4").write_text("no video\n" * 100)
    (root / "raw" / "notes.txt").write_text("no video at all")
    patch = pytest.MonkeyPatch()
    patch.setattr(prepare.Video, "is_synced", lambda video, number: video.file.has_sound)
    patch.setattr(prepare, "FaceRecogniser", ByColour)
    patch.setattr("talkinghead.dataset.tracking.ANOTHER_SHOT", 300.0)  # the two people appear in one shot
    prepare.prepare(root / "raw", root / "clips", 0.3, True)
    patch.undo()
    return root / "clips"


def table(file):
    with file.open() as stream:
        return list(csv.DictReader(stream))


def test_clips_of_one_person_stay_together(prepared):
    train, val = (table(prepared / name / "manifest.csv") for name in ("train", "val"))
    assert [row["identity"] for row in train] == ["ada", "ada"]
    assert [row["identity"] for row in val] == ["bob"]
    assert [row["seconds"] for row in train] == ["2.4", "1.36"]
    assert [row["has_synced_audio"] for row in train + val] == ["yes", "no", "yes"]
    assert float(train[0]["crop_scale"]) == pytest.approx(2.3, abs=0.3)


def test_reasons_are_given_for_what_is_left_out(prepared):
    reasons = {Path(row["file"]).name: row["reason"] for row in table(prepared / "rejected.csv")}
    assert reasons["two.mp4"] == "shorter than 1.2 s: 0.2 s"
    assert reasons["empty.mp4"] == "no face in any frame"
    assert "not a video that can be read" in reasons["broken.mp4"]
    assert reasons["both.mp4"] == "shows more than one person: 50% of the looks are at somebody else"
    assert set(reasons) == {"two.mp4", "empty.mp4", "broken.mp4", "both.mp4"}


def test_pictures_and_landmarks_belong_together(prepared, tmp_path):
    clips = load_clips(prepared, "train", tmp_path, permissive_only=True)
    assert clips.frames.shape == (94, 256, 256, 3)
    assert clips.points.shape == (94, 162, 3)
    mouth = ((clips.points[:, rows((13, 14)), :2].mean(1) + 1) * 128).round().long()
    lips = np.stack([clips.frames[n, y, x].numpy() for n, (x, y) in enumerate(mouth.tolist())]).astype(int)
    assert (lips[:, 0] - lips[:, 2]).mean() > -30  # red or dark, nowhere the bluish ground
    assert np.abs(mouth.float().mean(0).numpy() - 128).max() < 60


def test_the_training_scripts_read_speech_to_the_sample(prepared):
    face = LivePortrait.from_pretrained("mini").renderer.face
    tracks, val = read_training(prepared, face), read_validation(prepared, face)
    assert tracks.names == ["t0000"]
    assert tracks.offsets == [0, FRAMES]
    assert len(val) == 1 and val.identities == ["bob"]
    source = decode_sound(prepared.parent / "raw" / "ada" / "one.mp4", FRAMES * 640)
    heard, said = (sound.numpy() / 32768 for sound in (tracks.waveform, source))
    same = [np.corrcoef(np.roll(heard, shift)[800:-800], said[800:-800])[0, 1] for shift in (-2, 0, 2)]
    assert same[1] > 0.7 and same[1] == max(same)
    assert tracks.opening.std() > 0.005
    with np.load(prepared / "speech_motion.npz") as z:
        assert len(decode_sound(io.BytesIO(z["audio_ogg"].tobytes()), FRAMES * 640)) == FRAMES * 640


def test_a_voice_is_trained_on_them_and_ships(prepared, tmp_path, monkeypatch):
    face, run = tmp_path / "face.safetensors", tmp_path / "run"
    save_file(LivePortrait.from_pretrained("mini").renderer.face.state_dict(), face)
    tiny = replace(PRESETS["cpu"], batch_size=2, num_frames=20)
    monkeypatch.setitem(PRESETS, "cpu", tiny)
    for steps in (1, 2):  # the second goes on where the first stopped
        train(prepared, face, run, change=[f"num_steps={steps}"], every=1)
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()] == [1, 2]
    with pytest.raises(TrainingError, match=r"4\.8 s long"):
        export(prepared, face, [run], tmp_path / "voice")
    monkeypatch.setattr("audio2motion.training.idle_tracks.SHORTEST", 40)
    export(prepared, face, [run], tmp_path / "voice")
    assert len(AudioToMotion.from_pretrained(tmp_path / "voice").generate(torch.randn(16_000))) == 25

    save_whisper(tmp_path / "whisper")
    listening = {"recogniser": str(tmp_path / "whisper"), "recogniser_layers": 1}
    earlier = {"encoder_from": str(tmp_path / "voice"), "align": str(tmp_path / "voice"), "frozen": True}
    train(prepared, face, tmp_path / "second", change=["num_steps=1"], every=1, **listening, **earlier)
    export(prepared, face, [tmp_path / "second"], tmp_path / "both")
    first, second = (AudioToMotion.from_pretrained(tmp_path / name).mouth for name in ("voice", "both"))
    assert second.recogniser is not None and second.recogniser.size == 32
    for name, weight in first.encoder.state_dict().items():
        assert torch.equal(weight, second.encoder.state_dict()[name]), name
    with pytest.raises(TrainingError, match="a run with head_size=192, not 96"):
        train(prepared, face, run, change=["head_size=96"])
    with pytest.raises(TrainingError, match="a run with recogniser="):
        train(
            prepared,
            face,
            tmp_path / "second",
            change=["num_steps=2"],
            encoder_from=earlier["encoder_from"],
            frozen=True,
        )
    with pytest.raises(OptionError, match=r"--set: encoder\..* does not fit"):
        train(prepared, face, tmp_path / "third", change=["hidden_size=96"], encoder_from=earlier["encoder_from"])
    part = tmp_path / "part.safetensors"
    save_file(first.encoder.state_dict(), part)
    for option in ({"start": part}, {"teacher": [part]}):
        with pytest.raises(OptionError, match=r"part\.safetensors: .* does not fit"):
            train(prepared, face, tmp_path / "third", **option)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"encoder": "one", "encoder_from": "another"}, "give one"),
        ({"layer": 3}, "--layer: needs --encoder"),
        ({"frozen": True}, "no trained encoder to keep"),
        ({"recogniser_layers": 2}, "needs --recogniser"),
    ],
)
def test_options_of_the_training_go_together(tmp_path, options, reason):
    with pytest.raises(OptionError, match=reason):
        train(tmp_path, tmp_path / "face", tmp_path / "run", **options)


def test_landmarks_come_back_from_files(tmp_path):
    points = np.random.default_rng(0).uniform(0, 256, (5, 162, 3)).astype(np.float32)
    write_landmarks(tmp_path / "a.npz", [], [points])
    with np.load(tmp_path / "a.npz") as z:
        assert np.abs(z["landmarks"] - points).max() < 0.1
        assert z["offsets"].tolist() == [0, 5]


def looks(people=(), quality=()):
    """What was seen of faces: people by number, and their sharpness, blockiness and clipped pixels."""
    seen = np.eye(128, dtype=np.float32)[list(people)] if people else np.zeros((0, 128), np.float32)
    return Looks(seen, np.array(quality, float).reshape(-1, 3))


def stretch(opening, start=0, size=200.0, shift=0.0, picture=(600, 600)):
    """A face whose lips are open as told, in units of the mouth's width."""
    frames = len(opening)
    points = np.zeros((frames, len(KEYPOINTS), 3), np.float32)
    lower, right = rows((14, 308))  # the upper lip and the left corner stay at zero
    points[:, lower, 1], points[:, right, 0] = 50 * np.asarray(opening), 50
    x = 200 + shift * size * np.linspace(0, 1, frames)
    boxes = np.stack([x, np.full(frames, 200), x + size, np.full(frames, 200 + size)], 1).astype(np.float32)
    return Stretch(start, points, boxes, picture, looks())


@pytest.mark.parametrize("lag", [-5, 0, 3])
def test_the_lag_of_lips_is_found(lag):
    heard = torch.randn(300, generator=torch.Generator().manual_seed(0)).cumsum(0)
    heard = (heard - heard.min()) / 50
    parts = [stretch(heard[start - lag : start - lag + 80], start) for start in (20, 130)]
    sync = find_sync(parts, heard)
    assert sync.lag == lag
    assert sync.score == pytest.approx(1, abs=1e-3)
    assert score_of(parts[0], heard, sync) == pytest.approx(1, abs=1e-3)


def test_strangers_voices_and_short_files_are_not_moved():
    generator = torch.Generator().manual_seed(1)
    heard, other = torch.rand(200, generator=generator), torch.rand(200, generator=generator)
    assert find_sync([stretch(other[:150])], heard).score < 0.2
    assert find_sync([stretch(heard[2:40])], heard).lag == 0
    assert find_sync([], heard).score == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, None),
        ({"size": 50.0}, "measures 50 pixels, at least 80"),
        ({"shift": 2.0}, "moves by 1.0 of its size"),
        ({"picture": (320, 320)}, "too near to the edge"),
    ],
)
def test_what_is_wrong_with_a_stretch(given, reason):
    found = why_not(stretch(np.zeros(40), **given))
    assert found is reason if reason is None else reason in str(found)
    assert "shorter than 1.2 s" in str(why_not(stretch(np.zeros(10))))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"people": (0, 0, 0, 0, 0)}, None),
        ({"people": (0, 0, 0, 0, 1)}, None),  # one look in five may be at a hand
        ({"people": (0, 0, 0, 1, 1)}, "more than one person: 40%"),
        ({"quality": [(200, 1, 0)]}, None),
        ({"quality": [(1, 1, 0)]}, "blurred: sharpness 1"),
        ({"quality": [(200, 3, 0), (200, 3, 0)]}, "blocks of coding: 3.0"),
        ({"quality": [(200, 1, 0.6)]}, "60% of the face is black or white"),
    ],
)
def test_faces_are_looked_at(given, reason):
    found = looks(**given).why_not()
    assert found is reason if reason is None else reason in str(found)


def test_people_are_named_by_their_faces():
    ada, bob, near = np.zeros((3, 2), np.float32)
    bob[0], near[0] = 1.0, 0.55
    assert name_people([("a", ada), ("a", bob), ("b", bob), ("b", ada), ("c", None)]) == ["a", "a 2", "a 2", "a", "c"]
    assert name_people([("a", ada), ("a", near)]) == ["a", "a"]
    assert name_people([("a", ada), ("b", near)]) == ["a", "b"]  # not near enough in another folder


def test_a_crop_is_as_wide_as_the_picture_allows():
    crop, scale = crop_of(stretch(np.zeros(40), picture=(600, 600)))
    assert scale == pytest.approx(2.3)
    _, tight = crop_of(stretch(np.zeros(40), picture=(420, 420)))
    assert tight == pytest.approx(2.1)
    corner = landmarks_of(stretch(np.zeros(40)), crop)[0, rows((13,))[0]]
    assert corner.tolist() == pytest.approx(
        [(0.5 - (300 - 230)) * 256 / 460, (0.5 - (300 - 57.5 - 230)) * 256 / 460, 0], abs=0.5
    )


def test_sound_is_cut_where_it_belongs(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.arange(3200) / 32768, 16_000, subtype="PCM_16")
    early, late, after = cut_sound(tmp_path / "a.wav", [(-1, 2), (2, 4), (4, 7)])
    assert early[:640].tolist() == [0] * 640 and early[640:].tolist() == pytest.approx(range(1280), abs=1)
    assert late.tolist() == pytest.approx(range(1280, 2560), abs=1)
    assert after[:640].tolist() == pytest.approx(range(2560, 3200), abs=1) and not after[640:].any()
    assert len(after) == 1920


def test_mistakes_are_named(tmp_path):
    (tmp_path / "there").mkdir()
    for folder in ("nowhere", "there"):
        with pytest.raises(InputNotFoundError, match="no videos here; give a folder with"):
            prepare.clips(tmp_path / folder, tmp_path / "out")
    film(tmp_path / "there" / "a.mp4", [None] * 3)
    with pytest.raises(OutputExistsError, match="exists; give another folder"):
        prepare.clips(tmp_path / "there", tmp_path)


@pytest.mark.shared
def test_raw_driving_videos_become_clips(shared, tmp_path):
    (tmp_path / "raw").mkdir()
    for name in ("v06_speech_512.mp4", "v01_square_25fps.mp4"):
        (tmp_path / "raw" / name).symlink_to(shared / "data" / "inputs" / "driving" / name)
    prepare.prepare(tmp_path / "raw", tmp_path / "clips", 0.5, True)
    (voiced,) = table(tmp_path / "clips" / "train" / "manifest.csv")
    assert voiced["has_synced_audio"] == "yes" and float(voiced["sync_score"]) > 0.4
    assert len(table(tmp_path / "clips" / "val" / "manifest.csv")) == 1


def test_without_stills_there_are_none(tmp_path):
    (tmp_path / "data").mkdir()
    for _ in range(2):  # found, then read again
        none = load_stills(tmp_path / "data", tmp_path / "stills.npz")
        assert none.frames.shape == (0, 256, 256, 3) and none.identities == []
