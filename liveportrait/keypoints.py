"""Keypoint algebra: Euler degrees ↔ rotation matrices, and posing canonical keypoints."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.motion import Motion


def rotation_matrix(pitch_deg: Tensor, yaw_deg: Tensor, roll_deg: Tensor) -> Tensor:
    """Build R from Euler angles.

    Args:
        pitch_deg: Rotation about x in degrees, shape (T,) or (T, 1).
        yaw_deg: Rotation about y, same shape.
        roll_deg: Rotation about z, same shape.

    Returns:
        R = (Rz Ry Rx)ᵀ, shape (T, 3, 3), for row vectors: `points @ R`.

    Source: upstream `src/utils/camera.py`, get_rotation_matrix.
    """
    x, y, z = (torch.deg2rad(angle.reshape(-1)) for angle in (pitch_deg, yaw_deg, roll_deg))
    zero, one = torch.zeros_like(x), torch.ones_like(x)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).reshape(-1, 3, 3)

    rx = matrix(one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos())
    ry = matrix(y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos())
    rz = matrix(z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one)
    return (rz @ ry @ rx).transpose(1, 2)


def euler_degrees(rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute Euler angles; the inverse of `rotation_matrix`.

    Args:
        rotation: R, shape (T, 3, 3).

    Returns:
        Pitch, yaw and roll in degrees, each of shape (T,); yaw lies in [-90, 90].
    """
    m = rotation.transpose(1, 2)
    yaw = torch.asin((-m[:, 2, 0]).clamp(-1, 1))
    pitch = torch.atan2(m[:, 2, 1], m[:, 2, 2])
    roll = torch.atan2(m[:, 1, 0], m[:, 0, 0])
    return torch.rad2deg(pitch), torch.rad2deg(yaw), torch.rad2deg(roll)


def relative_rotation(source: Tensor, driving: Tensor, first: Tensor) -> Tensor:
    """Apply the driver's rotation since its first frame to the source: (R_d R_d0ᵀ) R_s, each (T or 1, 3, 3)."""
    return driving @ first.transpose(1, 2) @ source


def transform_keypoints(x_c: Tensor, motion: Motion) -> Tensor:
    """Pose canonical keypoints: x = s (x_c R + δ) + (t_x, t_y, 0).

    Args:
        x_c: Canonical keypoints, shape (1 or T, K, 3), in units of half the crop.
        motion: T frames of motion; the z translation is ignored.

    Returns:
        Keypoints x, shape (T, K, 3).

    Raises:
        ValueError: K differs, or the frame counts differ and neither is one.

    Source: LivePortrait Eq. 2.
    """
    if x_c.shape[1] != motion.num_keypoints or (len(motion) != x_c.shape[0] and 1 not in (len(motion), x_c.shape[0])):
        raise ValueError(f"keypoints {tuple(x_c.shape)} do not fit expression {tuple(motion.expression.shape)}")
    shift = motion.translation[:, None] * motion.translation.new_tensor([1.0, 1.0, 0.0])
    with torch.autocast(x_c.device.type, enabled=False):
        return motion.scale[:, None] * (x_c @ motion.rotation + motion.expression) + shift


def handedness(axes: Tensor) -> Tensor:
    """Return the sign of the determinant, which is negative for reflections: (T, 3, 3) → (T,).

    Computed as a triple product, because batched factorisations fail on a CPU after torch.set_num_threads was called
    (torch 2.11).
    """
    return (torch.linalg.cross(axes[:, 0], axes[:, 1]) * axes[:, 2]).sum(-1).sign()
