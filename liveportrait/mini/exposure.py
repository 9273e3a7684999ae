"""Show dark pictures to the networks as bright as those that they learned from."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.raster import polygon_masks
from liveportrait.mini.regions import FACE_OVAL, rows

BRIGHT_SKIN = 0.5
"""Luma that the brightest twentieth of a face has at least in the pictures that the networks learned from.

Of 70 portraits and stills, one has less (0.43); they have 0.73 in the median. A face at night has 0.14.
"""

MOST = 8.0
"""Largest factor: what is darker still is noise."""

_LUMA = (0.2126, 0.7152, 0.0722)


def exposure(small: Tensor, x_s: Tensor) -> Tensor:
    """Tell by how much a face has to be brightened.

    The brightest parts of the face count: how dark somebody's skin is says little about the light.

    Args:
        small: Source crops, shape (T, 3, S, S).
        x_s: Their keypoints, shape (T, K, 3).

    Returns:
        Factors, shape (T, 1, 1, 1); 1 where the picture is not dark.
    """
    size = small.shape[-1]
    faces = polygon_masks([x_s[:, rows(FACE_OVAL), :2]], size, 2 / size)[:, 0] > 0.5
    luma = (small * small.new_tensor(_LUMA)[:, None, None]).sum(1)
    lights = [bright[face] if face.any() else bright.flatten() for bright, face in zip(luma, faces, strict=True)]
    brightest = torch.stack([light.quantile(0.95) for light in lights])
    return (BRIGHT_SKIN / brightest.clamp_min(BRIGHT_SKIN / MOST)).clamp_min(1.0)[:, None, None, None]


def brighten(picture: Tensor, factor: Tensor) -> Tensor:
    """Scale pictures (T, 3, H, W); on coded values as on light itself, a factor is a change of exposure."""
    return (picture * factor).clamp(0, 1)
