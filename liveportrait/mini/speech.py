"""Move a face as speech motion says, in the head frame."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.regions import LEFT_IRIS, RIGHT_IRIS, rows
from liveportrait.motion import SpeechMotion

EYEBALL_RADIUS = 0.17  # in the head frame, where an eye is 0.44 wide: 12 mm against 30 mm


def speaking_face(face: FaceModel, head: Tensor, speech_motion: SpeechMotion) -> Tensor:
    """Close a face's lips, then move lips, jaw, brows, eyelids and irises.

    Args:
        face: The face model.
        head: Points of the face in the head frame, shape (1 or T, K, 3).
        speech_motion: T frames of speech motion; its head motion is not applied.

    Returns:
        Points in the head frame, shape (T, K, 3).
    """
    moved = face.close_lips(head) + face.express(speech_motion.expression)
    moved = moved + face.move_lips(moved, face.lip_gaps(moved).clamp_min(0))
    openness = speech_motion.eye_openness.repeat_interleave(face.lid_response.shape[0] // 2, 1)
    moved = moved + face.move_lids(moved, face.lid_gaps(head) * openness)
    shift = EYEBALL_RADIUS * torch.deg2rad(speech_motion.gaze_deg).sin()
    moved[:, rows(LEFT_IRIS + RIGHT_IRIS), :2] += shift[:, None]
    return moved
