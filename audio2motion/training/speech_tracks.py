"""Speech with its face landmarks, expressed in the face model: what the audio-to-motion model learns from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from liveportrait.mini import regions
from liveportrait.mini.face_model import FaceModel

POINT_NOISE = 0.01  # deviation of a landmark in the head frame, against which coefficients of deviation one are fitted
SHORT_CLIP = 60  # frames; a shorter clip takes the rest face of its person's other short clips
MOUTH = regions.LIPS + regions.JAW
BROWS = regions.LEFT_BROW + regions.RIGHT_BROW


@dataclass(frozen=True)
class SpeechTracks:
    """Clips of one voice and one face, one after the other.

    Attributes:
        waveform: int16, 16 kHz mono, shape (640 · frames,).
        offsets: Frames of clip n are offsets[n]:offsets[n + 1].
        mouth: Mouth coefficients, shape (frames, 16).
        brows: Brow coefficients, shape (frames, 6).
        opening: Inner lip distance in the head frame, shape (frames,).
        width: Mouth width in the head frame, shape (frames,).
        eyes: Eye openness, lid distance over eye width, mean of both, shape (frames,).
        gaze: Where the irises stand between the eyes' corners, right and down in the head frame, shape (frames, 2).
        rotation: Head rotation, shape (frames, 3, 3).
        translation: Head position in units of half the crop, shape (frames, 3).
        scale: Head size, shape (frames, 1).
        identities: Who speaks in each clip.
        permissive: Whether a clip may train weights that ship.
        names: Each clip's name.
    """

    waveform: Tensor
    offsets: list[int]
    mouth: Tensor
    brows: Tensor
    opening: Tensor
    width: Tensor
    eyes: Tensor
    gaze: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    identities: list[str]
    permissive: list[bool]
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)


def _bounds(offsets: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(offsets))


def express_tracks(
    waveform: Tensor,
    points: Tensor,
    keypoints: tuple[int, ...],
    face: FaceModel,
    offsets: list[int],
    identities: list[str],
    permissive: list[bool],
    names: list[str],
) -> SpeechTracks:
    """Express landmarks in the face model.

    Args:
        waveform: int16, 16 kHz mono, shape (640 · frames,).
        points: Landmarks, shape (frames, N, 3), ±1 at the crop's edges.
        keypoints: Numbers of the landmarks in the face mesh.
        face: The face model.
        offsets: First frame of each clip, and the end.
        identities: Who speaks in each clip.
        permissive: Whether a clip may train weights that ship.
        names: Each clip's name.
    """
    pose = face.pose(points, keypoints)
    head = face.to_head(points, pose)
    ratio, eyes = _openness(head, keypoints)
    shift = head - _rest_faces(head, ratio, eyes, offsets, identities)
    mouth, brows = (
        _project(shift, keypoints, face.expression_basis[part], tuple(p for p in group if p in keypoints))
        for part, group in ((slice(0, face.num_mouth), MOUTH), (slice(face.num_mouth, None), BROWS))
    )
    gap, width = _distance(head, keypoints, 13, 14), _distance(head, keypoints, *regions.MOUTH_CORNERS)
    return SpeechTracks(
        waveform=waveform,
        offsets=offsets,
        mouth=mouth,
        brows=brows,
        opening=gap,
        width=width,
        eyes=eyes,
        gaze=_gaze(head, keypoints),
        rotation=pose.rotation,
        translation=pose.translation,
        scale=pose.scale,
        identities=identities,
        permissive=permissive,
        names=names,
    )


def _distance(head: Tensor, keypoints: tuple[int, ...], first: int, second: int) -> Tensor:
    a, b = regions.rows((first, second), keypoints)
    return (head[:, a, :2] - head[:, b, :2]).norm(dim=-1)


def _openness(head: Tensor, keypoints: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Measure lip and eye openness, each (frames,)."""
    lips = _distance(head, keypoints, 13, 14) / _distance(head, keypoints, *regions.MOUTH_CORNERS)
    left = _distance(head, keypoints, 159, 145) / _distance(head, keypoints, *regions.LEFT_EYE_CORNERS)
    right = _distance(head, keypoints, 386, 374) / _distance(head, keypoints, *regions.RIGHT_EYE_CORNERS)
    return lips, 0.5 * (left + right)


def _gaze(head: Tensor, keypoints: tuple[int, ...]) -> Tensor:
    """Measure where the irises' centres stand against the middles of the eyes' corners, mean of both, (frames, 2)."""
    irises = head[:, regions.rows((regions.LEFT_IRIS[0], regions.RIGHT_IRIS[0]), keypoints), :2]
    corners = head[:, regions.rows(regions.LEFT_EYE_CORNERS + regions.RIGHT_EYE_CORNERS, keypoints), :2]
    return (irises.mean(1) - corners.mean(1)).contiguous()


def _rest_faces(head: Tensor, lips: Tensor, eyes: Tensor, offsets: list[int], identities: list[str]) -> Tensor:
    """Find the neutral face, lips closed and eyes open, of every frame's clip or person, (frames, N, 3)."""
    rest, short = torch.empty_like(head), {}
    for (a, b), who in zip(_bounds(offsets), identities, strict=True):
        frames = torch.arange(a, b)
        if b - a < SHORT_CLIP:
            short.setdefault(who, []).append(frames)
        else:
            rest[frames] = _at_rest(head[frames], lips[frames], eyes[frames])
    for parts in short.values():
        frames = torch.cat(parts)
        rest[frames] = _at_rest(head[frames], lips[frames], eyes[frames])
    return rest


def _at_rest(head: Tensor, lips: Tensor, eyes: Tensor) -> Tensor:
    closed = lips <= lips.quantile(0.2)
    return head[closed & (eyes >= eyes[closed].quantile(0.4))].mean(0)


def _project(shift: Tensor, keypoints: tuple[int, ...], basis: Tensor, points: tuple[int, ...]) -> Tensor:
    """Fit coefficients of deviation one to displacements by regularised least squares, (frames, C)."""
    flat_basis = basis[:, regions.rows(points)].flatten(1)
    flat = shift[:, regions.rows(points, keypoints)].flatten(1)
    gram = flat_basis @ flat_basis.T + POINT_NOISE**2 * torch.eye(len(basis))
    return torch.linalg.solve(gram, flat_basis @ flat.T).T.contiguous()
