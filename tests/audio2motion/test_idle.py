import pytest
import torch

from audio2motion.eyes import Blinks, Glances
from audio2motion.idle import IdleMotion
from liveportrait.keypoints import euler_degrees

MINUTE = 60 * 25


@pytest.fixture
def idle_motion():
    def make(seed: int) -> IdleMotion:
        time = torch.arange(600)[:, None] / 25
        tracks = 2 * torch.sin(time * torch.linspace(0.5, 3, 7) + torch.arange(7))
        tracks[:, 3:5] *= 0.02
        mirror = torch.tensor([1.0, -1, -1, -1, 1, 1, -1])
        return IdleMotion(tracks, torch.tensor([0, 300, 600]), mirror, torch.tensor([1.0, 0.0]), seed)

    return make


def speech(frames: int) -> torch.Tensor:
    return -25 + 6 * torch.sin(torch.arange(frames) / 3)


def blink_lengths(openness: torch.Tensor) -> list[int]:
    lengths, run = [], 0
    for value in [*openness.tolist(), 1.0]:
        if value < 1.0:
            run += 1
        elif run:
            lengths.append(run)
            run = 0
    return lengths


def test_people_blink_fifteen_to_twenty_times_a_minute():
    blinks = Blinks("1")
    lengths = blink_lengths(torch.tensor([blinks.next(0.2, False) for _ in range(30 * MINUTE)]))
    assert 13 <= len(lengths) / 30 <= 22
    assert all(3 <= length <= 6 for length in lengths)


def test_lids_shut_fast_and_open_slowly():
    blinks = Blinks("1")
    openness = torch.tensor([blinks.next(0.2, False) for _ in range(10 * MINUTE)])
    assert openness.min() == 0
    assert openness.diff().min() < -0.4
    assert (openness.diff() < -0.05).sum() <= (openness.diff() > 0.05).sum()


def test_blinks_are_irregular_and_sometimes_double():
    blinks = Blinks("5")
    openness = [blinks.next(0.2, False) for _ in range(30 * MINUTE)]
    shut = [n for n in range(1, len(openness)) if openness[n] == 0 and openness[n - 1] > 0]
    gaps = torch.tensor(shut).diff().float()
    assert gaps.std() > 0.3 * gaps.mean()
    assert 0.03 < (gaps < 15).float().mean() < 0.25


def test_eyes_rest_and_jump():
    glances = Glances("2")
    gaze = torch.tensor([glances.next()[:2] for _ in range(10 * MINUTE)])
    steps = gaze.diff(dim=0).norm(dim=1)
    assert (steps < 0.2).float().mean() > 0.8  # mostly at rest
    assert steps.max() > 2.0  # and quick when they move
    assert 4.0 < gaze.abs().max() <= 8.0
    assert gaze.mean(0).abs().max() < 0.5


def test_head_is_never_frozen_and_never_lost(idle_motion):
    idle = idle_motion(0).next(speech(10 * MINUTE))
    angles = torch.stack(euler_degrees(idle.rotation), 1)
    still = angles.unfold(0, 50, 25).std(-1).norm(dim=1)
    assert (still > 0.02).all()  # moves in any two seconds
    assert angles.abs().max() < 12
    assert idle.translation.abs().max() < 0.15
    assert (idle.translation[:, 2] == 0).all()
    assert angles.diff(dim=0).abs().max() < 2.0  # no jump where stretches meet


def test_idle_motion_starts_at_rest(idle_motion):
    idle = idle_motion(7).next(speech(5))
    assert torch.stack(euler_degrees(idle.rotation[:1])).abs().max() < 0.3
    assert idle.translation[0].abs().max() < 0.005


def test_chunks_do_not_change_idle_motion(idle_motion):
    loudness = speech(500)
    whole, motion = idle_motion(3).next(loudness), idle_motion(3)
    parts = [motion.next(part) for part in loudness.split(37)]
    for name in ("brows", "eye_openness", "gaze_deg", "rotation", "translation"):
        torch.testing.assert_close(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_pauses_are_calmer_than_speech(idle_motion):
    frames = 5 * MINUTE
    talking, resting = idle_motion(1).next(speech(frames)), idle_motion(1).next(torch.full((frames,), -70.0))
    spread = [torch.stack(euler_degrees(idle.rotation)).std(1).norm() for idle in (talking, resting)]
    assert 0.4 * spread[0] < spread[1] < 0.85 * spread[0]


def test_stress_nods_the_head_down_and_lifts_the_brows(idle_motion):
    even = torch.full((400,), -30.0)
    stressed = even.clone()
    stressed[300:306] = -15.0
    plain, nod = idle_motion(1).next(even), idle_motion(1).next(stressed)
    change = euler_degrees(nod.rotation)[0] - euler_degrees(plain.rotation)[0]
    assert change[:300].abs().max() < 1e-3
    assert 0.2 < change[300:330].max() < 2.0
    chin = torch.tensor([0.0, 0.0, -1.0]) @ nod.rotation - torch.tensor([0.0, 0.0, -1.0]) @ plain.rotation
    assert chin[300:330, 1].max() > 0  # the nose, which points at the viewer, moves down the picture
    assert (nod.brows - plain.brows)[300:330, 0].max() > 0.05


def test_eyes_stay_with_the_viewer_when_the_head_turns(idle_motion):
    idle = idle_motion(2).next(speech(5 * MINUTE))
    facing = (torch.tensor([0.0, 0.0, -1.0]) @ idle.rotation)[:, 0]
    assert torch.corrcoef(torch.stack([facing, idle.gaze_deg[:, 0]]))[0, 1] < -0.3
