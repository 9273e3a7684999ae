"""Keep painted eyelids in the colours around the source's eyes: the decoder paints them as red as in photographs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.painted import Painted
from liveportrait.mini.patches import (
    LEFT_EYE_PATCH,
    RIGHT_EYE_PATCH,
    draw_masks,
    patch_frame,
    patch_points,
    sample,
)

_LUMA = (0.299, 0.587, 0.114)
_EYE = 0.3
"""Mask above which a pixel belongs to the eye."""
_FIRMNESS = 1e-4


@dataclass(frozen=True)
class LidColors:
    """Colours of the skin around the eyes of T sources, as a function of its luma y.

    Attributes:
        curve: Coefficients of 1, y and y² that give red, green and blue minus y, shape (T, 3, 3).
        spread: Standard deviation of red, green and blue from that, shape (T, 3).
    """

    curve: Tensor
    spread: Tensor

    def at(self, frames: Tensor | slice) -> LidColors:
        """Return the colours on some frames (n,) of one source or of T sources."""
        return self if len(self.curve) == 1 else LidColors(self.curve[frames], self.spread[frames])

    def apply(self, painted: Painted) -> Painted:
        """Bring the paint outside of the eyes, on 1 or T frames, to within `spread` of `curve`, and keep its luma."""
        color = painted.color.permute(0, 2, 3, 1)
        luma = _luma(color)
        usual = _powers(luma) @ self.curve[:, None]
        spread = self.spread[:, None, None]
        beyond = color - luma[..., None] - usual
        near = luma[..., None] + usual + torch.maximum(torch.minimum(beyond, spread), -spread)
        lids = near.clamp(0, 1).permute(0, 3, 1, 2)
        return replace(painted, color=torch.lerp(lids, painted.color, painted.masks[:, :1]))


def read_lid_colors(image: Tensor, x_s: Tensor, face: FaceModel) -> LidColors:
    """Read the colours of the skin around both eyes.

    Args:
        image: Source crops as the painters see them, shape (T, 3, H, W).
        x_s: Source keypoints, shape (T, K, 3).
        face: The face model.
    """
    pose, pixels, shares = face.pose(x_s), [], []
    for kind in (LEFT_EYE_PATCH, RIGHT_EYE_PATCH):
        frame = patch_frame(kind, pose)
        eye = F.max_pool2d(draw_masks(kind, frame, x_s)[:, :1], 5, 1, 2)
        pixels.append(sample(image, patch_points(frame, kind.size)).flatten(2))
        shares.append((eye < _EYE).flatten(1))
    skin = zip(torch.cat(pixels, 2).transpose(1, 2), torch.cat(shares, 1), strict=True)
    curves, spreads = zip(*(_fit(pixels[share]) for pixels, share in skin), strict=True)
    return LidColors(torch.stack(curves), torch.stack(spreads))


def _fit(colors: Tensor) -> tuple[Tensor, Tensor]:
    """Fit curve (3, 3) and spread (3,) to colours (N, 3)."""
    luma = _luma(colors)
    powers, chroma = _powers(luma), colors - luma[:, None]
    normal = powers.T @ powers + _FIRMNESS * torch.eye(3).to(colors)
    curve = torch.linalg.solve(normal, powers.T @ chroma)
    return curve, (chroma - powers @ curve).square().mean(0).sqrt()


def _luma(colors: Tensor) -> Tensor:
    """Return the luma of colours (..., 3)."""
    return colors @ colors.new_tensor(_LUMA)


def _powers(luma: Tensor) -> Tensor:
    """Return 1, y and y² of a luma of any shape, in a last axis."""
    return torch.stack([torch.ones_like(luma), luma, luma.square()], -1)
