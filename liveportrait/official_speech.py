"""Move the official models by speech motion, which is made for the face model of `mini`."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import torch
from torch import Tensor

from liveportrait.keypoints import transform_keypoints
from liveportrait.mini.face_model import FaceModel, embedded_face_model
from liveportrait.mini.regions import KEYPOINTS, rows
from liveportrait.mini.speech import speaking_face
from liveportrait.motion import Crop, Motion, Portrait, SpeechMotion
from liveportrait.official_map import OfficialMap, official_map
from liveportrait.regions import FACE_MESH, GUIDE, MESH_MOUTH_WIDTHS, OFFICIAL
from liveportrait.retarget import Retargeter, openness

_GUIDED_LIPS = tuple(row for row in GUIDE if row in OFFICIAL.lips)
_THEIR_POINTS = rows(tuple(GUIDE[row] for row in _GUIDED_LIPS))


@cache
def _fitted(device: torch.device) -> tuple[FaceModel, OfficialMap]:
    return deepcopy(embedded_face_model()).to(device), official_map().to(device)


def speech_keypoints(
    model: Retargeter, portrait: Portrait, speech_motion: SpeechMotion, *, guided: bool = False
) -> Tensor:
    """Convert speech motion to driving keypoints x_d.

    The mean face of `mini` is moved by the speech motion: lips, jaw, brows, eyelids and gaze. A fitted map turns its
    displacement into a change of the official expression, which is added to the portrait's own. Where keypoints follow
    landmarks, those of the lips move as far as these instead. R_lip and R_eyes add what this change lacks of the
    openness that is asked for; R_lip closes a portrait's open lips first. S keeps the border still.

    Args:
        model: S, R_eyes and R_lip.
        portrait: One portrait.
        speech_motion: T frames of speech motion.
        guided: Whether keypoints follow landmarks, as `OfficialConfig.guided`.

    Returns:
        x_d, shape (T, 21, 3).
    """
    face, maps = _fitted(portrait.x_s.device)
    source, x_s = portrait.motion, portrait.x_s
    rotation = speech_motion.rotation @ source.rotation
    change, opened = _change(face, maps, portrait, speech_motion, rotation, guided)
    posed = Motion(
        rotation=rotation,
        expression=source.expression + change,
        scale=source.scale.expand(len(speech_motion), -1),
        translation=source.translation + _moved(speech_motion.translation, maps.position),
    )
    x = transform_keypoints(portrait.x_c, posed)
    x = x + _lip_offset(model, portrait, speech_motion, opened[:, 2:], maps)
    return model.stitching(x_s, x + _eye_offset(model, portrait, speech_motion, opened[:, :2]))


def _change(
    face: FaceModel, maps: OfficialMap, portrait: Portrait, speech_motion: SpeechMotion, rotation: Tensor, guided: bool
) -> tuple[Tensor, Tensor]:
    """Return how speech changes the expression, and by how much this opens left eye, right eye and lips.

    Both are zero where only the model's own R_lip and R_eyes know its keypoints.

    Args:
        face: The face model of `mini`.
        maps: Between this and the official models.
        portrait: One portrait.
        speech_motion: T frames of speech motion.
        rotation: Of the driven head, shape (T, 3, 3).
        guided: Whether keypoints follow landmarks.

    Returns:
        Change of expression (T, K, 3) and of upstream's ratios (T, 3).
    """
    change = portrait.x_s.new_zeros(len(speech_motion), portrait.motion.num_keypoints, 3)
    opened = portrait.x_s.new_zeros(len(speech_motion), 3)
    known = portrait.crop.landmarks is not None if guided else change.shape[1] == OFFICIAL.num_keypoints
    if not known:
        return change, opened
    rest = face.close_lips(face.mean[None])
    moved = speaking_face(face, rest, speech_motion)
    if not guided:
        change = maps.expression(moved - rest)
        return change, maps.openness(change)
    displacement = (moved - rest) @ rotation * _relative_size(face, portrait)
    change[:, list(_GUIDED_LIPS), :2] = displacement[:, _THEIR_POINTS, :2]
    opened[:, 2:] = _lip_ratio(moved, maps) - _lip_ratio(rest, maps)
    return change, opened


def _lip_ratio(points: Tensor, maps: OfficialMap) -> Tensor:
    """Measure the lips of points (T, 162, 3) over the outer mouth width, on the official scale, shape (T, 1)."""
    upper, lower, left, right = rows(FACE_MESH.lips)
    return maps.lip_ratio(openness(points, (upper, lower, left, right)))


def _relative_size(face: FaceModel, portrait: Portrait) -> Tensor:
    """Return the size of a head in its crop in units of the portrait's scale, shape (1, 1, 1)."""
    landmarks = portrait.crop.landmarks.to(portrait.x_s)  # type: ignore[union-attr]
    return (face.pose(landmarks[:, list(KEYPOINTS)]).scale / portrait.motion.scale)[:, None]


def _moved(translation: Tensor, factors: Tensor) -> Tensor:
    return translation * torch.cat([factors, factors.new_zeros(1)])


def _lip_offset(
    model: Retargeter, portrait: Portrait, speech_motion: SpeechMotion, opened: Tensor, maps: OfficialMap
) -> Tensor:
    """Return R_lip's offset for the opening that the expression does not give, shape (T, 21, 3)."""
    # Without landmarks (animals) assume closed lips, as expected of a source at rest.
    own = opened.new_zeros(1, 1) if portrait.motion.lip_ratio is None else portrait.motion.lip_ratio
    wanted = maps.lip_ratio(speech_motion.lip_ratio * _inner_mouth_width(portrait.crop, opened))
    return model.retarget_lip(portrait.x_s, own, (wanted - opened).clamp_min(0))


def _eye_offset(model: Retargeter, portrait: Portrait, speech_motion: SpeechMotion, opened: Tensor) -> Tensor:
    """Return R_eyes' offset for the change of openness that the expression does not give, shape (T, 21, 3)."""
    ratio = portrait.motion.eye_ratio
    if ratio is None:
        return torch.zeros_like(portrait.x_s)
    own, wanted = ratio.mean(1, keepdim=True), speech_motion.eye_openness * ratio - opened
    offset = model.retarget_eyes(portrait.x_s, ratio, wanted.mean(1, keepdim=True).clamp_min(0))
    return offset - model.retarget_eyes(portrait.x_s, ratio, own)


def _inner_mouth_width(crop: Crop, like: Tensor) -> Tensor:
    """Return the inner mouth width in units of the outer one, shape (1, 1).

    The lip ratio of `SpeechMotion` is relative to the inner width; upstream's is relative to the outer width.
    """
    if crop.landmarks is None:
        return like.new_ones(1, 1)
    return openness(crop.landmarks.to(like), MESH_MOUTH_WIDTHS)
