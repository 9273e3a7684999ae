"""Logarithms with OpenCV: on an AMD EPYC, PyTorch took ten times as long."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor


def fast_log(values: Tensor) -> Tensor:
    """Return natural logarithms, exact to 1e-6; with PyTorch where OpenCV cannot: on a GPU, or with gradients."""
    if values.device.type != "cpu" or values.dtype != torch.float32 or values.requires_grad:
        return values.log()
    return torch.from_numpy(cv2.log(values.numpy()))
