"""Face pictures on disk and the pairs drawn from them."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.io import encode_jpeg

from liveportrait.keypoints import euler_degrees, rotation_matrix
from liveportrait.training.faces import (
    MIRRORED,
    OPENINGS,
    POINTS,
    FaceClip,
    FaceSampler,
    FaceSet,
    draw_augmentation,
    move_landmarks,
    read_faces,
    turn,
    warp,
    write_clip,
)
from liveportrait.training.loop import TrainingError


def face_set(lengths=(4, 1, 3), side=16) -> FaceSet:
    count = sum(lengths)
    pictures = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, side, side).contiguous()
    bounds = torch.tensor([0, *lengths]).cumsum(0)
    names = [str(n) for n in range(len(lengths))]
    return FaceSet(
        [],
        torch.zeros(count, 20, 2),
        torch.eye(3).repeat(count, 1, 1),
        bounds,
        names,
        bounds.diff() == 1,
        side,
        pictures,
    )


def test_clips_come_back_from_disk(tmp_path):
    for name, free in (("a", True), ("b", False)):
        jpegs = [encode_jpeg(torch.full((3, 32, 32), value, dtype=torch.uint8)) for value in (50, 200)]
        write_clip(
            tmp_path / f"{name}.safetensors",
            FaceClip(jpegs, torch.rand(2, 20, 2), torch.eye(3).repeat(2, 1, 1), name, free),
        )
    everything = read_faces(tmp_path, 16, permissive_only=False)
    assert everything.bounds.tolist() == [0, 2, 4] and everything.identities == ["a", "b"]
    loaded = read_faces(tmp_path, 16, permissive_only=True, preload_on="cpu")
    assert loaded.identities == ["a"]
    for faces in (everything, loaded):
        drawn = faces.pictures(torch.tensor([1, 0]))
        assert drawn.shape == (2, 3, 16, 16) and drawn[0].float().mean() == pytest.approx(200, abs=2)


@pytest.mark.parametrize(("count", "still", "read"), [(1, False, True), (2, True, True), (2, False, False)])
def test_edited_stills_and_single_frames_are_stills(tmp_path, count, still, read):
    file = tmp_path / "a.safetensors"
    jpegs = [encode_jpeg(torch.zeros(3, 8, 8, dtype=torch.uint8))] * count
    write_clip(file, FaceClip(jpegs, torch.rand(count, 20, 2), torch.eye(3).repeat(count, 1, 1), "a", True, still))
    assert read_faces(tmp_path, 8, permissive_only=True).stills.tolist() == [read]
    save_file(load_file(file), file, {"identity": "a", "permissive": "True"})  # as files by others may be
    assert read_faces(tmp_path, 8, permissive_only=True).stills.tolist() == [count == 1]


def test_faces_of_several_crops_are_not_mixed(tmp_path):
    for scale in (1.6, 2.3):
        jpegs = [encode_jpeg(torch.zeros(3, 32, 32, dtype=torch.uint8))]
        clip = FaceClip(jpegs, torch.zeros(1, 20, 2), torch.eye(3)[None], "a", True, crop_scale=scale)
        write_clip(tmp_path / f"{scale}.safetensors", clip)
        if scale == 1.6:
            assert read_faces(tmp_path, 16, permissive_only=True).crop_scale == 1.6
    with pytest.raises(TrainingError, match=r"--crop-scale \(1.6, 2.3\); prepare them alike"):
        read_faces(tmp_path, 16, permissive_only=True)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="no faces to learn from"):
        read_faces(tmp_path, 16, permissive_only=True)


def test_pairs_are_two_frames_of_one_clip_and_a_still_is_its_own_pair(monkeypatch):
    drawn, pictures = [], FaceSet.pictures
    monkeypatch.setattr(FaceSet, "pictures", lambda faces, frames: (drawn.append(frames), pictures(faces, frames))[1])
    batch = FaceSampler(face_set(), 0, still_share=0.5).batch(0, 64, "cpu")
    assert batch.source.shape == batch.driving.shape == (64, 3, 16, 16)
    source, driving = drawn[0].chunk(2)
    clip = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2])
    assert torch.equal(clip[source], clip[driving])
    assert torch.equal(source == driving, clip[source] == 1)
    assert 20 <= (clip[source] == 1).sum() <= 44  # half of the pairs are stills


def test_contrasting_pairs_take_the_driving_picture_whose_lids_or_lips_are_most_unlike(monkeypatch):
    drawn, pictures = [], FaceSet.pictures
    monkeypatch.setattr(FaceSet, "pictures", lambda faces, frames: (drawn.append(frames), pictures(faces, frames))[1])
    faces = face_set(lengths=(20,))
    _, lower, _, right = OPENINGS.lips
    faces.landmarks[:, right, 0] = 1.0
    faces.landmarks[:, lower, 1] = torch.linspace(0, 1, 20)
    sampler, always = FaceSampler(faces, 0, 0.4), FaceSampler(faces, 0, 0.4, contrast_share=1.0)
    assert torch.allclose(always.openness[1], torch.linspace(0, 1, 20), atol=1e-5)
    for drawer in (sampler, always):
        drawer.batch(0, 256, "cpu")
    (source, plain), (same, chosen) = (frames.chunk(2) for frames in drawn)
    assert torch.equal(source, same)
    apart, further = (plain - source).abs().float().mean(), (chosen - source).abs().float().mean()
    # Of pairs that look at the lips, which are half, the furthest of six; 7 frames and 13 are expected.
    assert 6 < apart < 8 and 9 < further < 11
    assert not (chosen == source).any()


def test_a_steps_draw_depends_on_seed_and_step_alone_and_is_shared_out_by_rows():
    whole = FaceSampler(face_set(), 3, 0.3).batch(5, 4, "cpu")
    sampler = FaceSampler(face_set(), 3, 0.3)
    sampler.batch(4, 4, "cpu")
    part = sampler.batch(5, 4, "cpu", slice(2, 4))
    assert torch.equal(part.source, whole.source[2:]) and torch.equal(part.landmarks_d, whole.landmarks_d[2:])
    assert torch.equal(part.rotation, whole.rotation[[2, 3, 6, 7]])


def test_pairs_share_their_augmentation_and_stills_do_not():
    maps, _ = draw_augmentation(torch.tensor([False, True]), torch.Generator().manual_seed(0))
    assert torch.equal(maps[0, 0], maps[1, 0])
    assert not torch.equal(maps[0, 1], maps[1, 1])


def test_landmarks_stay_on_the_picture_and_mirrors_swap_the_sides():
    maps, _ = draw_augmentation(torch.zeros(16, dtype=torch.bool), torch.Generator().manual_seed(1))
    maps = maps[0]
    side, place = 64, torch.tensor([0.25, -0.125])
    picture = torch.zeros(16, 3, side, side)
    picture[..., 26:30, 38:42] = 1  # a spot with centre (0.25, -0.125)
    marks = torch.zeros(16, 20, 2)
    marks[:, 0] = place
    moved = move_landmarks(marks, maps)
    grey = warp(picture, maps)[:, 0]
    axis = (2 * torch.arange(side) + 1) / side - 1
    centre = torch.stack([(grey.sum(1) * axis).sum(1), (grey.sum(2) * axis).sum(1)], 1) / grey.sum((1, 2))[:, None]
    flipped = torch.linalg.det(maps[:, :, :2]) < 0
    assert 0 < flipped.sum() < 16
    row = torch.where(flipped, MIRRORED[0], 0)
    assert torch.allclose(moved[torch.arange(16), row], centre, atol=0.02)
    assert POINTS[MIRRORED[0]] == 291


def test_head_poses_turn_and_mirror_with_the_picture():
    pose = rotation_matrix(torch.tensor([10.0]), torch.tensor([20.0]), torch.tensor([0.0]))
    mirror = torch.tensor([[[-1.0, 0.0, 0.1], [0.0, 1.0, 0.0]]])
    assert [round(float(a), 3) for a in euler_degrees(turn(pose, mirror))] == [10.0, -20.0, 0.0]
    angle = torch.deg2rad(torch.tensor(30.0))
    # The result at p shows the original at A p, so the picture turns back by the angle of A.
    spin = torch.tensor([[[angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0]]])
    points = torch.randn(1, 5, 3)
    turned = points @ turn(pose, spin)
    flat = (points @ pose)[..., :2] @ torch.linalg.inv(spin[0, :, :2]).T
    assert torch.allclose(turned[..., :2], flat, atol=1e-5)
