"""Crop geometry: golden vectors of the published geometry, worked numbers, and what a crop looks like."""

import numpy as np
import pytest
import torch
from geometry_golden import geometry, golden_picture
from made_up_mesh import mesh_points

from talkinghead.face.crop import (
    DRIVING_CROP,
    SOURCE_CROP,
    CropFrame,
    CropRule,
    FaceRect,
    anchor_points,
    cut,
    cut_crop,
    face_rect,
    frame_face,
    landmarks_in_crop,
    make_crop,
)

SETS = [
    *(f"pt{count}/rot{turn}" for count in (203, 106, 68) for turn in ("0.4", "25", "-40", "170")),
    *(f"pt{count}/rot{turn}" for count in (101, 9, 5) for turn in ("0.4", "25")),
]


def upright(size, center=(256, 256), angle=0.0):
    return FaceRect(np.array(center, np.float32), size, angle)


@pytest.mark.parametrize("name", SETS)
def test_geometry_is_upstreams(name):
    points = geometry()[f"{name}/points"]
    for lips in (0, 1):
        got = anchor_points(points, use_lips=bool(lips))
        np.testing.assert_allclose(got, geometry()[f"{name}/anchors/lips{lips}"], atol=5e-3)
    for which, rule in (("source", SOURCE_CROP), ("driving", DRIVING_CROP)):
        rect = face_rect(points, rule.scale, rule.vy_ratio)
        golden = {key: geometry()[f"{name}/{which}/{key}"] for key in ("center", "size", "angle", "bbox", "bbox_rot")}
        np.testing.assert_allclose(rect.center, golden["center"], atol=5e-3)
        np.testing.assert_allclose([rect.size] * 2, golden["size"], atol=5e-3)
        np.testing.assert_allclose(rect.angle, golden["angle"], atol=5e-4)
        np.testing.assert_allclose(rect.corners(rotate=False), golden["bbox"], atol=5e-3)
        np.testing.assert_allclose(rect.corners(rotate=True), golden["bbox_rot"], atol=5e-3)
        for rotate in (0, 1):
            frame = CropFrame.around(rect, 512, rotate=bool(rotate))
            stem = f"{name}/{which}/rotate{rotate}"
            np.testing.assert_allclose(frame.to_crop[:2], geometry()[f"{stem}/to_crop"], atol=2e-2)
            np.testing.assert_allclose(frame.to_image[:2], geometry()[f"{stem}/to_image"], atol=2e-2)
    inside = frame_face(points).points_to_crop(points)[::7]
    np.testing.assert_allclose(inside, geometry()[f"{name}/points_in_crop"], atol=2e-2)


@pytest.mark.parametrize("name", ["pt203/rot25", "pt106/rot-40"])
def test_sampling_is_upstreams(name):
    frame = frame_face(geometry()[f"{name}/points"])
    crop = cut(golden_picture("picture"), frame, border="black", smooth=False, antialias=False).astype(int)
    assert np.abs(crop[::8, ::8] - geometry()[f"{name}/cut/every8"]).max() <= 6
    blocks = crop.reshape(16, 32, 16, 32, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks, geometry()[f"{name}/cut/blocks"], atol=0.5)


def test_a_box_is_a_rect():
    rect = FaceRect.from_box(geometry()["box"], angle=0.3)
    frame = CropFrame.around(rect, 512)
    np.testing.assert_allclose(frame.to_crop, geometry()["box/to_crop/turned"], atol=2e-2)


def test_more_than_101_points_count_as_101():
    points = geometry()["pt101/rot25/points"]
    more = np.concatenate([points, points[:19]])
    np.testing.assert_array_equal(anchor_points(more), anchor_points(points))


def test_unknown_landmark_count_is_an_error():
    with pytest.raises(ValueError, match="got 70"):
        anchor_points(np.zeros((70, 2), np.float32))


def test_coinciding_anchors_leave_the_face_upright():
    assert face_rect(np.ones((5, 2), np.float32)).angle == 0


def test_a_worked_frame():
    frame = CropFrame.around(upright(256, center=(200, 100)), 512)
    np.testing.assert_allclose(frame.points_to_crop(np.array([[200, 100, 10]], np.float32)), [[256, 256, 20]])
    np.testing.assert_allclose(frame.points_to_crop(np.array([[72, -28]], np.float32)), [[0, 0]])
    np.testing.assert_allclose(frame.points_to_image(np.array([[512, 256]], np.float32)), [[328, 100]])
    assert frame.zoom == pytest.approx(2)


def test_rotation_turns_the_face_upright():
    frame = CropFrame.around(upright(512, angle=np.pi / 2), 512)
    right_of_picture = frame.points_to_crop(np.array([[356, 256]], np.float32))
    np.testing.assert_allclose(right_of_picture, [[256, 156]], atol=1e-3)


def test_there_and_back():
    frame = CropFrame.around(upright(313.7, center=(211.2, 97.5), angle=0.4), 512)
    points = np.random.default_rng(0).uniform(-50, 600, (40, 3)).astype(np.float32)
    np.testing.assert_allclose(frame.points_to_image(frame.points_to_crop(points)), points, atol=1e-2)


def test_mesh_is_framed_without_its_forehead():
    rect = face_rect(mesh_points())
    assert rect.size == pytest.approx(2.3 * 100)  # brows at -40 to chin at 60; the forehead's -90 does not count
    np.testing.assert_allclose(rect.center, (300, 200 + 10 - 0.125 * 230), atol=1e-3)


def test_a_turned_mesh_has_the_same_place_in_its_crop():
    straight, turned = mesh_points(), mesh_points(angle=0.5)
    expected = landmarks_in_crop(straight, frame_face(straight))
    np.testing.assert_allclose(landmarks_in_crop(turned, frame_face(turned)), expected, atol=2e-3)


def test_landmarks_are_in_units_of_half_the_crop():
    frame = CropFrame.around(upright(200, center=(200, 200)), 400)
    crop_pixels = np.array([[-0.5, -0.5, 0], [399.5, 199.5, 50]], np.float32)  # corner and middle of the right edge
    points = frame.points_to_image(crop_pixels)
    np.testing.assert_allclose(landmarks_in_crop(points, frame), [[-1, -1, 0], [1, 0, 0.25]], atol=1e-5)


def test_make_crop_gives_what_the_models_take():
    picture = np.zeros((400, 600, 3), np.uint8)
    picture[..., 0] = 255
    crop, frame = make_crop(picture, mesh_points(), CropRule(size=128))
    assert crop.image.shape == (1, 3, 128, 128)
    assert crop.image.dtype == torch.float32
    assert crop.image[:, 0].min() == 1
    assert crop.image[:, 1:].max() == 0
    assert crop.landmarks is not None
    assert crop.landmarks.shape == (1, 478, 3)
    assert frame.size == 128


def test_outside_the_picture_its_edge_goes_on():
    picture = np.full((100, 100, 3), 200, np.uint8)
    frame = CropFrame.around(upright(200, center=(0, 0)), 64)
    assert cut(picture, frame).min() == 200
    assert cut(picture, frame, border="black")[:16].max() == 0


def test_a_crop_wholly_outside_the_picture_has_its_edge_colour():
    picture = np.full((50, 50, 3), 9, np.uint8)
    assert (cut(picture, CropFrame.around(upright(400, center=(-900, 700)), 64)) == 9).all()


def test_coarse_crops_average_instead_of_picking():
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::3] = 255
    frame = CropFrame.around(upright(1200, center=(600, 600), angle=0.2), 256)
    middle, picked = (cut(stripes, frame, antialias=a)[64:192, 64:192].astype(float) for a in (True, False))
    assert middle.std() < picked.std() / 4
    assert middle.mean() == pytest.approx(85, abs=2)


def test_averaging_does_not_move_the_picture():
    ys, xs = np.mgrid[0:1000, 0:1000]
    ramp = np.stack([xs * 0.25, ys * 0.25, xs * 0], axis=-1).astype(np.uint8)
    frame = CropFrame.around(upright(900, center=(520.3, 480.7), angle=0.1), 256)
    smooth, picked = cut(ramp, frame), cut(ramp, frame, antialias=False)
    difference = smooth[20:-20, 20:-20].astype(float) - picked[20:-20, 20:-20]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.2


@pytest.mark.parametrize("angle", [0.0, 0.4])
@pytest.mark.parametrize("center", [(200, 150), (60, 150), (390, 150), (200, 20), (200, 290), (10, 10)])
@pytest.mark.parametrize("side", [100, 200, 900])
def test_a_crop_is_moved_and_shrunk_into_the_picture(side, center, angle):
    frame = CropFrame.around(upright(side, center, angle), 256)
    shown = frame.inside((300, 400))
    corners = shown.points_to_image(np.array([[0, 0], [255, 0], [255, 255], [0, 255]], np.float32))
    assert corners.min() >= -0.51 and (corners.max(axis=0) <= (399.51, 299.51)).all()
    assert frame.zoom < shown.zoom * 1.0001 and (side > 400 or shown.zoom <= 2.001 * frame.zoom)
    middle = np.full((1, 2), 127.5, np.float32)
    np.testing.assert_allclose(shown.points_to_crop(shown.points_to_image(middle)), middle, atol=1e-3)


def test_a_crop_is_moved_a_little_before_it_is_shrunk():
    frame = CropFrame.around(upright(100, (36, 150)), 256)
    assert frame.inside((300, 400)).zoom == pytest.approx(frame.zoom)
    frame = CropFrame.around(upright(100, (28, 150)), 256)
    assert frame.zoom < frame.inside((300, 400)).zoom < 1.4 * frame.zoom


def test_a_crop_inside_the_picture_stays():
    frame = CropFrame.around(upright(100, (200, 150), 0.3), 256)
    assert frame.inside((300, 400)) is frame


def test_a_crop_seen_in_another_one():
    frame, view = (CropFrame.around(upright(side, (180, 150), angle), 256) for side, angle in ((200, 0.3), (90, 0.0)))
    point = np.array([[31, 77]], np.float32)
    np.testing.assert_allclose(
        frame.seen_in(view).points_to_image(point), view.points_to_crop(frame.points_to_image(point)), atol=1e-2
    )


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_a_crop_knows_where_its_picture_ends(angle):
    picture = np.zeros((300, 400, 3), np.uint8)
    frame = CropFrame.around(upright(500, (150, 120), angle), 256)
    edges = cut_crop(picture, frame, None).edges[0].numpy()
    for point in np.array([[0, 0], [399, 0], [20, 299], [100, 50]], np.float32):
        x, y = (frame.points_to_crop(point[None])[0] + 0.5) * 2 / 256 - 1
        distances = edges @ (x, y, 1) / (frame.zoom * 2 / 256)
        np.testing.assert_allclose(distances, [point[0], point[1], 399 - point[0], 299 - point[1]], atol=0.02)
