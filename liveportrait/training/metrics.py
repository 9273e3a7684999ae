"""Self-reenactment metrics: the first frame is the source; later frames are both driver and ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.patches import sample
from liveportrait.mini.regions import LIPS, rows
from liveportrait.mini.renderer import SEEN_SIZE, MiniRenderer, resize_flow

FRAMES_PER_CLIP = 6
MOUTH_MARGIN = 1.6


def mirror_order(mean: Tensor) -> list[int]:
    """Return the index of each point's mirror image in a symmetric face (K, 3)."""
    twin = mean * torch.tensor([-1.0, 1.0, 1.0]).to(mean)
    return torch.cdist(twin, mean).argmin(1).tolist()


def mouth_box(x: Tensor, side: int) -> tuple[slice, slice]:
    """Return rows and columns of the square around the lips of one face (K, 2 or 3) in a crop of `side` pixels."""
    lips = (x[rows(LIPS), :2] + 1) / 2 * side
    centre = (lips.amin(0) + lips.amax(0)) / 2
    half = MOUTH_MARGIN / 2 * (lips.amax(0) - lips.amin(0)).max()
    (left, top), (right, bottom) = ((centre + sign * half).round().clamp(0, side).int().tolist() for sign in (-1, 1))
    return slice(top, bottom), slice(left, right)


def psnr(a: Tensor, b: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    return float(-10 * (a - b).square().mean().clamp_min(1e-10).log10())


@torch.no_grad()
def self_reenactment(
    renderer: MiniRenderer, frames, points: Tensor, bounds: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Compare copying the source, prior flow only, and the full renderer.

    Args:
        renderer: In eval mode.
        frames: RGB pictures, array of shape (frames, S, S, 3), uint8.
        points: Keypoints, shape (frames, K, 3).
        bounds: First frame and end (exclusive) of each clip.

    Returns:
        Mean PSNR in dB of the crop and the mouth box, for copy, warp and full.
    """
    scores: dict[str, list[float]] = {}
    for start, end in bounds:
        drive = torch.linspace(start + 1, end - 1, FRAMES_PER_CLIP).long()
        picture = torch.stack([torch.from_numpy(frames[n].copy()) for n in (start, *drive.tolist())])
        picture = picture.permute(0, 3, 1, 2).float() / 255
        source, truth = picture[:1], picture[1:]
        x_s, x_d = points[start : start + 1], points[drive]
        full, warp = render_both(renderer, source, x_s, x_d)
        for name, result in (("copy", source.expand_as(truth)), ("warp", warp), ("full", full)):
            for got, wanted, x in zip(result, truth, x_d, strict=True):
                box = mouth_box(x, truth.shape[-1])
                scores.setdefault(f"{name}_crop", []).append(psnr(got, wanted))
                scores.setdefault(f"{name}_mouth", []).append(psnr(got[:, *box], wanted[:, *box]))
    return {name: sum(values) / len(values) for name, values in scores.items()}


def render_both(renderer: MiniRenderer, source: Tensor, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor]:
    """Render one source with T driving keypoints, by the full renderer and by prior flow only, (T, 3, S, S) each."""
    side, count = source.shape[-1], len(x_d)
    features = [f.expand(count, -1, -1, -1) for f in renderer.encode(source, x_s)]
    source, x_s = source.expand(count, -1, -1, -1), x_s.expand(count, -1, -1)
    small = F.interpolate(source, (SEEN_SIZE, SEEN_SIZE), mode="area")
    warp = renderer.warp(small, x_s, x_d)
    full = warp.apply(source)
    for place, painted in renderer.paint(source, features, warp, x_s, x_d):
        painted.blend_into(full, place)
    return full, sample(source, resize_flow(warp.prior, side, side))
