"""What stage II asks: a still border and shoulders, and eyes and lips as open as asked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liveportrait.mini.raster import pixel_grid
from liveportrait.training.faces import LEFT_EYE, LIP_POINTS, RIGHT_EYE, rows

CHIN, FOREHEAD, CHEEKS = rows((152,))[0], rows((10,))[0], rows((234, 454))
BORDER = 0.12
"""Width of the border that stays, in units of half the crop."""
NECK = 0.15
"""Height over the face's height that is left free below the chin."""


def masked_l1(shown: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Mean |shown − real| over the pixels of a mask.

    Args:
        shown: Pictures, shape (B, 3, H, W).
        real: Same shape.
        mask: In [0, 1], shape (B, 1, H, W).
    """
    return ((shown - real).abs() * mask).sum() / (3 * mask.sum()).clamp_min(1.0)


def size_of(offset: Tensor) -> Tensor:
    """Mean over keypoints of ‖Δ_k‖₁, the offsets having shape (B, K, 3)."""
    return offset.abs().sum(-1).mean()


def opening_of(offset: Tensor, upper: Sequence[int], lower: Sequence[int]) -> Tensor:
    """Mean over pairs of keypoints of ‖Δ_upper − Δ_lower‖₁: how far offsets (B, K, 3) move lids and lips apart."""
    return (offset[:, list(upper)] - offset[:, list(lower)]).abs().sum(-1).mean()


def condition(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean |c(picture) − c_d|: openness in pictures by N readers, (N, B, 1 or 2), and what was asked, (B, 1 or 2)."""
    return (found - wanted).abs().mean()


def still_mask(landmarks: Tensor, side: int) -> Tensor:
    """Mark what stitching must keep still: the border and the shoulders of the source.

    The paper's formula multiplies by 1 − M with M the shoulders' mask, which would leave the shoulders free, while its
    text says that they stay. The text is followed. Shoulders are everything lower than the chin and a part of the neck.

    Args:
        landmarks: Of the source, shape (B, 20, 2).
        side: Pixels of the mask.

    Returns:
        One where the picture must stay, shape (B, 1, side, side).
    """
    places = pixel_grid(side, side).to(landmarks)
    border = places.abs().amax(-1) > 1 - BORDER
    chin, top = landmarks[:, CHIN, 1], landmarks[:, FOREHEAD, 1]
    shoulders = places[None, ..., 1] > (chin + NECK * (chin - top))[:, None, None]
    return (border | shoulders)[:, None].float()


def outside_mask(landmarks: Tensor, side: int, part: str) -> Tensor:
    """Mark what retargeting must keep: everything but the eyes, or everything but lips and chin.

    Args:
        landmarks: Of the source, shape (B, 20, 2).
        side: Pixels of the mask.
        part: "eyes" or "lips".

    Returns:
        One outside the region, shape (B, 1, side, side).
    """
    places = pixel_grid(side, side).to(landmarks)
    if part == "eyes":
        groups = [landmarks[:, rows(points)] for points in (LEFT_EYE, RIGHT_EYE)]
        inside = torch.stack([_box(places, group, 1.6, 1.0) for group in groups]).any(0)
    else:
        chin = landmarks[:, CHIN : CHIN + 1]
        inside = _box(places, torch.cat([landmarks[:, rows(LIP_POINTS)], chin], 1), 1.4, 0.0)
    return 1 - inside[:, None].float()


def _box(places: Tensor, points: Tensor, margin: float, least: float) -> Tensor:
    """Mark the boxes around points (B, N, 2), `margin` times as large and at least `least` times as high as wide."""
    low, high = points.amin(1), points.amax(1)
    half = margin * (high - low) / 2
    half = torch.stack([half[:, 0], torch.maximum(half[:, 1], least * half[:, 0])], 1)
    distance = (places[None] - ((low + high) / 2)[:, None, None]).abs()
    return (distance <= half[:, None, None]).all(-1)
