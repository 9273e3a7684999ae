"""Dense residual: displacement and shading of a driver's skin that its landmarks do not capture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import HeadPose
from liveportrait.mini.patches import PatchKind, patch_frame, sample, to_patch
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import FACE_OVAL, LEFT_EYE, LIPS_INNER, RIGHT_EYE, rows
from liveportrait.motion import FlowSearch

DENSE_RESIDUAL_SIZE = 16
SKIN = PatchKind((0.0, 0.7, -0.3), 1.6, False, 128, (FACE_OVAL,))
FADE, HOLE_FADE = 0.15, 0.06  # softness of the face oval's edge, and around lips and eyes, in patch units
BLUR, BLUR_SIDE = 4.0, 33  # sigma and kernel size of a Gaussian in patch pixels
MAX_SLIDE, MAX_SHADE = 0.12, 0.3  # displacement in patch units; change of log brightness
MIN_COUNT = 0.01
DARK = 0.05  # brightness below which ratios are unreliable


def read_dense_residual(expected: Tensor, seen: Tensor, frame: Tensor, x: Tensor, search: FlowSearch) -> Tensor:
    """Compare a driver's face with an earlier picture of it, warped to its landmarks.

    Args:
        expected: Patch of the warped earlier picture, shape (T, 3, S, S).
        seen: Patch of the driver, shape (T, 3, S, S).
        frame: Position of the patch, shape (T, 2, 3).
        x: The driver's keypoints, shape (T, K, 3).
        search: Computes the optical flow from `seen` to `expected`.

    Returns:
        Shape (T, 3, G, G): displacement right and down in patch units, and the log of the shading factor.
    """
    size = SKIN.size

    def area(points: tuple[int, ...], softness: float) -> Tensor:
        return polygon_masks([to_patch(frame, x[:, rows(points), :2])], size, softness)

    counts = area(FACE_OVAL, FADE)
    for hole in (LIPS_INNER, LEFT_EYE, RIGHT_EYE):
        counts = counts * (1 - area(hole, HOLE_FADE))
    grey, expected_grey = (picture.mean(1, keepdim=True) for picture in (seen, expected))
    slide = _smooth(search(grey[:, 0], expected_grey[:, 0]) * (2 / size), counts).clamp(-MAX_SLIDE, MAX_SLIDE)
    before = sample(expected_grey, pixel_grid(size, size).to(seen) + slide.permute(0, 2, 3, 1))
    ratio = ((grey + DARK) / (before + DARK)).clamp(0.5, 2.0).log()
    shade = _smooth(ratio, counts).clamp(-MAX_SHADE, MAX_SHADE)
    return F.interpolate(torch.cat([slide, shade], 1), (DENSE_RESIDUAL_SIZE, DENSE_RESIDUAL_SIZE), mode="area")


def place_dense_residual(dense_residual: Tensor, pose: HeadPose, x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Map a dense residual onto a face in the crop.

    Args:
        dense_residual: From `read_dense_residual`, or a difference of two, shape (T, 3, G, G).
        pose: Pose of the face's keypoints.
        x: The face's keypoints, shape (T, K, 3).
        size: Side of the grid over the crop.

    Returns:
        Displacement in crop coordinates, shape (T, size, size, 2), and relative change of brightness, shape
        (T, 1, size, size).
    """
    frame = patch_frame(SKIN, pose)
    softness = FADE * SKIN.half_side * pose.scale[:, :, None, None]
    inside = polygon_masks([x[:, rows(FACE_OVAL), :2]], size, softness)
    places = to_patch(frame, pixel_grid(size, size).to(x).expand(len(x), -1, -1, -1))
    found = F.grid_sample(dense_residual, places, mode="bicubic", padding_mode="border", align_corners=False) * inside
    slide = torch.einsum("tij,tjhw->thwi", frame[:, :, :2], found[:, :2])
    return slide, found[:, 2:].exp() - 1


def _smooth(field: Tensor, counts: Tensor) -> Tensor:
    """Blur a field (T, C, S, S) with weights (T, 1, S, S)."""
    return _blur(field * counts) / (_blur(counts) + MIN_COUNT)


def _blur(pictures: Tensor) -> Tensor:
    """Blur pictures (T, C, S, S) with a separable kernel, three times as fast as a square one."""
    reach, channels = BLUR_SIDE // 2, pictures.shape[1]
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(pictures) / BLUR) ** 2)
    across = (weights / weights.sum()).expand(channels, 1, 1, -1)
    pictures = F.conv2d(F.pad(pictures, (reach, reach, 0, 0), mode="reflect"), across, groups=channels)
    return F.conv2d(F.pad(pictures, (0, 0, reach, reach), mode="reflect"), across.mT, groups=channels)
