"""Convert between the face mesh, which `mini` and its voice use, and the scales of the official models.

The official models measure openness on 203 landmarks of their own detector, and their expression is learned. The maps
here were fitted to published output of the official motion extractor; see `liveportrait.training.official_map_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from liveportrait.motion import PerFrame

_FILE = Path(__file__).with_name("official_map.safetensors")


@dataclass(frozen=True)
class OfficialMap(PerFrame):
    """Fitted maps. Points are the K = 162 keypoints of `mini` in its head frame.

    Attributes:
        eye_knots: (mesh ratio, upstream's ratio) of an eye at the ends of two lines, shape (3, 2).
        lip_knots: The same for the lips.
        to_expression: x and y of points to the official expression, shape (2 · 162, 63).
        to_openness: Official expression to upstream's ratios of left eye, right eye and lips, shape (63, 3).
        to_points: Official expression in the head frame to points, shape (63, 3 · 162).
        position: Official translation for one unit of that of `mini`, right and down, shape (2,).
        position_back: Translation of `mini` for one unit of the official one, shape (2,).
        scale_back: Scale of `mini` for one unit of the official one, shape (1,).
    """

    eye_knots: Tensor
    lip_knots: Tensor
    to_expression: Tensor
    to_openness: Tensor
    to_points: Tensor
    position: Tensor
    position_back: Tensor
    scale_back: Tensor

    def eye_ratio(self, mesh_ratio: Tensor) -> Tensor:
        """Convert eye openness measured on the face mesh to upstream's; any shape."""
        return _between(mesh_ratio, self.eye_knots)

    def lip_ratio(self, mesh_ratio: Tensor) -> Tensor:
        """Convert lip openness measured on the face mesh to upstream's; any shape."""
        return _between(mesh_ratio, self.lip_knots)

    def mesh_eye_ratio(self, ratio: Tensor) -> Tensor:
        """Convert upstream's eye openness to the face mesh's; any shape."""
        return _between(ratio, self.eye_knots.flip(1))

    def mesh_lip_ratio(self, ratio: Tensor) -> Tensor:
        """Convert upstream's lip openness to the face mesh's; any shape."""
        return _between(ratio, self.lip_knots.flip(1))

    def expression(self, displacement: Tensor) -> Tensor:
        """Convert displacements of points, (T, 162, 3), to changes of the official expression, (T, 21, 3)."""
        return (displacement[..., :2].flatten(1) @ self.to_expression).unflatten(1, (21, 3))

    def openness(self, change: Tensor) -> Tensor:
        """Return how an expression changes upstream's ratios of left eye, right eye and lips, (T, 21, 3) → (T, 3)."""
        return change.flatten(1) @ self.to_openness

    def points(self, change: Tensor) -> Tensor:
        """Convert changes of the official expression in the head frame to displacements of points, (T, 162, 3)."""
        return (change.flatten(1) @ self.to_points).unflatten(1, (-1, 3))


def _between(values: Tensor, knots: Tensor) -> Tensor:
    """Interpolate between knots (N, 2); beyond the ends their lines continue, but not below zero."""
    x, y = knots.to(values).unbind(1)
    slopes = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
    result = y[0] + slopes[0] * (values - x[0])
    for n in range(1, len(slopes)):
        result = result + (slopes[n] - slopes[n - 1]) * (values - x[n]).clamp_min(0)
    return result.clamp_min(0)


@cache
@torch.inference_mode(False)
def official_map() -> OfficialMap:
    """Return the maps that ship with the package, on the CPU."""
    return OfficialMap(**load_file(_FILE))
