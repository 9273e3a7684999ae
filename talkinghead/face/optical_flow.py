"""Optical flow by OpenCV's dense inverse search."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor


def optical_flow(now: Tensor, before: Tensor) -> Tensor:
    """Compute for each pixel where it came from; implements `liveportrait.motion.FlowSearch`.

    Args:
        now: Grey pictures in [0, 1], shape (T, H, W).
        before: Earlier pictures, same shape.

    Returns:
        (right, down) in pixels, shape (T, 2, H, W).

    Source: Kroeger et al., "Fast optical flow using dense inverse search", 2016.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    bytes_now, bytes_before = (grey.clamp(0, 1).mul(255).byte().cpu().numpy() for grey in (now, before))
    found = [search.calc(a, b, None) for a, b in zip(bytes_now, bytes_before, strict=True)]  # type: ignore[call-overload]
    return torch.stack([torch.from_numpy(flow) for flow in found]).permute(0, 3, 1, 2).to(now)
