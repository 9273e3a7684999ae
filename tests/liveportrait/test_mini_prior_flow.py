"""Closing before opening: what shuts shows no inside and no lip twice; what opens is left to the spline."""

import pytest
import torch

from liveportrait import LivePortrait
from liveportrait.mini.head import turned_head
from liveportrait.mini.patches import sample
from liveportrait.mini.prior_flow import FLOW_SIZE, close_source, closing_flow, prior_flow
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.regions import LEFT_LID_PAIRS, LIP_PAIRS, rows
from liveportrait.mini.thin_plate import CONTROL_ROWS, backward_flow

SCALE = 0.4


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face


def posed(head):
    return SCALE * head - torch.tensor([0.0, 0.2, 0.0])


@pytest.fixture(scope="module")
def shut(face):
    head = face.mean[None]
    return head + face.move_lips(head, torch.zeros_like(face.lip_gaps(head)))


@pytest.fixture(scope="module")
def open_wide(face, shut):
    return shut + face.express(-3.0 * torch.eye(1, len(face.expression_basis)))


def gap(points, pairs):
    upper, lower = pairs[len(pairs) // 2]
    a, b = rows((upper, lower))
    return points[:, a, :2], points[:, b, :2]


def column(flow, x, above, below):
    """Where a column of pixels through a point comes from, top to bottom, and the pixels' heights."""
    n = int((x[0] + 1) / 2 * FLOW_SIZE)
    height = pixel_grid(FLOW_SIZE, FLOW_SIZE)[:, n, 1]
    chosen = (height > x[1] - above) & (height < x[1] + below)
    return flow[0, chosen, n, 1], height[chosen]


def test_nothing_moves_where_nothing_is_asked(face, open_wide):
    x = posed(open_wide)
    assert (prior_flow(face, x, x)[0] - pixel_grid(FLOW_SIZE, FLOW_SIZE)).abs().max() < 1e-3


def test_shut_lips_show_no_inside_and_each_lip_once(face, open_wide, shut):
    x_s, x_d = posed(open_wide), posed(shut)
    upper, lower = gap(x_s, LIP_PAIRS)
    seam = gap(x_d, LIP_PAIRS)[0][0]
    source, _ = column(prior_flow(face, x_s, x_d), seam, 0.1, 0.1)
    assert (source.diff() > 0).all()  # top to bottom, nothing twice
    inside = (source > upper[0, 1] + 0.01) & (source < lower[0, 1] - 0.01)
    assert inside.sum() <= 2


def test_a_mouth_that_opens_is_the_splines(face, open_wide, shut):
    x_s, x_d = posed(shut), posed(open_wide)
    grid = pixel_grid(64, 64)
    around = turned_head(face.pose(x_s), face.pose(x_d))
    points = (torch.cat([x[:, CONTROL_ROWS], more], 1) for x, more in zip((x_s, x_d), around, strict=True))
    spline = backward_flow(*points, grid)
    combined = torch.nn.functional.avg_pool2d(prior_flow(face, x_s, x_d).permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    assert (combined - spline).abs().mean() < 5e-4


def test_lids_that_meet_or_cross_fold_nothing(face):
    """Down a line through the eye, the source is read from top to bottom, and the open eye within a slit."""
    head = face.mean[None]
    x_s, crossed = 0.4 * head, torch.full_like(face.lid_gaps(head), -0.04)
    x_d = x_s + 0.4 * face.move_lids(head, crossed)
    upper, lower = (rows((point,))[0] for point in LEFT_LID_PAIRS[3])
    down = torch.linspace(-0.1, 0.1, 201)
    line = torch.stack([x_d[0, upper, 0].expand(201), x_d[0, upper, 1] + down], -1)
    height = sample(prior_flow(face, x_s, x_d).permute(0, 3, 1, 2), line[None, None])[0, 1, 0]
    assert (height.diff() > 0).all()
    inside = (height > x_s[0, upper, 1]) & (height < x_s[0, lower, 1])
    assert 0.001 * inside.sum() < 0.5 * (x_s[0, lower, 1] - x_s[0, upper, 1])


def test_lids_that_cross_only_meet(face):
    head = face.mean[None]
    crossed = head + face.move_lids(head, torch.full_like(face.lid_gaps(head), -0.04))
    x_s, x_d = posed(head), posed(crossed)
    closed, driver = close_source(face, x_s, x_d, (face.pose(x_s), face.pose(x_d)))
    for points in (closed, driver):
        upper, lower = gap(points, LEFT_LID_PAIRS)
        assert (upper - lower)[:, 1].abs().max() < 2e-3


def test_closing_flow_undoes_the_closing(face, open_wide):
    """A lip that has moved comes from where it was; a batch is its members."""
    x_s = posed(open_wide)
    closing = [posed(open_wide + face.move_lips(open_wide, face.lip_gaps(open_wide) * share)) for share in (0.2, 0.6)]
    x_c = torch.cat(closing)
    flow = closing_flow(x_s, x_c, pixel_grid(FLOW_SIZE, FLOW_SIZE))
    middle = LIP_PAIRS[len(LIP_PAIRS) // 2]
    lower = rows((middle[1],))
    below = torch.tensor([0.0, 0.03])
    places = (x_c[:, lower, :2] + below)[:, None]
    found = sample(flow.permute(0, 3, 1, 2), places)[:, :, 0].transpose(1, 2)
    assert (found - x_s[:, lower, :2] - below).abs().max() < 0.03
    for n in range(2):
        alone = closing_flow(x_s, x_c[n : n + 1], pixel_grid(FLOW_SIZE, FLOW_SIZE))[0]
        assert torch.allclose(flow[n], alone, atol=5e-3)
