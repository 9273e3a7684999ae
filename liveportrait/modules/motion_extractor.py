"""M, the motion extractor: from a face crop to canonical keypoints, head pose, expression, scale and translation."""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from liveportrait.config import MotionConfig
from liveportrait.imports import quiet_imports
from liveportrait.keypoints import rotation_matrix
from liveportrait.motion import Motion

# Patterns of timm's names for ConvNeXt V2 tensors, and the official names after `detector.`.
_OFFICIAL_NAMES = (
    (r"stem\.(\d)\.", r"downsample_layers.0.\1."),
    (r"stages\.(\d)\.downsample\.(\d)\.", r"downsample_layers.\1.\2."),
    (r"stages\.(\d)\.blocks\.(\d+)\.conv_dw\.", r"stages.\1.\2.dwconv."),
    (r"stages\.(\d)\.blocks\.(\d+)\.norm\.", r"stages.\1.\2.norm."),
    (r"stages\.(\d)\.blocks\.(\d+)\.mlp\.fc([12])\.", r"stages.\1.\2.pwconv\3."),
    (r"stages\.(\d)\.blocks\.(\d+)\.mlp\.grn\.weight$", r"stages.\1.\2.grn.gamma"),
    (r"stages\.(\d)\.blocks\.(\d+)\.mlp\.grn\.bias$", r"stages.\1.\2.grn.beta"),
    (r"head\.norm\.", r"norm."),
)


class MotionHeads(NamedTuple):
    """Outputs of M's seven linear heads, each of shape (B, n)."""

    kp: Tensor
    scale: Tensor
    pitch: Tensor
    yaw: Tensor
    roll: Tensor
    t: Tensor
    exp: Tensor


class FacePose(NamedTuple):
    """Output of M in physical units.

    Attributes:
        x_c: Canonical keypoints, shape (B, K, 3).
        angles_deg: Pitch, yaw and roll in degrees, shape (B, 3).
        motion: The same head pose as a rotation matrix, with expression, scale and translation.
    """

    x_c: Tensor
    angles_deg: Tensor
    motion: Motion


class MotionExtractor(nn.Module):
    """M: a ConvNeXt V2 with seven linear heads.

    Source: LivePortrait §3.2; upstream `src/modules/motion_extractor.py` and `convnextv2.py`.
    """

    def __init__(self, config: MotionConfig):
        super().__init__()
        with quiet_imports():
            from timm import create_model

        self.detector = create_model(
            "convnextv2_tiny", pretrained=False, num_classes=0, depths=config.depths, dims=config.widths
        )
        width, points = config.widths[-1], 3 * config.num_keypoints
        self.fc_kp = nn.Linear(width, points)
        self.fc_scale = nn.Linear(width, 1)
        self.fc_pitch = nn.Linear(width, config.num_bins)
        self.fc_yaw = nn.Linear(width, config.num_bins)
        self.fc_roll = nn.Linear(width, config.num_bins)
        self.fc_t = nn.Linear(width, 3)
        self.fc_exp = nn.Linear(width, points)

    def forward(self, image: Tensor) -> MotionHeads:
        """Compute the heads' outputs.

        Args:
            image: RGB in [0, 1], shape (B, 3, 256, 256).

        Returns:
            Raw outputs, with angles as bin logits.
        """
        x = self.detector(image)
        return MotionHeads(*(getattr(self, f"fc_{name}")(x) for name in MotionHeads._fields))


def degrees_from_bins(logits: Tensor) -> Tensor:
    """Convert angle bins to degrees: the softmax-weighted bin index times 3, minus 97.5.

    Args:
        logits: Shape (B, 66). Tensors of another width are returned unchanged, as degrees.

    Returns:
        Degrees, shape (B,).

    Source: upstream `src/utils/camera.py`, headpose_pred_to_degree.
    """
    if logits.ndim < 2 or logits.shape[1] != 66:
        return logits
    index = torch.arange(66, device=logits.device, dtype=logits.dtype)
    return (logits.softmax(1) * index).sum(1) * 3 - 97.5


def face_pose(heads: MotionHeads) -> FacePose:
    """Convert head outputs to physical units.

    Args:
        heads: Output of `MotionExtractor` for B pictures; converted to float32.

    Returns:
        Keypoints, angles and motion; the motion's openness ratios are None.
    """
    heads = MotionHeads(*(head.float() for head in heads))
    angles = torch.stack([degrees_from_bins(head) for head in (heads.pitch, heads.yaw, heads.roll)], 1)
    with torch.autocast(angles.device.type, enabled=False):
        rotation = rotation_matrix(*angles.unbind(1))
    motion = Motion(
        rotation=rotation,
        expression=heads.exp.unflatten(1, (-1, 3)),
        scale=heads.scale,
        translation=heads.t,
    )
    return FacePose(heads.kp.unflatten(1, (-1, 3)), angles, motion)


def official_name(name: str) -> str:
    """Convert a parameter name of this module to the official one.

    Shapes differ as well: GRN's gamma and beta have shape (1, 1, 1, C) in the official file and (C,) here.
    """
    inner = name.removeprefix("detector.")
    for pattern, replacement in _OFFICIAL_NAMES:
        inner, count = re.subn(f"^{pattern}", replacement, inner)
        if count:
            break
    return f"detector.{inner}"
