"""Read motion of the official models as motion of the embedded one."""

from __future__ import annotations

import torch

from liveportrait.driving_rules import in_head_frame, neutral_frame
from liveportrait.mini.face_model import FaceModel, eye_ratio, lip_ratio
from liveportrait.motion import Motion
from liveportrait.official_map import official_map


def from_official(face: FaceModel, motion: Motion) -> Motion:
    """Convert motion of the official models to motion of the mean face.

    The official expression holds the person too, so only its change since the most neutral frame is used; there the
    result is the mean face with closed lips.

    Args:
        face: The face model.
        motion: T frames with the expression of the official models.

    Returns:
        T frames of motion for K = 162 keypoints, with openness measured on them.
    """
    maps = official_map().to(motion.expression.device)
    expression = in_head_frame(motion)
    displacement = maps.points(expression - expression[neutral_frame(motion)])
    head = face.close_lips(face.mean[None]) + displacement
    return Motion(
        rotation=motion.rotation,
        expression=(head - face.mean) @ motion.rotation,
        scale=motion.scale * maps.scale_back,
        translation=motion.translation * torch.cat([maps.position_back, torch.zeros_like(maps.scale_back)]),
        eye_ratio=eye_ratio(head),
        lip_ratio=lip_ratio(head),
    )
