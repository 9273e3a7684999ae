"""What stage I asks of keypoints and head pose. Each loss is a pure function; its weight is in weights.yaml."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.keypoints import euler_degrees
from liveportrait.training.stage1.warps import RandomWarp

MIN_DISTANCE = 0.1
"""D_t: squared distance below which two keypoints repel each other (face-vid2vid)."""
TARGET_DEPTH = 0.33
"""z_t: mean depth of the keypoints (face-vid2vid)."""
WING_WIDTH, WING_CURVATURE = 0.1, 0.01
"""ω and ε in units of half the crop. LivePortrait does not publish them: a guess."""


def equivariance(x: Tensor, x_warped: Tensor, warp: RandomWarp) -> Tensor:
    """L_E = mean |x − T(x_T)|: keypoints of a warped picture lie where the warp moved them.

    Args:
        x: Keypoints of the picture, shape (B, K, 3); only x and y count.
        x_warped: Keypoints of the warped picture, shape (B, K, 3).
        warp: T, from places in the warped picture to places in the original.

    Source: Siarohin et al., "First Order Motion Model", 2019, Eq. 11; face-vid2vid, appendix A.
    """
    return (x[..., :2] - warp.points(x_warped[..., :2])).abs().mean()


def keypoint_prior(x: Tensor, guided: tuple[int, ...] = ()) -> Tensor:
    """L_L = Σ_{i≠j} max(0, D_t − ‖x_i − x_j‖²) + |mean depth − z_t|: keypoints spread out, at a set depth.

    Args:
        x: Keypoints, shape (B, K, 3).
        guided: Keypoints that follow landmarks; they may be as near to each other as lids and lips are.

    Source: Wang et al., face-vid2vid, 2021, appendix A; the exception for guided keypoints is ours.
    """
    near = (MIN_DISTANCE - (x[:, :, None] - x[:, None]).square().sum(-1)).clamp_min(0)
    counts = 1 - torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    rows = torch.tensor(guided, dtype=torch.long, device=x.device)
    counts[rows[:, None], rows] = 0
    return (near * counts).sum((1, 2)).mean() + (x[..., 2].mean(1) - TARGET_DEPTH).abs().mean()


def head_pose(angles_deg: Tensor, rotation: Tensor) -> Tensor:
    """L_H = mean |angle − target| over pitch, yaw and roll, in radians.

    Args:
        angles_deg: Predicted pitch, yaw and roll in degrees, shape (B, 3).
        rotation: Target R of an analyser, shape (B, 3, 3).

    Source: face-vid2vid, appendix A.
    """
    target = torch.stack(euler_degrees(rotation), 1)
    return (angles_deg - target).abs().mean() * (math.pi / 180)


def deformation_prior(expression: Tensor) -> Tensor:
    """L_Δ = mean over keypoints of ‖δ_k‖₁: the expression explains only what pose does not.

    Args:
        expression: δ, shape (B, K, 3).

    Source: face-vid2vid, appendix A.
    """
    return expression.abs().sum(-1).mean()


def wing(distance: Tensor) -> Tensor:
    """Wing loss: ω ln(1 + |d| / ε) for |d| < ω, else |d| − C, continuous at ω.

    Source: Feng et al., "Wing loss for robust facial landmark localisation", 2018, Eq. 5.
    """
    size = distance.abs()
    offset = WING_WIDTH - WING_WIDTH * math.log1p(WING_WIDTH / WING_CURVATURE)
    return torch.where(size < WING_WIDTH, WING_WIDTH * torch.log1p(size / WING_CURVATURE), size - offset)


def guide(x_s: Tensor, x_d: Tensor, landmarks_s: Tensor, landmarks_d: Tensor, rows: tuple[int, ...]) -> Tensor:
    """L_guide = 1/2N Σ_i [Wing(l_s,i − x_s,i) + Wing(l_d,i − x_d,i)]: some keypoints follow eyes and lips.

    Args:
        x_s: Source keypoints, shape (B, K, 3); only x and y count.
        x_d: Driving keypoints, shape (B, K, 3).
        landmarks_s: Landmarks of the source, shape (B, N, 2), in the units of the keypoints.
        landmarks_d: Landmarks of the driving picture, shape (B, N, 2).
        rows: Keypoint of each landmark.

    Source: LivePortrait §3.2; which landmarks and keypoints is not published.
    """
    index = list(rows)
    apart = torch.stack([landmarks_s - x_s[:, index, :2], landmarks_d - x_d[:, index, :2]])
    return wing(apart).sum(-1).mean()


def openness(x: Tensor, above: Tensor, below: Tensor, upper: tuple[int, ...], lower: tuple[int, ...]) -> Tensor:
    """L_open = mean Wing((l_below − l_above) − (x_lower − x_upper)): lids and lips are as far apart as the landmarks.

    `guide` hardly teaches this: what is left of its error on a new face mostly shifts both lids alike.

    Args:
        x: Keypoints, shape (B, K, 3); only x and y count.
        above: Landmarks of upper lids and lips, shape (B, N, 2), in the units of the keypoints.
        below: Landmarks of lower ones.
        upper: Keypoint of each landmark in `above`.
        lower: Keypoint of each landmark in `below`.

    Source: not in the papers.
    """
    found = x[:, list(lower), :2] - x[:, list(upper), :2]
    return wing(below - above - found).sum(-1).mean()


def landmark_flow(
    shift: Tensor, landmarks_s: Tensor, landmarks_d: Tensor, above: Sequence[int], below: Sequence[int]
) -> Tensor:
    """L_flow = mean |e| + mean |e_below − e_above|, where e = w(l_d) − (l_s − l_d) is how far off W moves landmarks.

    Pictures teach this slowly where neighbours move differently, as two lids do; therefore the second mean.

    Args:
        shift: w, from each voxel of the warped volume to its place in the source, shape (B, D, H, W, 3); only x and y
            count.
        landmarks_s: l_s, of the source, shape (B, N, 2), ±1 at the picture's edges.
        landmarks_d: l_d, of the driving picture.
        above: Landmarks of upper lids and lips.
        below: Those of lower ones.

    Source: not in the papers.
    """
    depth = shift.shape[1]
    planes = shift[..., :2].flatten(0, 1).permute(0, 3, 1, 2)
    places = landmarks_d.repeat_interleave(depth, 0).to(planes)
    found = F.grid_sample(planes, places[:, None], padding_mode="border", align_corners=False)
    error = found[:, :, 0].transpose(1, 2) - (landmarks_s - landmarks_d).repeat_interleave(depth, 0)
    return error.abs().mean() + (error[:, list(below)] - error[:, list(above)]).abs().mean()


def motion_balance(shares: Tensor) -> Tensor:
    """Cost of leaving motions of W unused: log M − H(shares), zero if all are used equally.

    Without it W soon moves everything with two keypoints, and the others never learn, like the experts of a mixture.

    Args:
        shares: Mean share of each of M motions, shape (M,).

    Source: not in the papers. Shazeer et al., "Outrageously large neural networks", 2017, Sec. 4, balance experts so.
    """
    return math.log(len(shares)) + (shares * shares.clamp_min(1e-9).log()).sum()
