"""Fit the linear face model of the embedded weights to landmark tracks."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from liveportrait.mini import regions
from liveportrait.mini.face_model import FaceModel, eye_ratio, fit_similarity, lip_ratio, mirror_order

GAP_PRIOR = 1e-7  # keeps the response solvable; far below the variance of a gap (about 1e-3)


def fit_mean(points: Tensor, weights: Tensor, rounds: int = 5) -> Tensor:
    """Average faces by generalised Procrustes: symmetric, frontal, unit spread, centred on the rigid points."""
    rigid = regions.rows(regions.RIGID)
    mean = points[0] - points[0, rigid].mean(0)
    for _ in range(rounds):
        mean = mean / mean[rigid].square().sum(1).mean().sqrt()
        pose = fit_similarity(mean[rigid], points[:, rigid])
        mean = (FaceModel.to_head(points, pose) * weights[:, None, None]).sum(0)
        mean = mean - mean[rigid].mean(0)
        mean = straighten(mean)
        mean = 0.5 * (mean + (mean * torch.tensor([-1.0, 1.0, 1.0]))[mirror_order(mean)])
    return mean


def straighten(mean: Tensor) -> Tensor:
    """Turn the mean face so that the line between its halves is vertical and it looks ahead."""
    twin = (mean * torch.tensor([-1.0, 1.0, 1.0]))[mirror_order(mean)]
    half_way = fit_similarity(mean, (0.5 * (mean + twin))[None])
    return mean @ half_way.rotation[0]


def at_rest(head: Tensor) -> Tensor:
    """Average a clip's frames whose lips are closed and eyes are open: the neutral face (K, 3)."""
    lips, eyes = lip_ratio(head)[:, 0], eye_ratio(head).mean(1)
    closed = lips <= lips.quantile(0.2)
    calm = closed & (eyes >= eyes[closed].quantile(0.4))
    return head[calm].mean(0)


def principal_directions(shift: Tensor, weights: Tensor, mask: Tensor, count: int, twins: list[int]) -> Tensor:
    """Find the strongest displacements of the masked points and carry them, scaled to one deviation, (count, K, 3)."""
    flat = (shift * mask[:, None]).flatten(1)
    mirrored = ((shift * torch.tensor([-1.0, 1.0, 1.0]))[:, twins] * mask[:, None]).flatten(1)
    covariance = torch.stack([part.T @ (part * weights[:, None]) for part in (flat, mirrored)]).mean(0)
    values, vectors = torch.linalg.eigh(covariance.double())  # unmasked points make many equal eigenvalues
    scaled = vectors[:, -count:].flip(1) * values[-count:].flip(0).sqrt()
    return scaled.T.reshape(count, -1, 3).float()


def response(shift: Tensor, weights: Tensor, mask: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    """Regress masked displacements on gap changes: E[shift | gaps], shape (pairs, K, 3)."""
    upper, lower = zip(*pairs, strict=True)
    gaps = shift[:, regions.rows(lower), 1] - shift[:, regions.rows(upper), 1]
    flat = (shift * mask[:, None]).flatten(1)
    gram = gaps.T @ (gaps * weights[:, None])
    solved = torch.linalg.solve(gram + GAP_PRIOR * torch.eye(len(pairs)), gaps.T @ (flat * weights[:, None]))
    return solved.reshape(len(pairs), -1, 3)


def point_mask(points: tuple[int, ...]) -> Tensor:
    """Weight one on the given mesh points, zero elsewhere, shape (K,)."""
    mask = torch.zeros(len(regions.KEYPOINTS))
    mask[regions.rows(points)] = 1.0
    return mask


def frame_weights(identities: list[str], offsets: Tensor) -> Tensor:
    """Weigh frames so that people count by the square root of their time; sums to one."""
    spans = list(zip(offsets.diff().tolist(), identities, strict=True))
    total = {who: sum(length for length, other in spans if other == who) for who in set(identities)}
    each = torch.cat([torch.full((length,), total[who] ** -0.5) for length, who in spans])
    return each / each.sum()


def fit_face_model(points: Tensor, identities: list[str], offsets: Tensor) -> FaceModel:
    """Fit mean face, expression basis and responses of lips and lids.

    Args:
        points: Landmarks of all clips, shape (frames, K, 3), ±1 at the crop's edges.
        identities: Who is in each clip.
        offsets: First frame of each clip, and the end, shape (clips + 1,).
    """
    weights = frame_weights(identities, offsets)
    model = FaceModel()
    model.mean = fit_mean(points, weights)
    head = model.to_head(points, model.pose(points))
    bounds = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
    rest = torch.stack([at_rest(head[a:b]) for a, b in bounds])
    shift = torch.cat([head[a:b] - rest[n] for n, (a, b) in enumerate(bounds)])
    twins = mirror_order(model.mean)

    mouth = point_mask(regions.LIPS + regions.JAW)
    brows = point_mask(regions.LEFT_BROW + regions.RIGHT_BROW)
    model.expression_basis = torch.cat(
        [
            principal_directions(shift, weights, mouth, model.num_mouth, twins),
            principal_directions(shift, weights, brows, len(model.expression_basis) - model.num_mouth, twins),
        ]
    )
    model.lip_response = response(shift, weights, mouth, regions.LIP_PAIRS)
    model.lid_response = torch.cat(
        [
            response(shift, weights, point_mask(regions.LEFT_EYE), regions.LEFT_LID_PAIRS),
            response(shift, weights, point_mask(regions.RIGHT_EYE), regions.RIGHT_LID_PAIRS),
        ]
    )
    return model


def load_face_model(file: Path) -> FaceModel:
    """Load a face model that `fit_face_model` made."""
    model = FaceModel()
    model.load_state_dict(load_file(file))
    return model
