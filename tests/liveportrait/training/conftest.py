"""Made-up clips and stills for the training of the renderer."""

import pytest
import torch

from liveportrait import LivePortrait
from liveportrait.mini.raster import polygon_masks
from liveportrait.mini.regions import LIPS_INNER, rows
from liveportrait.training.pairs import ClipSet


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face


@pytest.fixture(scope="module")
def clips(face) -> ClipSet:
    """Two clips of four frames: the mean face moves over smooth noise that stays."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(255, (1, 16, 16, 3), generator=generator).byte()
    frames = frames.repeat_interleave(16, 1).repeat_interleave(16, 2).expand(8, -1, -1, -1)
    shifts = torch.linspace(-0.1, 0.1, 8)[:, None, None] * torch.tensor([1.0, 0.5, 0.0])
    points = 0.4 * face.mean + torch.tensor([0.0, -0.2, 0.0]) + shifts
    return ClipSet(frames, points, [(0, 4), (4, 8)], ["one", "other"], [100.0, 400.0])


@pytest.fixture(scope="module")
def stills(face) -> ClipSet:
    """One open mouth, dark inside."""
    head = face.mean + face.express(-3.0 * torch.eye(1, len(face.expression_basis)))
    points = 0.4 * head - torch.tensor([0.0, 0.2, 0.0])
    inside = polygon_masks([points[:, rows(LIPS_INNER), :2]], 256, 0.01)[0, 0]
    picture = (200 * (1 - inside)).byte()[None, ..., None].expand(1, 256, 256, 3)
    return ClipSet(picture, points, [(0, 1)], ["still"], [200.0])
