"""Keep a warp inside the picture: what lies beyond its edges was invented when the crop was cut."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.raster import pixel_grid

MARGIN = 0.35  # in half crops: width of the band along an edge in which motion from beyond it fades out
STEEPEST = 1.8  # width of the band over the largest shift, at least; at 1.5 the warp would begin to fold


def keep_inside(flow: Tensor, edges: Tensor) -> Tensor:
    """Fade out motion towards the picture's edges, so that no position inside takes its colour from beyond them.

    Only the part of the motion that points over an edge is changed: hair that the edge cuts off still moves along it.

    Args:
        flow: Source position of each output position, shape (T, G, G, 2).
        edges: As `Crop.edges`, shape (1 or T, 4, 3).
    """
    grid = pixel_grid(*flow.shape[1:3]).to(flow)
    for a, b, c in edges.to(flow).permute(1, 2, 0)[..., None, None]:
        depth = a * grid[..., 0] + b * grid[..., 1] + c
        if depth.amin() >= MARGIN:
            continue
        outward = depth - (a * flow[..., 0] + b * flow[..., 1] + c)
        largest = (outward * (depth >= 0)).amax((1, 2), keepdim=True)
        share = (depth / (STEEPEST * largest).clamp_min(MARGIN)).clamp(0, 1)
        back = outward.clamp_min(0) * (1 - share * share * (3 - 2 * share))
        flow = flow + torch.stack([a * back, b * back], -1)
    return flow
