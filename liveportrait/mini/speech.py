"""Move a face as speech motion says, in the head frame."""

from __future__ import annotations

from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.gaze import turn_eyes
from liveportrait.mini.limits import limited_speech, widen_mouth
from liveportrait.motion import SpeechMotion


def speaking_face(face: FaceModel, head: Tensor, speech_motion: SpeechMotion) -> Tensor:
    """Close a face's lips, then move lips, jaw, brows, eyelids and irises, no further than faces do.

    Args:
        face: The face model.
        head: Points of the face in the head frame, shape (1 or T, K, 3).
        speech_motion: T frames of speech motion; its head motion is not applied.

    Returns:
        Points in the head frame, shape (T, K, 3).
    """
    rest = face.close_lips(head)
    moved = widen_mouth(face, rest + face.express(limited_speech(face, speech_motion.expression)), rest, rest)
    moved = moved + face.move_lips(moved, face.lip_gaps(moved).clamp_min(0))
    openness = speech_motion.eye_openness.repeat_interleave(face.lid_response.shape[0] // 2, 1)
    moved = moved + face.move_lids(moved, face.lid_gaps(head) * openness)
    return turn_eyes(moved, speech_motion.gaze_deg)
