"""How a speaker moves during a shot."""

from fractions import Fraction

import pytest
import soundfile
import torch
from fake_models import speech_motion

from audio2motion import AudioToMotion
from liveportrait.keypoints import euler_degrees, rotation_matrix
from liveportrait.motion import Motion
from liveportrait.regions import OFFICIAL
from talkinghead.narration.animation import (
    EditedKeypoints,
    animate_shot,
    fade_weights,
    movement_seed,
    settle,
    settle_motion,
)
from talkinghead.narration.script import Line
from talkinghead.narration.timeline import Shot
from talkinghead.options import MotionOptions


def test_everything_but_the_mouth_begins_and_ends_at_rest():
    part = speech_motion(100)
    part = type(part)(**{**vars(part), "rotation": rotation_matrix(*torch.full((3, 100), 5.0))})
    settled = list(settle([part[:37], part[37:]], 100, num_mouth=2))
    for end in (settled[0][0], settled[-1][-1]):
        assert (end.gaze_deg == 0).all() and (end.eye_openness == 1).all() and (end.translation == 0).all()
        assert torch.allclose(end.rotation, torch.eye(3)) and (end.expression[:, 2:] == 0).all()
    whole = torch.cat([each.expression[:, :2] for each in settled])
    assert torch.equal(whole, part.expression[:, :2])
    middle = settled[1][13]
    assert float(euler_degrees(middle.rotation)[1]) == pytest.approx(5, abs=1e-3) and float(middle.gaze_deg[0, 0]) == 50


def test_motion_of_the_official_networks_settles_too():
    torch.manual_seed(0)
    turns = rotation_matrix(*(10 * torch.randn(3, 100)))
    motion = Motion(turns, torch.randn(100, 21, 3), torch.rand(100, 1) + 1, torch.randn(100, 3))
    settled = Motion.cat(list(settle_motion([motion[:30], motion[30:]], 100)))
    lips = list(OFFICIAL.lips)
    assert torch.equal(settled.expression[:, lips], motion.expression[:, lips])
    still = torch.ones(21, dtype=torch.bool)
    still[lips] = False
    for end in (settled[0], settled[-1]):
        assert torch.allclose(end.expression[:, still], motion[0].expression[:, still])
        for name in ("rotation", "translation", "scale"):
            assert torch.allclose(getattr(end, name), getattr(motion[0], name), atol=1e-5)
    assert torch.allclose(settled[50].rotation, motion[50].rotation, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 9, 200])
def test_presence_comes_and_goes_smoothly(frames):
    weights = fade_weights(frames, Fraction(25))
    assert weights[0] == weights[-1] == 0 and weights.max() <= 1
    assert frames < 40 or (weights.diff().abs().max() < 0.15 and weights.max() == 1)


def test_keyframes_move_the_face_on_top_of_the_speech(models):
    keyframes = {Fraction(0): {"smile": 0.3}, Fraction(2): {"smile": 0.7}}
    to_keypoints = EditedKeypoints(models.portrait, models.portrait.speech_keypoints, keyframes, 100, Fraction(25))
    face = models.portrait.encode(None)
    x_d = torch.cat([to_keypoints(face, speech_motion(100)[start : start + 7]) for start in range(0, 100, 7)])[:, 0, 0]
    added = x_d - speech_motion(100).lip_ratio[:, 0]
    assert added[[0, 25, 60, 99]].tolist() == pytest.approx([0, 0.65, 0.91, 0], abs=0.01)


@pytest.fixture(scope="module")
def voice():
    return AudioToMotion.from_pretrained()


def test_the_same_words_move_the_same_wherever_they_are(tmp_path, models, voice):
    object.__setattr__(models, "voice", voice)
    soundfile.write(tmp_path / "a.wav", torch.randn(24_000).numpy() * 0.1, 48_000)

    def animated(text, start, speaker="ada", *, listens=False):
        shot = Shot(Line(text), start, 30, tmp_path / "a.wav", Fraction(4, 25), Fraction(1, 2))
        driving, _ = animate_shot(shot, Fraction(30), speaker, listens=listens, models=models, options=MotionOptions())
        parts = list(driving)
        return torch.cat([part.rotation for part in parts]), torch.cat([part.lip_ratio for part in parts])

    (here, lips), (there, _), (other, _) = animated("Hi.", 0), animated("Hi.", 500), animated("Hi.", 0, "ben")
    assert len(here) == 30 and torch.equal(here, there) and not torch.equal(here, other)
    listening = animated("Hi.", 0, listens=True)[1]
    assert listening.max() < lips.max()


def test_seeds_depend_on_words_speaker_and_seed():
    asked = [(0, "ada", "Hi."), (1, "ada", "Hi."), (0, "ben", "Hi."), (0, "ada", "Ho.")]
    seeds = {movement_seed(*each, listens=listens) for each in asked for listens in (False, True)}
    assert len(seeds) == 8
