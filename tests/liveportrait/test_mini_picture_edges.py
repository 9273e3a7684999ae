"""The picture's edges: nothing is fetched from beyond them, and nothing else changes."""

import pytest
import torch

from liveportrait.mini.picture_edges import MARGIN, keep_inside
from liveportrait.mini.raster import pixel_grid

GRID = pixel_grid(64, 64)[None]
FAR = torch.tensor([[1.0, 0, 9], [0, 1, 9], [-1, 0, 9], [0, -1, 9]])[None]


def top_at(height):
    edges = FAR.clone()
    edges[0, 1] = torch.tensor([0.0, 1, -height])
    return edges


@pytest.mark.parametrize("shift", [0.02, 0.1, 0.3])
def test_no_position_inside_is_fetched_from_beyond_an_edge(shift):
    kept = keep_inside(GRID - torch.tensor([0.05, shift]), top_at(-0.8))
    inside = GRID[..., 1] >= -0.8
    assert kept[..., 1][inside].min() >= -0.8
    assert (kept[0, :, 0, 1].diff() > 0).all()  # nothing is shown twice
    torch.testing.assert_close(kept[..., 0], GRID[..., 0] - 0.05)  # motion along the edge stays


def test_motion_fades_out_near_the_edge_only():
    kept = keep_inside(GRID - torch.tensor([0.0, 0.1]), top_at(-0.8))
    shift = (GRID - kept)[0, :, 0, 1]
    deep = GRID[0, :, 0, 1] > -0.8 + MARGIN
    torch.testing.assert_close(shift[deep], torch.full_like(shift[deep], 0.1))
    assert shift[GRID[0, :, 0, 1] > -0.8][0] < 0.01


def test_motion_away_from_the_edge_and_far_edges_change_nothing():
    outward = GRID + torch.tensor([0.0, 0.1])
    assert keep_inside(outward, top_at(-0.8)).equal(outward)
    assert keep_inside(GRID - 0.2, FAR).equal(GRID - 0.2)


def test_every_frame_and_portrait_has_its_own():
    flow = torch.cat([GRID - 0.1, GRID, GRID - 0.02])
    each = torch.cat([keep_inside(frame[None], top_at(-0.9)) for frame in flow])
    torch.testing.assert_close(keep_inside(flow, top_at(-0.9)), each)
    mixed = keep_inside(flow[:2], torch.cat([FAR, top_at(-0.9)]))
    torch.testing.assert_close(mixed[0], flow[0])
