"""Self-reenactment metrics: the first frame is the source; later frames are both driver and ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.patches import sample
from liveportrait.mini.regions import LIPS_OUTER, rows
from liveportrait.mini.renderer import SEEN_SIZE, MiniRenderer
from liveportrait.mini.warp import resize_flow

FRAMES_PER_CLIP = 6
MOUTH_MARGIN = 1.6


def mouth_box(lips: Tensor, height: int, width: int) -> tuple[slice, slice]:
    """Return rows and columns of the square around a mouth, 1.6 times as wide as the mouth.

    Args:
        lips: Points of the outer lips in pixels, shape (N, 2).
        height: Of the picture.
        width: Of the picture.
    """
    centre = (lips.amin(0) + lips.amax(0)) / 2
    half = MOUTH_MARGIN / 2 * (lips.amax(0) - lips.amin(0)).max()
    (left, top), (right, bottom) = ((centre + sign * half).round().int().tolist() for sign in (-1, 1))
    return slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))


def psnr(a: Tensor, b: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    return float(-10 * (a - b).square().mean().clamp_min(1e-10).log10())


@torch.no_grad()
def self_reenactment(
    renderer: MiniRenderer, frames: Tensor, points: Tensor, bounds: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Compare copying the source, prior flow only, and the full renderer.

    Args:
        renderer: In eval mode.
        frames: RGB pictures, shape (frames, S, S, 3), uint8.
        points: Keypoints, shape (frames, K, 3).
        bounds: First frame and end (exclusive) of each clip.

    Returns:
        Mean PSNR in dB of the crop and the mouth box, for copy, warp and full.
    """
    scores: dict[str, list[float]] = {}
    for start, end in bounds:
        drive = torch.linspace(start + 1, end - 1, FRAMES_PER_CLIP).long()
        picture = torch.stack([frames[n] for n in (start, *drive.tolist())]).permute(0, 3, 1, 2).float() / 255
        source, truth = picture[:1], picture[1:]
        x_s, x_d = points[start : start + 1], points[drive]
        side = truth.shape[-1]
        full, warp = render_both(renderer, source, x_s, x_d)
        for name, result in (("copy", source.expand_as(truth)), ("warp", warp), ("full", full)):
            for got, wanted, x in zip(result, truth, x_d, strict=True):
                box = mouth_box((x[rows(LIPS_OUTER), :2] + 1) / 2 * side, side, side)
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
    for patch in renderer.paint(source, features, warp, x_s, x_d):
        patch.blend_into(full)
    return full, sample(source, resize_flow(warp.prior, side, side))
