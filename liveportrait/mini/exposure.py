"""Brighten dark pictures to the exposure of the training pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.raster import polygon_masks
from liveportrait.mini.regions import FACE_OVAL, rows

BRIGHT_SKIN = 0.5
"""Minimum luma of the brightest twentieth of a face; the training pictures are at least as bright.

Of 70 portraits and stills one is darker (0.43); the median is 0.73. A face at night has 0.14.
"""

MOST = 8.0
"""Largest factor; darker pictures are mostly noise."""

_LUMA = (0.2126, 0.7152, 0.0722)


def exposure(small: Tensor, x_s: Tensor) -> Tensor:
    """Compute the brightening factor for a face.

    It is based on the brightest parts of the face, which depend less on skin tone than the mean does.

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
    """Scale pictures (T, 3, H, W). A factor changes the exposure for gamma-coded values as for linear light."""
    return (picture * factor).clamp(0, 1)
