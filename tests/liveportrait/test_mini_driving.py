"""Following a driver: exact on oneself, by parts, by strengths, and against a neutral frame."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from liveportrait import Motion
from liveportrait.driving_rules import DrivingRules, neutral_frame, scaled_turn
from liveportrait.keypoints import euler_degrees, rotation_matrix, transform_keypoints
from liveportrait.mini.driving import MAX_ZOOM, driving_keypoints, part_weights, rest_of_picture
from liveportrait.mini.face_model import FaceModel, embedded_face_model, eye_ratio, lip_ratio
from liveportrait.mini.gaze import along_eye
from liveportrait.mini.head import shift_about_axis
from liveportrait.mini.limits import FREE_SHARE, MOST_ASIDE, MOST_DOWN, MOST_UP, limited, limited_shift
from liveportrait.mini.regions import (
    KEYPOINTS,
    LEFT_BROW,
    LEFT_EYE_CORNERS,
    LEFT_IRIS,
    LEFT_LID_PAIRS,
    LIP_PAIRS,
    LIPS,
    MOUTH_CORNERS,
    RIGHT_LID_PAIRS,
    rows,
)
from liveportrait.smoothing import MotionSmoother, OneEuro

RULES = DrivingRules(
    head=1, size=1, lips=1, eyes=1, brows=1, face=1, strength=1,
    relative=True, retarget_eyes=False, retarget_lips=False, replace=False, normalize_lips=False, open_eyes=False,
    friendly="expression", stitching=True, observation_variance=0,
)  # fmt: skip


@pytest.fixture
def face():
    """A face model whose lids and lips move straight up and down."""
    torch.manual_seed(0)
    model = FaceModel()
    model.mean.copy_(torch.randn_like(model.mean) * 0.3)
    for response, pairs in (
        (model.lip_response, LIP_PAIRS),
        (model.lid_response, LEFT_LID_PAIRS + RIGHT_LID_PAIRS),
    ):
        for n, (upper, lower) in enumerate(pairs):
            response[n, rows((upper,)), 1], response[n, rows((lower,)), 1] = -0.5, 0.5
            middle, gap = model.mean[rows((upper,))], torch.tensor([0.0, 0.05, 0.0])
            model.mean[rows((upper,))], model.mean[rows((lower,))] = middle - gap, middle + gap
    return model


def motion(count, seed, face=None, spread=0.02):
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(3, count, generator=generator) * 8
    rotation = rotation_matrix(*angles)
    change = torch.randn(count, len(KEYPOINTS), 3, generator=generator) * spread
    return Motion(
        rotation,
        change @ rotation,
        1 + 0.05 * torch.randn(count, 1, generator=generator),
        0.05 * torch.randn(count, 3, generator=generator),
        torch.full((count, 2), 0.3),
        torch.full((count, 1), 0.01),
    )


def test_oneself_is_followed_exactly(face):
    driving = motion(5, 1)
    driving = replace(driving, translation=driving.translation * torch.tensor([1.0, 1.0, 0.0]))
    x_d = driving_keypoints(face, driving[2], driving, driving[2], RULES)
    assert torch.allclose(x_d, transform_keypoints(face.mean[None], driving), atol=1e-5)


def test_a_driver_at_rest_changes_nothing(face):
    source, driving = motion(1, 1), motion(1, 2)
    x_d = driving_keypoints(face, source, driving, driving, RULES)
    assert torch.allclose(x_d, transform_keypoints(face.mean[None], source), atol=1e-5)


def test_only_the_parts_with_strength_move(face):
    source, driving = motion(1, 1), motion(4, 2)
    own = transform_keypoints(face.mean[None], source)
    none = replace(RULES, head=0, lips=0, eyes=0, brows=0, face=0)
    assert torch.allclose(driving_keypoints(face, source, driving, driving[0], none), own.expand(4, -1, -1), atol=1e-5)
    moved = (
        (driving_keypoints(face, source, driving, driving[0], replace(none, lips=1.0))[1:] - own).norm(dim=-1).amax(0)
    )
    assert (moved[rows(LIPS)] > 1e-3).all() and moved[rows(LEFT_BROW)].max() < 1e-5
    brows = (
        (driving_keypoints(face, source, driving, driving[0], replace(none, brows=1.0))[1:] - own).norm(dim=-1).amax(0)
    )
    assert brows[rows(LEFT_BROW)].min() > 1e-3 and brows[rows(LIPS)].max() < 1e-5


def test_half_the_head_turns_half_as_far(face):
    source, turned = Motion.still(1, len(KEYPOINTS)), Motion.still(1, len(KEYPOINTS))
    turned = replace(turned, rotation=rotation_matrix(*torch.tensor([[0.0], [20.0], [0.0]])))
    x_d = driving_keypoints(face, source, turned, source, replace(RULES, head=0.5))
    half = replace(source, rotation=rotation_matrix(*torch.tensor([[0.0], [10.0], [0.0]])))
    assert torch.allclose(x_d, transform_keypoints(face.mean[None], half), atol=1e-5)


def test_the_way_a_driver_is_cropped_does_not_matter(face):
    source, driving = motion(1, 1), motion(4, 2, spread=0.01)
    driving = replace(driving, translation=driving.translation * 0.2)
    closer = replace(driving, scale=driving.scale * 1.7, translation=driving.translation * 1.7 + 0.2)
    one, other = (driving_keypoints(face, source, given, given[0], RULES) for given in (driving, closer))
    assert torch.allclose(one, other, atol=1e-5)


def test_pose_friendly_heads_move_as_far_as_the_drivers(face):
    source = replace(motion(1, 1), translation=torch.zeros(1, 3), scale=torch.ones(1, 1))
    anchor = replace(motion(1, 1), translation=torch.zeros(1, 3), scale=torch.full((1, 1), 2.0))
    driving = replace(anchor, translation=torch.tensor([[0.12, -0.1, 0.0]]))
    own = driving_keypoints(face, source, anchor, anchor, RULES)
    for friendly, share in (("expression", 0.5), ("pose", 1.0)):
        shift = (driving_keypoints(face, source, driving, anchor, replace(RULES, friendly=friendly)) - own).mean(1)
        assert shift[0, :2].tolist() == pytest.approx([0.12 * share, -0.1 * share], abs=1e-5)


def shifted(face, x, y):
    """How far a head moves whose driver moves by (x, y)."""
    rest = Motion.still(1, len(KEYPOINTS))
    driving = replace(rest, translation=torch.stack([x, y, torch.zeros_like(x)], 1))
    x_d = driving_keypoints(face, rest, driving, rest, RULES)
    return (x_d - transform_keypoints(face.mean[None], rest)).mean(1)[:, :2]


@pytest.mark.parametrize(
    ("right", "down", "most"),
    [(1, 0, MOST_ASIDE), (-1, 0, MOST_ASIDE), (0, 1, MOST_DOWN), (0, -1, MOST_UP)],
)
def test_a_head_moves_with_the_driver_but_stays_in_the_middle_of_its_crop(face, right, down, most):
    asked = torch.linspace(0, 3, 601)
    across, along = shifted(face, right * asked, down * asked).unbind(1)
    moved, other = (across, along) if right else (along, across)
    moved = moved * (right + down)
    near = asked < FREE_SHARE * most
    assert torch.allclose(moved[near], asked[near], atol=1e-5) and other.abs().max() < 1e-5
    step = moved.diff()
    assert step.min() > -1e-5 and step.max() < asked[1] + 1e-5  # never back, and never faster than the driver
    assert step.diff().abs().max() < 0.1 * asked[1]  # nor suddenly slower
    assert float(moved[-1]) == pytest.approx(most, abs=1e-3)


def test_a_turn_is_no_drift(face):
    rest = replace(Motion.still(1, len(KEYPOINTS)), scale=torch.full((1, 1), 0.4))
    turned = rotation_matrix(*torch.tensor([[0.0, 25.0], [35.0, 0.0], [0.0, 10.0]]))
    driving = Motion.cat([rest, rest])
    about_axis = shift_about_axis(driving.scale, rest.rotation, turned)
    assert about_axis[:, :2].abs().amax(1).min() > MOST_DOWN
    for shift in (about_axis, torch.zeros_like(about_axis)):  # about the neck, and about the face
        driving = replace(driving, rotation=turned, translation=shift)
        assert torch.equal(limited_shift(driving, rest), shift)


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(1.25, 1.25, 1.25), (0.8, 0.8, 0.8), (5.0, 1.25, 1.5), (0.2, 0.67, 0.8)]
)
def test_a_head_grows_with_the_driver_but_stays_in_its_crop(face, asked, least, most):
    rest = Motion.still(1, len(KEYPOINTS))
    for strength in (1.0, 4.0):
        rules = replace(RULES, head=strength)
        x_d = driving_keypoints(face, rest, replace(rest, scale=torch.tensor([[asked]])), rest, rules)
        zoom = float(x_d.std() / transform_keypoints(face.mean[None], rest).std())
        assert 1 / MAX_ZOOM - 1e-3 <= zoom <= MAX_ZOOM + 1e-3
        assert strength > 1 or least - 1e-3 <= zoom <= most + 1e-3


def with_gaps(face, lips=None, lids=None):
    """A straight face with these gaps."""
    head = face.mean[None]
    if lips is not None:
        head = head + face.move_lips(head, torch.full((1, len(LIP_PAIRS)), lips))
    if lids is not None:
        head = head + face.move_lids(head, torch.full((1, 14), lids))
    return replace(Motion.still(1, len(KEYPOINTS)), expression=head - face.mean, lip_ratio=torch.ones(1, 1))


def test_an_anchor_with_open_lips_flattens_nothing(face):
    closed, parted, wide = (
        replace(with_gaps(face, lips=gap), lip_ratio=torch.tensor([[gap]])) for gap in (0.0, 0.1, 0.3)
    )
    driving = Motion.cat([closed, parted, wide])
    rules = replace(RULES, normalize_lips=True)
    for source in (closed, parted, wide):
        for anchor in (closed, parted, wide):
            gaps = face.lip_gaps(driving_keypoints(face, source, driving, anchor, rules)).mean(1)
            assert gaps.tolist() == pytest.approx([0.0, 0.1, 0.3], abs=1e-5)


def test_eyes_of_any_size_shut_when_the_drivers_do(face):
    wide, anchor, shut = with_gaps(face, lids=0.2), with_gaps(face, lids=0.08), with_gaps(face, lids=0.0)
    assert face.lid_gaps(driving_keypoints(face, wide, shut, anchor, RULES)).abs().max() < 1e-5
    assert torch.allclose(
        face.lid_gaps(driving_keypoints(face, wide, anchor, anchor, RULES)), torch.tensor(0.2), atol=1e-5
    )
    asked = replace(RULES, retarget_eyes=True)
    assert torch.allclose(
        face.lid_gaps(driving_keypoints(face, wide, anchor, anchor, asked)), torch.tensor(0.08), atol=1e-5
    )


def test_irises_stay_as_far_from_the_corners_as_the_drivers(face):
    """A driver looks almost into the corner of its eye; a portrait that looks aside already does not go on beyond."""
    rest, own = motion(1, 1, spread=0.0), motion(1, 1, spread=0.0)
    shift = torch.zeros(len(KEYPOINTS), 3)
    first, last = (face.mean[rows((corner,))[0]] for corner in LEFT_EYE_CORNERS)
    iris = rows(LEFT_IRIS)
    face.mean[iris] = face.mean[iris] - face.mean[iris[0]] + (first + last) / 2
    shift[iris] = 0.4 * (last - first)
    looking, aside = (replace(m, expression=m.expression + shift @ m.rotation) for m in (rest, own))
    place = lambda x: along_eye(face.to_head(x, face.pose(x)), LEFT_EYE_CORNERS, LEFT_IRIS[0])[0]  # noqa: E731
    assert float(place(driving_keypoints(face, own, looking, rest, RULES))) == pytest.approx(0.9, abs=0.02)
    assert float(place(driving_keypoints(face, aside, looking, rest, RULES))) == pytest.approx(0.9, abs=0.02)


def test_lips_meet_and_do_not_cross(face):
    shut, slightly, wide = with_gaps(face, lips=0.0), with_gaps(face, lips=0.02), with_gaps(face, lips=0.2)
    assert face.lip_gaps(driving_keypoints(face, slightly, shut, wide, RULES)).min() > -1e-5
    closed_first = replace(RULES, normalize_lips=True)
    assert face.lip_gaps(driving_keypoints(face, wide, shut, shut, closed_first)).abs().max() < 1e-5
    gaps = face.lip_gaps(driving_keypoints(face, wide, slightly, shut, closed_first))
    assert torch.allclose(gaps, torch.tensor(0.02), atol=1e-5)


def test_replacing_discards_all_other_motion(face):
    source, driving = motion(1, 1), motion(3, 2)
    rules = replace(RULES, retarget_eyes=True, replace=True)
    moved = (
        driving_keypoints(face, source, driving, driving[0], rules) - transform_keypoints(face.mean[None], source)
    ).abs()
    lids = rows(tuple(point for pair in LEFT_LID_PAIRS + RIGHT_LID_PAIRS for point in pair))
    assert moved[:, lids].max() > 1e-3 and moved[:, rows(LEFT_BROW)].max() < 1e-5


def test_absolute_motion_is_held_as_the_driver_holds_it(face):
    source, driving = motion(1, 1), motion(3, 2)
    x_d = driving_keypoints(face, source, driving, driving[0], replace(RULES, relative=False))
    assert not torch.allclose(x_d[0], transform_keypoints(face.mean[None], source)[0], atol=1e-3)
    still = replace(source, expression=source.expression @ source.rotation.transpose(1, 2) @ driving[1].rotation)
    still = replace(still, rotation=driving[1].rotation)
    x_d = driving_keypoints(face, source, still, still, replace(RULES, relative=False))
    expected = replace(still, scale=source.scale, translation=source.translation)
    assert torch.allclose(x_d, transform_keypoints(face.mean[None], expected), atol=1e-5)


def test_a_single_picture_is_measured_against_a_face_at_rest(face):
    torch.manual_seed(1)
    face.expression_basis.copy_(torch.randn_like(face.expression_basis) * 0.05)
    identity, coefficients = torch.randn_like(face.mean[None]) * 0.01, torch.randn(1, len(face.expression_basis))
    shown = replace(Motion.still(1, len(KEYPOINTS)), expression=identity + face.express(coefficients))
    rest = rest_of_picture(face, shown)
    assert face.lip_gaps(face.mean + rest.expression).abs().max() < 1e-4
    away = shown.expression - rest.expression - face.express(coefficients)
    others = [n for n in range(len(KEYPOINTS)) if n not in rows(LIPS)]
    assert away[:, others].abs().mean() < 0.3 * face.express(coefficients)[:, others].abs().mean()


def test_the_neutral_frame_is_straight_shut_and_awake():
    motions = Motion.still(6, 4)
    angles = torch.tensor([[0.0, 0, 0, 0, 0, 0], [25.0, 0, 0, 2, 0, 2], [0.0, 0, 0, 0, 0, 0]])
    motions = replace(
        motions,
        rotation=rotation_matrix(*angles),
        lip_ratio=torch.tensor([[0.0], [0.3], [0.01], [0.02], [0.1], [0.02]]),
        eye_ratio=torch.tensor([0.3, 0.3, 0.05, 0.29, 0.3, 0.29])[:, None].repeat(1, 2),
    )
    assert neutral_frame(motions) == 3
    assert neutral_frame(replace(motions, lip_ratio=None, eye_ratio=None)) == 1


def test_smoothing_is_the_same_in_any_parts():
    driving = motion(20, 3)
    whole = MotionSmoother(0.5, 25.0)(driving)
    smooth = MotionSmoother(0.5, 25.0)
    parts = Motion.cat([smooth(driving[start : start + 7]) for start in range(0, 20, 7)])
    assert torch.allclose(whole.expression, parts.expression, atol=1e-6)
    assert torch.allclose(whole.rotation @ whole.rotation.transpose(1, 2), torch.eye(3).expand(20, 3, 3), atol=1e-5)
    assert MotionSmoother(0.0, 25.0)(driving) is driving


def test_what_stands_still_is_smoothed_and_what_moves_is_not_late():
    noise = torch.randn(200, 1, generator=torch.Generator().manual_seed(0)) * 0.002
    assert OneEuro(1.0, 12.0, 25.0)(noise)[50:].std() < 0.5 * noise.std()
    ramp = torch.linspace(0, 4, 50)[:, None]  # two units a second, as lips open
    late = (ramp - OneEuro(1.0, 12.0, 25.0)(ramp))[10:] / (ramp[1] - ramp[0])
    assert late.max() < 0.5  # frames
    shaken = replace(Motion.still(200, 4), translation=noise.expand(-1, 3))
    spreads = [float(MotionSmoother(amount, 25.0)(shaken).translation[50:].std()) for amount in (0.0, 0.4, 1.0)]
    assert spreads[0] > 1.3 * spreads[1] > 1.69 * spreads[2]


@pytest.mark.shared
@pytest.mark.parametrize("anchor", [0, 1, None])
def test_real_lips_open_as_far_as_the_drivers_from_any_anchor(shared, anchor):
    """First frames of real clips, five with open lips, follow their own clips."""
    face = embedded_face_model()
    with np.load(shared / "data" / "landmarks_val.npz") as z:
        offsets, landmarks = z["offsets"], torch.from_numpy(z["landmarks"].astype(np.float32) / 128 - 1)
    for start, end in pairwise(offsets.tolist()):
        x = landmarks[start:end]
        pose = face.pose(x)
        head = face.to_head(x, pose)
        motion = Motion(pose.rotation, (head - face.mean) @ pose.rotation, pose.scale, pose.translation)
        motion = replace(motion, eye_ratio=eye_ratio(head), lip_ratio=lip_ratio(head))
        rest = motion[neutral_frame(motion) if anchor is None else anchor]
        x_d = driving_keypoints(face, motion[0], motion, rest, replace(RULES, normalize_lips=True))
        opened, real = (face.lip_gaps(face.to_head(each, face.pose(each)))[:, 4] for each in (x_d, x))
        assert 0.75 < opened.std() / real.std() < 1.3


@pytest.mark.parametrize("alone", [True, False])
def test_retargeted_lips_open_as_faces_do(alone):
    """Any face opens its lips as far as any other, with a displacement that faces make."""
    face, people = _anyone()
    openness = lip_ratio(face.mean + people.expression)
    rules = replace(RULES, retarget_lips=True, replace=alone)
    for n in range(12):
        moved = driving_keypoints(face, people[n], people, people[n], rules)
        assert ((lip_ratio(moved) - openness).abs() < 0.12 + 0.2 * openness).all()
        assert (moved - face.mean - people.expression[n]).abs().max() < 0.8


@pytest.mark.parametrize("how", [{}, {"relative": False}, {"retarget_lips": True}, {"retarget_eyes": True}])
def test_the_greatest_strengths_move_faces_as_faces_move(how):
    face, people = _anyone()
    rules = replace(RULES, strength=2.0, lips=2.0, eyes=2.0, brows=2.0, normalize_lips=True, **how)
    for n in range(12):
        x = driving_keypoints(face, people[n], people, people[n], rules)
        head = face.to_head(x, face.pose(x))
        assert (head - face.mean - people.expression[n]).norm(dim=-1).max() < 1.0
        assert (
            face.lip_gaps(head).amax() < 1.1 and -0.02 < face.lid_gaps(head).amin() < face.lid_gaps(head).amax() < 0.3
        )
        assert (head[:, rows(MOUTH_CORNERS)[1], 0] - head[:, rows(MOUTH_CORNERS)[0], 0]).min() > 0.25


def test_strengths_are_kept_where_faces_move_little():
    face, people = _anyone()
    weights = part_weights(face, replace(RULES, lips=2.0, brows=2.0))
    change = people.expression[:4] - people.expression[4:8]
    assert (limited(face, weights, 0.2 * change) == weights).all()
    assert (limited(face, weights, 2 * change) <= weights).all() and (limited(face, weights, 2 * change) >= 1).all()
    assert torch.equal(limited(face, weights / 2, 2 * change)[0], weights / 2)


@pytest.mark.parametrize(
    ("turned", "strength", "expected"), [(10, 2, 20), (20, 2, 30), (-25, 4, -30), (40, 2, 40), (40, 0.5, 20)]
)
def test_strong_heads_turn_no_further_than_heads_turn(turned, strength, expected):
    turn = rotation_matrix(*torch.tensor([[0.0], [float(turned)], [0.0]]))
    assert float(euler_degrees(scaled_turn(turn, strength))[1]) == pytest.approx(expected, abs=0.01)


def _anyone():
    """Return the face model and twelve different faces."""
    face = embedded_face_model()
    shapes = face.express(torch.randn(12, len(face.expression_basis), generator=torch.Generator().manual_seed(1)))
    heads = face.mean + shapes
    shapes = shapes + face.move_lips(heads, face.lip_gaps(heads).clamp_min(0))  # as any picture shows them
    return face, replace(Motion.still(12, len(KEYPOINTS)), expression=shapes, lip_ratio=lip_ratio(face.mean + shapes))
