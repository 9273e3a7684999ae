"""Fit the maps between the face mesh and the official models to published output of the official motion extractor.

All maps are linear ridge regressions on frames centred on their clip's mean, so that they describe changes and not
people; the openness ratios are fitted as they are. Every clip counts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.official_map import OfficialMap
from liveportrait.regions import FACE_MESH, OFFICIAL
from liveportrait.retarget import eye_ratio, lip_ratio

EYE_KNOTS, LIP_KNOTS = (0.0, 0.15, 0.6), (0.0, 0.25, 1.0)
"""Mesh ratios where the lines meet; chosen with the ridge strengths by leaving out one clip at a time."""
RIDGE_EXPRESSION, RIDGE_OPENNESS, RIDGE_POINTS = 3e-3, 1e-5, 3e-6
LIP_HEIGHT = 19 * 3 + 1
"""The coordinate of the official expression that opens the lips most."""


@dataclass(frozen=True)
class OfficialClip:
    """A clip seen by MediaPipe and by the official motion extractor.

    Attributes:
        head: Keypoints of `mini` in the head frame, shape (T, 162, 3).
        place: The head's translation as `mini` measures it, shape (T, 3).
        size: The head's scale as `mini` measures it, shape (T, 1).
        mesh_eyes: Eye openness on the mesh, shape (T, 2).
        mesh_lips: Lip openness on the mesh, shape (T, 1).
        expression: The official expression, shape (T, 21, 3).
        rotation: The official rotation, shape (T, 3, 3).
        translation: The official translation, shape (T, 3).
        scale: The official scale, shape (T, 1).
        eyes: Upstream's eye openness, shape (T, 2).
        lips: Upstream's lip openness, shape (T, 1).
    """

    head: Tensor
    place: Tensor
    size: Tensor
    mesh_eyes: Tensor
    mesh_lips: Tensor
    expression: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    eyes: Tensor
    lips: Tensor

    @staticmethod
    def measure(
        face: FaceModel,
        landmarks: Tensor,
        expression: Tensor,
        rotation: Tensor,
        translation: Tensor,
        scale: Tensor,
        eyes: Tensor,
        lips: Tensor,
    ) -> OfficialClip:
        """Measure landmarks of shape (T, 478, 3), in units where the crop's edges are -1 and 1."""
        points = landmarks[:, list(KEYPOINTS)]
        pose = face.pose(points)
        return OfficialClip(
            face.to_head(points, pose),
            pose.translation,
            pose.scale,
            eye_ratio(landmarks, FACE_MESH),
            lip_ratio(landmarks, FACE_MESH),
            expression,
            rotation,
            translation,
            scale,
            eyes,
            lips,
        )


Side = Callable[[OfficialClip], Tensor]
"""Numbers of a clip, shape (T, N)."""


def _flat(clip: OfficialClip) -> Tensor:
    return _centred(clip.head[..., :2].flatten(1))


def _points(clip: OfficialClip) -> Tensor:
    return _centred(clip.head.flatten(1))


def _expression(clip: OfficialClip) -> Tensor:
    return _centred(clip.expression.flatten(1))


def _expression_in_head(clip: OfficialClip) -> Tensor:
    return _centred((clip.expression @ clip.rotation.transpose(1, 2)).flatten(1))


def _openness(clip: OfficialClip) -> Tensor:
    return _centred(torch.cat([clip.eyes, clip.lips], 1))


def _place(clip: OfficialClip) -> Tensor:
    return _centred(clip.place[:, :2])


def _official_place(clip: OfficialClip) -> Tensor:
    return _centred(clip.translation[:, :2])


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(0)


def ridge(clips: Sequence[OfficialClip], source: Side, target: Side, strength: float) -> Tensor:
    """Regress one side of the clips on another; every clip has the same weight."""
    x, y = (torch.cat([side(clip) / len(side(clip)) ** 0.5 for clip in clips]).double() for side in (source, target))
    gram = x.T @ x + strength * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, x.T @ y).float()


def fit_knots(clips: Sequence[OfficialClip], source: Side, target: Side, knots: tuple[float, ...]) -> Tensor:
    """Fit rising lines that meet at knots, (N,) → (N, 2) pairs of (mesh ratio, upstream's ratio)."""
    rows, values = [], []
    for clip in clips:
        x, y = source(clip).flatten().contiguous(), target(clip).flatten()
        rows.append(_hats(x, knots) / len(x) ** 0.5)
        values.append(y[:, None] / len(x) ** 0.5)
    heights = torch.linalg.lstsq(torch.cat(rows).double(), torch.cat(values).double()).solution[:, 0]
    return torch.stack([torch.tensor(knots), heights.cummax(0).values.float()], 1)


def _hats(x: Tensor, knots: tuple[float, ...]) -> Tensor:
    """Return the share of each knot in values, (M,) → (M, N); beyond the ends lines continue."""
    at = torch.tensor(knots)
    n = (torch.bucketize(x, at) - 1).clamp(0, len(knots) - 2)
    share = (x - at[n]) / (at[n + 1] - at[n])
    hats = torch.zeros(len(x), len(knots))
    hats.scatter_(1, n[:, None], 1 - share[:, None])
    return hats.scatter_(1, n[:, None] + 1, share[:, None])


def fit_factors(clips: Sequence[OfficialClip], source: Side, target: Side) -> Tensor:
    """Fit one factor for each column of the clips' sides, shape (N,)."""
    products = torch.stack([(source(clip) * target(clip)).mean(0) for clip in clips]).sum(0)
    return products / torch.stack([source(clip).square().mean(0) for clip in clips]).sum(0)


def fit_official_map(clips: Sequence[OfficialClip]) -> OfficialMap:
    """Fit all maps."""
    return OfficialMap(
        eye_knots=fit_knots(clips, lambda clip: clip.mesh_eyes, lambda clip: clip.eyes, EYE_KNOTS),
        lip_knots=fit_knots(clips, lambda clip: clip.mesh_lips, lambda clip: clip.lips, LIP_KNOTS),
        to_expression=ridge(clips, _flat, _expression, RIDGE_EXPRESSION),
        to_openness=ridge(clips, _expression, _openness, RIDGE_OPENNESS),
        to_points=ridge(clips, _expression_in_head, _points, RIDGE_POINTS),
        position=fit_factors(clips, _place, _official_place),
        position_back=fit_factors(clips, _official_place, _place),
        scale_back=fit_factors(clips, lambda clip: clip.scale, lambda clip: clip.size),
    )


@dataclass(frozen=True)
class Errors:
    """How well maps fit a clip that they were not fitted to; R² is the share of variance that is explained.

    Attributes:
        expression: R² of the official expression.
        lips: R² of its lip rows.
        eyes: R² of its eye rows.
        lip_height: Correlation of the coordinate that opens the lips most.
        points: R² of the mesh points from the official expression.
        eye_ratio: RMS error of the eyes' openness.
        raw_eye_ratio: The same without calibration.
        lip_ratio: RMS error of the lips' openness.
        raw_lip_ratio: The same without calibration.
        position: R² of the head's position, right and down together.
        raw_position: The same with factors of one.
    """

    expression: float
    lips: float
    eyes: float
    lip_height: float
    points: float
    eye_ratio: float
    raw_eye_ratio: float
    lip_ratio: float
    raw_lip_ratio: float
    position: float
    raw_position: float


def leave_one_out(clips: Sequence[OfficialClip]) -> Iterator[Errors]:
    """Yield the errors of every clip with maps fitted to the others."""
    for n, clip in enumerate(clips):
        yield errors(clip, fit_official_map([*clips[:n], *clips[n + 1 :]]))


def errors(clip: OfficialClip, maps: OfficialMap) -> Errors:
    """Measure the errors of maps on a clip."""
    wanted = _expression(clip)
    found = _flat(clip) @ maps.to_expression
    lips, eyes = ([3 * row + axis for row in rows for axis in range(3)] for rows in (OFFICIAL.lips, OFFICIAL.eyes))
    moved, place = _official_place(clip), _place(clip)
    return Errors(
        expression=_explained(wanted, found),
        lips=_explained(wanted[:, lips], found[:, lips]),
        eyes=_explained(wanted[:, eyes], found[:, eyes]),
        lip_height=float(torch.corrcoef(torch.stack([wanted[:, LIP_HEIGHT], found[:, LIP_HEIGHT]]))[0, 1]),
        points=_explained(_points(clip), _expression_in_head(clip) @ maps.to_points),
        eye_ratio=_rms(clip.eyes - maps.eye_ratio(clip.mesh_eyes)),
        raw_eye_ratio=_rms(clip.eyes - clip.mesh_eyes),
        lip_ratio=_rms(clip.lips - maps.lip_ratio(clip.mesh_lips)),
        raw_lip_ratio=_rms(clip.lips - clip.mesh_lips),
        position=_explained(moved, place * maps.position),
        raw_position=_explained(moved, place),
    )


def _explained(wanted: Tensor, found: Tensor) -> float:
    return float(1 - (wanted - found).square().sum() / wanted.square().sum())


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())
