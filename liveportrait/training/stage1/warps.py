"""Random smooth warps of pictures, for the equivariance of keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.raster import pixel_grid

AFFINE_DEVIATION, SPLINE_DEVIATION, SPLINE_POINTS = 0.05, 0.005, 5
"""σ_affine, σ_tps and points per axis, as in First Order Motion Model and face-vid2vid."""


@dataclass(frozen=True)
class RandomWarp:
    """An affine map plus a thin-plate spline: places in the warped picture to places in the original, both ±1.

    Attributes:
        affine: Shape (B, 2, 3).
        controls: Spline centres, shape (C, 2).
        strengths: Weight of each centre, shape (B, C).
    """

    affine: Tensor
    controls: Tensor
    strengths: Tensor

    @classmethod
    def draw(cls, count: int, random: torch.Generator, device: str | torch.device = "cpu") -> RandomWarp:
        """Draw warps; the generator lives on the CPU, so that every device sees the same."""
        affine = torch.eye(2, 3) + AFFINE_DEVIATION * torch.randn(count, 2, 3, generator=random)
        strengths = SPLINE_DEVIATION * torch.randn(count, SPLINE_POINTS**2, generator=random)
        axis = torch.linspace(-1, 1, SPLINE_POINTS)
        controls = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).flatten(0, 1)
        return cls(affine.to(device), controls.to(device), strengths.to(device))

    def points(self, places: Tensor) -> Tensor:
        """Move places (B, N, 2) of the warped picture to the original.

        Source: Siarohin et al., "First Order Motion Model", 2019, appendix B.
        """
        moved = places @ self.affine[:, :, :2].transpose(1, 2) + self.affine[:, None, :, 2]
        # The L1 distance of the authors' code. No root of zero, whose gradient would be infinite.
        distance = (places[:, :, None] - self.controls).abs().sum(-1)
        bend = distance.square() * torch.log(distance + 1e-6)
        return moved + (bend * self.strengths[:, None]).sum(-1, keepdim=True)

    def picture(self, pictures: Tensor) -> Tensor:
        """Warp pictures (B, 3, S, S): the result at p shows the original at T(p)."""
        side = pictures.shape[-1]
        grid = pixel_grid(side, side).to(pictures).flatten(0, 1).expand(len(pictures), -1, -1)
        grid = self.points(grid).unflatten(1, (side, side))
        return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
