"""What stage I asks of pictures: cascades of perceptual losses over scales and regions, and identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.training.perception import Perception


def reconstruction(shown: Tensor, real: Tensor) -> Tensor:
    """Mean |shown − real| of pictures (B, 3, H, W) in [0, 1]."""
    return (shown - real).abs().mean()


def pyramid(picture: Tensor, scales: Sequence[float]) -> Iterator[Tensor]:
    """Yield a picture (B, 3, H, W) at several sizes, averaged over areas."""
    for scale in scales:
        side = max(16, round(scale * picture.shape[-1]))
        yield picture if scale == 1 else F.interpolate(picture, (side, side), mode="area")


def perceptual(look: Perception, shown: Tensor, real: Tensor, scales: Sequence[float]) -> Tensor:
    """L_P: sum over scales of the distance of VGG features.

    Args:
        look: VGG-16 with LPIPS weights; face-vid2vid compares plain VGG-19 features.
        shown: Generated pictures, shape (B, 3, H, W) in [0, 1].
        real: What they should be.
        scales: Sizes that are compared.

    Source: face-vid2vid, appendix A (VGG features at several scales); LivePortrait §3.2 (regions).
    """
    total = shown.new_zeros(())
    for small, wanted in zip(pyramid(shown, scales), pyramid(real.detach(), scales), strict=True):
        with torch.no_grad():
            target = look.features(wanted)
        total = total + look.distance(look.features(small), target).mean()
    return total


def identity(embed: Callable[[Tensor], Tensor], shown: Tensor, real: Tensor) -> Tensor:
    """L_faceid = mean (1 − cos(e(shown), e(real))).

    Args:
        embed: Face recognition network, pictures (B, 3, H, W) in [0, 1] → embeddings (B, D).
        shown: Generated faces.
        real: Faces of the same people.

    Source: LivePortrait §3.2; the paper uses ArcFace.
    """
    with torch.no_grad():
        wanted = embed(real)
    return (1 - F.cosine_similarity(embed(shown), wanted)).mean()


def region(picture: Tensor, points: Tensor, margin: float, side: int) -> Tensor:
    """Cut the square around some landmarks out of each picture.

    Args:
        picture: Shape (B, 3, H, W).
        points: Landmarks, shape (B, N, 2), ±1 at the picture's edges.
        margin: Side of the square over the longer side of the landmarks' box.
        side: Pixels of the result.

    Returns:
        Shape (B, 3, side, side).
    """
    low, high = points.amin(1), points.amax(1)
    half = margin * (high - low).amax(1).clamp_min(0.02) / 2
    centre = (low + high) / 2
    matrix = torch.zeros(len(points), 2, 3, device=points.device, dtype=points.dtype)
    matrix[:, 0, 0] = matrix[:, 1, 1] = half
    matrix[:, :, 2] = centre
    grid = F.affine_grid(matrix, [len(points), 3, side, side], align_corners=False)
    return F.grid_sample(picture, grid.to(picture), padding_mode="border", align_corners=False)
