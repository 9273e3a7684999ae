"""The maps between the face mesh and the official models: their shapes and directions, and how they are fitted."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from liveportrait.keypoints import rotation_matrix
from liveportrait.mini.face_model import embedded_face_model
from liveportrait.official_map import OfficialMap, official_map
from liveportrait.training.official_map_fit import OfficialClip, errors, fit_official_map, leave_one_out


def test_openness_rises_with_the_mesh_and_is_never_negative():
    values = torch.linspace(0, 1, 50)
    for convert in (official_map().eye_ratio, official_map().lip_ratio):
        converted = convert(values)
        assert (converted >= 0).all() and (converted.diff() >= 0).all()
    seen = values[5:]
    assert torch.allclose(official_map().mesh_eye_ratio(official_map().eye_ratio(seen)), seen, atol=1e-5)
    assert torch.allclose(official_map().mesh_lip_ratio(official_map().lip_ratio(seen)), seen, atol=1e-5)
    assert official_map().eye_ratio(torch.tensor(0.3)) == pytest.approx(0.340, abs=0.002)
    assert official_map().lip_ratio(torch.tensor(0.25)) == pytest.approx(0.244, abs=0.002)


def test_an_expression_survives_the_way_to_points_and_back():
    points = official_map().points(official_map().expression(0.1 * embedded_face_model().lip_response[4:5]))
    wanted = 0.1 * embedded_face_model().lip_response[4]
    assert torch.nn.functional.cosine_similarity(points.flatten(), wanted.flatten(), dim=0) > 0.7


def clip(seed: int, frames: int = 60) -> OfficialClip:
    """A clip in which every side is a fixed linear map of a few hidden numbers."""
    maps, hidden = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    numbers = torch.randn(frames, 4, generator=hidden)

    def side(*shape: int) -> torch.Tensor:
        weights = torch.randn(4, *shape, generator=maps)
        return torch.tensordot(numbers, weights, 1)

    openness = torch.rand(frames, 3, generator=hidden)
    place = torch.randn(frames, 3, generator=hidden)
    return OfficialClip(
        head=side(162, 3),
        place=place,
        size=0.3 * torch.ones(frames, 1),
        mesh_eyes=0.6 * openness[:, :2],
        mesh_lips=openness[:, 2:],
        expression=side(21, 3),
        rotation=rotation_matrix(*torch.zeros(3, frames)),
        translation=place * torch.tensor([0.8, 0.5, 1.0]),
        scale=1.2 * torch.ones(frames, 1),
        eyes=0.5 * openness[:, :2],
        lips=0.7 * openness[:, 2:],
    )


def test_linear_clips_are_fitted():
    clips = [clip(n) for n in range(1, 4)]
    for found in leave_one_out(clips):
        assert found.expression > 0.99 and found.points > 0.99 and found.lip_height > 0.99
        assert found.eye_ratio < 1e-4 and found.lip_ratio < 1e-4 and found.position > 0.999
        assert found.raw_lip_ratio > 0.1 and found.raw_position < 1
    maps = fit_official_map(clips)
    assert torch.allclose(maps.position, torch.tensor([0.8, 0.5]), atol=1e-5)
    assert torch.allclose(maps.position_back, torch.tensor([1.25, 2.0]), atol=1e-5)
    assert torch.allclose(maps.scale_back, torch.tensor([0.25]), atol=1e-5)


@pytest.mark.shared
def test_the_shipped_maps_are_those_of_the_published_motion(shared: Path):
    from talkinghead.training.official_map import read_clips

    clips = read_clips(shared / "reference" / "official_motion.npz")
    fitted = fit_official_map(list(clips.values()))
    for field in fields(OfficialMap):
        assert torch.allclose(getattr(fitted, field.name), getattr(official_map(), field.name), atol=2e-3)
    assert errors(clips["d0"], fitted).expression > 0.7
