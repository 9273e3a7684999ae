"""Fit the linear face model of the embedded weights to landmark tracks.

    python liveportrait/training/face_model_fit.py --data DATA --output runs/face_model.safetensors

Reads landmarks_train.npz and train/manifest.csv of DATA (docs/data_format.md); uses only clips that may train weights
which ship.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor

from liveportrait.mini import regions
from liveportrait.mini.face_model import FaceModel, eye_ratio, fit_similarity, lip_ratio

GAP_PRIOR = 1e-7  # keeps the response solvable; far below the variance of a gap (about 1e-3)


def load_tracks(data: Path) -> tuple[Tensor, list[str], Tensor]:
    """Read permissive tracks: points (frames, K, 3) with ±1 at the crop's edges, clip identities, clip offsets."""
    with np.load(data / "landmarks_train.npz") as tracks:
        offsets, points = tracks["offsets"], tracks["landmarks"].astype(np.float32)
    with (data / "train" / "manifest.csv").open() as file:
        manifest = list(csv.DictReader(file))
    keep = [n for n, row in enumerate(manifest) if row["permissive"] == "yes"]
    frames = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in keep])
    lengths = [int(offsets[n + 1] - offsets[n]) for n in keep]
    scaled = points[frames] / 128.0
    scaled[..., :2] -= 1.0
    return (
        torch.from_numpy(scaled),
        [manifest[n]["identity"] for n in keep],
        torch.tensor([0, *np.cumsum(lengths)]),
    )


def mirror_order(mean: Tensor) -> list[int]:
    """Find each point's twin on the other side of the face."""
    twin = mean * torch.tensor([-1.0, 1.0, 1.0])
    return torch.cdist(twin, mean).argmin(1).tolist()


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
    covariance = 0.5 * sum(part.T @ (part * weights[:, None]) for part in (flat, mirrored))
    values, vectors = torch.linalg.eigh(covariance)
    scaled = vectors[:, -count:].flip(1) * values[-count:].flip(0).sqrt()
    print(
        f"explained: {values[-count:].sum() / values.sum():.4f} by {count}; deviations {values[-count:].flip(0).sqrt()}"
    )
    return scaled.T.reshape(count, -1, 3)


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


def main(
    data: Annotated[Path, typer.Option(help="Folder with landmarks_train.npz and train/manifest.csv.")],
    output: Annotated[Path, typer.Option(help="Safetensors file to write.")],
) -> None:
    """Fit the face model and write it."""
    points, identities, offsets = load_tracks(data)
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
            principal_directions(shift, weights, brows, model.expression_basis.shape[0] - model.num_mouth, twins),
        ]
    )
    model.lip_response = response(shift, weights, mouth, regions.LIP_PAIRS)
    model.lid_response = torch.cat(
        [
            response(shift, weights, point_mask(regions.LEFT_EYE), regions.LEFT_LID_PAIRS),
            response(shift, weights, point_mask(regions.RIGHT_EYE), regions.RIGHT_LID_PAIRS),
        ]
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, output)


if __name__ == "__main__":
    typer.run(main)
