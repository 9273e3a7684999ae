"""Named keypoint sets: expression rows of lips and eyes, and landmarks that measure openness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Regions:
    """Keypoint sets of a model.

    Attributes:
        num_keypoints: K.
        lips: Rows of the expression that shape the lips.
        eyes: Rows that shape lids and gaze.
        face: (row, axes) pairs that carry expression when it replaces the source's, axes from "xyz".
        lip_rest: Expression of closed lips, shape (K, 3), the reference for a driving picture.
    """

    num_keypoints: int
    lips: tuple[int, ...]
    eyes: tuple[int, ...]
    face: tuple[tuple[int, str], ...]
    lip_rest: tuple[tuple[float, float, float], ...]

    def pick(self, region: Literal["lips", "eyes", "face"], inside: Tensor, outside: Tensor) -> Tensor:
        """Take one region from one expression and the rest from another, both of shape (T or 1, K, 3)."""
        pairs = self.face if region == "face" else [(row, "xyz") for row in getattr(self, region)]
        return torch.where(_mask(self.num_keypoints, pairs, inside), inside, outside)

    def closed_lips(self, like: Tensor) -> Tensor:
        """Return `lip_rest` with shape (1, K, 3) and the dtype and device of `like`."""
        return like.new_tensor(self.lip_rest)[None]


def _mask(num_keypoints: int, pairs: Iterable[tuple[int, str]], like: Tensor) -> Tensor:
    mask = torch.zeros(num_keypoints, 3, dtype=torch.bool, device=like.device)
    for row, axes in pairs:
        for axis in axes:
            mask[row, "xyz".index(axis)] = True
    return mask


# The rows and the closed-lips expression are those of the official checkpoints (KwaiVGI/LivePortrait, MIT licence).
OFFICIAL = Regions(
    num_keypoints=21,
    lips=(6, 12, 14, 17, 19, 20),
    eyes=(11, 13, 15, 16, 18),
    face=(
        *((row, "xyz") for row in (1, 2, 6, *range(11, 21))),
        (3, "y"),
        (4, "y"),
        (5, "z"),
        (8, "z"),
        (9, "yz"),
    ),
    lip_rest=(
        (-9.4524e-05, 2.4222e-04, -4.00974e-05),
        (2.08596e-04, 4.68054e-04, 1.27464e-05),
        (-1.24602e-04, 3.24972e-04, 4.425e-06),
        (1.19652e-04, -4.56624e-04, 5.40852e-05),
        (-2.65254e-04, -7.4598e-05, -1.55280e-05),
        (-3.34884e-05, -1.83036e-04, -3.49404e-06),
        (-4.75428e-07, -4.52466e-07, 1.59498e-06),
        (-5.41296e-04, 2.6328e-03, 7.2486e-06),
        (-1.1694e-05, 5.00502e-06, 9.9888e-06),
        (8.0286e-07, 5.19132e-06, -4.09344e-04),
        (1.66878e-04, -1.9815e-05, -8.8548e-05),
        (-1.51536e-05, 8.2506e-05, 5.94012e-06),
        (-2.61054e-07, 2.7591e-06, 2.21028e-06),
        (-6.6282e-05, -6.8286e-05, -3.45318e-06),
        (-8.3262e-04, -1.79592e-03, -2.59176e-06),
        (6.9714e-06, 3.65514e-05, -1.8978e-06),
        (-4.80876e-06, 7.1148e-06, -1.03236e-05),
        (-6.3684e-04, -1.1661e-03, 5.62314e-05),
        (2.8329e-04, -1.45656e-05, 1.09746e-05),
        (-4.16022e-06, -1.50906e-02, -2.5494e-03),
        (2.22474e-04, 5.62788e-03, 2.72646e-03),
    ),
)


# Expression rows that raise and knit the eyebrows; upstream's sliders use them.
OFFICIAL_BROWS = (1, 2)

GUIDE = {6: 61, 12: 291, 14: 0, 17: 17, 19: 14, 20: 13, 11: 159, 13: 145, 15: 386, 16: 374}
"""Mesh point that a keypoint follows in models of `liveportrait.training`: lips and lids. The keypoints are those that
move lips and eyes in the official model (`OFFICIAL`); which landmark belongs to which is not published: a guess."""


@dataclass(frozen=True)
class OpennessPoints:
    """Landmarks that measure openness: (upper, lower, left end, right end) of each opening.

    Attributes:
        left_eye: The eye on the left of the picture.
        right_eye: The eye on the right of the picture.
        lips: Centre of the inner lips and corners of the mouth.
    """

    left_eye: tuple[int, int, int, int]
    right_eye: tuple[int, int, int, int]
    lips: tuple[int, int, int, int]


LANDMARKS_203 = OpennessPoints(left_eye=(6, 18, 0, 12), right_eye=(30, 42, 24, 36), lips=(90, 102, 48, 66))
# Upstream measures the mouth's width between the outer corners of the lips.
FACE_MESH = OpennessPoints(left_eye=(159, 145, 33, 133), right_eye=(386, 374, 362, 263), lips=(13, 14, 61, 291))
# Inner and outer corners of the lips; `openness` gives the ratio of their widths.
MESH_MOUTH_WIDTHS = (78, 308, 61, 291)
