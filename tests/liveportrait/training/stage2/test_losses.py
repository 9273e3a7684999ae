"""The losses of stage II, on values worked out by hand."""

import pytest
import torch
from known_face import face

from liveportrait.official_map import official_map
from liveportrait.training.faces import POINTS, rows
from liveportrait.training.stage2.losses import (
    BORDER,
    condition,
    masked_l1,
    opening_of,
    outside_mask,
    size_of,
    still_mask,
)
from liveportrait.training.stage2.reader import (
    JITTER,
    NUM_MEMBERS,
    SQUEEZE,
    STRETCH,
    OpennessReader,
    misplaced,
    opened,
    openness_of,
    reader_loss,
    varied,
)


def at(mask: torch.Tensor, x: float, y: float) -> float:
    side = mask.shape[-1]
    return float(mask[0, 0, int((y + 1) / 2 * side), int((x + 1) / 2 * side)])


def test_masked_l1_counts_only_the_mask():
    shown, real = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    shown[..., 0, 0], shown[..., 1, 1] = 0.4, 1.0
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert masked_l1(shown, real, mask) == pytest.approx(0.2)
    assert masked_l1(shown, real, torch.zeros(1, 1, 2, 2)) == 0


def test_offsets_and_conditions():
    assert size_of(torch.tensor([[[0.1, -0.2, 0.0], [0.0, 0.0, 0.1]]])) == pytest.approx(0.2)
    assert condition(torch.tensor([[0.1, 0.3]]), torch.tensor([[0.4]])) == pytest.approx(0.2)


def test_openings_are_what_moves_lids_and_lips_apart():
    alike = torch.tensor([[[0.1, 0.2, 0.0], [0.1, 0.2, 0.0]]])
    assert opening_of(alike, (0,), (1,)) == 0
    assert opening_of(torch.tensor([[[0.1, 0.2, 0.0], [0.1, -0.1, 0.1]]]), (0,), (1,)) == pytest.approx(0.4)


def test_border_and_shoulders_stay_still():
    mask = still_mask(face(), 64)
    assert at(mask, 0.0, 0.0) == 0 and at(mask, 0.0, 0.7) == 0  # face, neck
    assert at(mask, 0.0, 0.85) == 1  # shoulders: lower than 0.6 + 0.15 · 1.2
    assert at(mask, -1 + BORDER / 2, 0.0) == 1 and at(mask, 0.0, -0.95) == 1


def test_retargeting_keeps_all_but_its_region():
    eyes, lips = outside_mask(face(), 64, "eyes"), outside_mask(face(), 64, "lips")
    assert at(eyes, -0.3, -0.2) == at(eyes, 0.3, -0.2) == 0 and at(eyes, 0.0, -0.2) == at(eyes, 0.0, 0.3) == 1
    assert at(lips, 0.0, 0.3) == at(lips, 0.0, 0.55) == 0 and at(lips, 0.3, -0.2) == at(lips, 0.9, 0.3) == 1


def test_openness_is_height_over_width_on_the_scale_of_official_models():
    eyes, lips = openness_of(face())
    scale = official_map()
    assert eyes[0].tolist() == pytest.approx([float(scale.eye_ratio(torch.tensor(0.3)))] * 2, abs=1e-4)
    assert lips[0].tolist() == pytest.approx([float(scale.lip_ratio(torch.tensor(0.25)))], abs=1e-4)


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_landmarks_open_as_asked_and_nothing_else_moves(angle):
    a = torch.deg2rad(torch.tensor(angle))
    tilted = face() @ torch.stack([torch.stack([a.cos(), a.sin()]), torch.stack([-a.sin(), a.cos()])])
    for part, moves in (("eyes", (159, 386)), ("lips", (14, 17, 152))):
        for asked in (0.05, 0.4, 0.8):
            moved = opened(tilted, part, torch.tensor([[asked]]))
            found = openness_of(moved)[0 if part == "eyes" else 1][0]
            assert found.tolist() == pytest.approx([asked] * len(found), abs=1e-4)
            still = [row for row, point in enumerate(POINTS) if point not in moves]
            assert torch.equal(moved[:, still], tilted[:, still])
            assert not torch.isclose(moved[:, rows(moves)], tilted[:, rows(moves)]).all(-1).any()


def test_the_readers_loss_is_zero_only_at_the_landmarks():
    real, lower = face(), face()
    assert reader_loss(real[None], real) == pytest.approx(0.0)
    lower[:, rows((14,)), 1] += 0.08  # one of 16 points in one of two axes
    more_open = float((openness_of(lower)[1] - openness_of(real)[1]).sum())
    assert 0.05 < more_open < 0.2  # 0.2 would be 0.08 / 0.4, on the mesh's own scale
    expected = 10 * 0.08 / 32 + more_open
    assert reader_loss(lower[None], real) == pytest.approx(expected, rel=1e-3)
    assert reader_loss(torch.stack([lower, real]), real) == pytest.approx(expected / 2, rel=1e-3)  # one member is right


def test_the_reader_gives_gradients_and_leaves_other_landmarks():
    torch.manual_seed(0)
    picture, near = torch.rand(1, 3, 32, 32, requires_grad=True), face()
    found = OpennessReader()(picture, near)
    assert found.shape == (NUM_MEMBERS, 1, len(POINTS), 2) and not torch.equal(found[0], found[1])
    assert all(torch.equal(each[:, rows((10, 152, 234, 454))], near[:, rows((10, 152, 234, 454))]) for each in found)
    openness_of(found)[1].sum().backward()
    grad = picture.grad
    assert grad is not None and grad[..., 18:24, 12:20].abs().sum() > 0 and grad[..., :6, :].abs().sum() == 0


def test_the_reader_learns_where_to_look_not_what_it_will_find():
    landmarks = torch.zeros(64, len(POINTS), 2)
    landmarks[:, rows((17, 145, 374)), 1] = 0.2  # the lower lip and the lower lids
    near = misplaced(landmarks, torch.Generator().manual_seed(0))
    openness = near[:, rows((17, 145, 374)), 1] - near[:, rows((0, 159, 386)), 1]
    assert 0.2 * SQUEEZE[0] <= openness.min() < 0.1 and 0.25 < openness.max() <= 0.2 * SQUEEZE[1] + 1e-6
    shift = near[:, rows((152,))[0]]
    assert 0.5 * JITTER < shift.std() < 2 * JITTER
    assert torch.equal(near[:, rows((0,))[0]], shift)


def test_the_reader_sees_eyes_and_lips_that_are_wider_open():
    random = torch.Generator().manual_seed(0)
    pictures, marks = torch.zeros(64, 3, 32, 32), face().repeat(64, 1, 1)
    pictures[:, :, 18:24] = 1.0  # a bar that landmarks of its height would follow
    changed, moved = varied(pictures, marks, random)
    height = (moved[:, :, 1].amax(1) - moved[:, :, 1].amin(1)) / (marks[:, :, 1].amax(1) - marks[:, :, 1].amin(1))
    assert STRETCH[0] <= height.min() < 0.85 and 1.5 < height.max() <= STRETCH[1] + 1e-4
    assert torch.allclose(moved[..., 0], marks[..., 0], atol=1e-6)
    rows_shown = (changed.mean(1) > changed.mean((1, 2, 3))[:, None, None]).float().mean((1, 2)) * 32
    assert torch.corrcoef(torch.stack([rows_shown, height]))[0, 1] > 0.8
