"""Batches of mouths: examples sampled from their windows, moved, recoloured and lit from a side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.patches import MASK_SOFTNESS, blurred, sample
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.training.mouths import CLIP, CORNERS, FRAMES, LENT, MARGIN, REACH, Examples, MouthSet, insides
from liveportrait.training.pairs import recolour

JITTER_DEG, ZOOM, SHIFT = 8.0, (0.92, 1.1), 0.05  # how patches are moved
LIGHT = 0.35  # log brightness across half a patch
SHARPER = 0.8  # how much footage is sharpened, which is softer than portraits
SEAM = (0.2, 0.9)  # brightness of the line between lips shut by hand, over what is around it

Draw = Callable[[float, float], Tensor]
"""Draws a number between two for each example."""


class View(NamedTuple):
    """What is looked at: its middle and half side in the mouth's patch, and its side in pixels."""

    middle: tuple[float, float]
    reach: float
    size: int


@dataclass(frozen=True)
class Batch:
    """What the painter sees, and what it should paint; pictures of shape (B, c, S, S).

    Attributes:
        source: The source's patch and masks.
        warped: The warped patch.
        masks: The driver's masks.
        target: The true patch.
        shown: How much of the inside the source shows, shape (B, 1, 1, 1).
        place: Where the pixels come from in the driver's patch, which is moved, shape (B, S, S, 2).
    """

    source: Tensor
    warped: Tensor
    masks: Tensor
    target: Tensor
    shown: Tensor
    place: Tensor


class MouthBatches:
    """Holds windows and examples on a device and samples batches from them.

    Args:
        size: Side of the patches in pixels.
        mouths: The windows.
        examples: From `work_out`.
        face: Says where the mouths' insides are.
        device: Where to sample.
        threads: How many windows are prepared at a time.
    """

    def __init__(
        self, size: int, mouths: MouthSet, examples: Examples, face: FaceModel, device: str, threads: int
    ) -> None:
        self.whole = View((0.0, 0.0), 1.0, size)
        self.device, self.examples = device, examples.to(device)
        masks, covered = insides(face, mouths, threads)
        windows = torch.where((mouths.kinds == CLIP)[:, None, None, None], sharpened(mouths.windows), mouths.windows)
        self.windows, self.masks, self.covered = (part.to(device) for part in (windows, masks, covered))

    def batch(
        self, which: Tensor, random: torch.Generator | None, alike: Tensor | None = None, view: View | None = None
    ) -> Batch:
        """Sample examples from the windows, moved and recoloured if something draws.

        Args:
            which: Examples, shape (B,).
            random: Draws, or None.
            alike: Examples that have the same number here are moved and recoloured alike, shape (B,).
            view: What is looked at, or None for the mouth's patch.
        """
        device, alike = self.device, torch.arange(len(which)) if alike is None else alike
        count = int(alike.max()) + 1

        def draw(low: float, high: float) -> Tensor:
            drawn = torch.rand(count, generator=random) if random else torch.full((count,), 0.5)
            return (low + (high - low) * drawn[alike]).to(device)

        examples = self.examples[which.to(device)]
        turn, shift, matrix = jitter(draw)
        position, reach, size = view or self.whole
        middle = torch.tensor(position, device=device)
        grid = middle + reach * pixel_grid(size, size).to(device)
        place = torch.einsum("tij,hwj->thwi", matrix, grid) + shift[:, None, None]
        covered = self.cover(examples.source, examples.kinds != FRAMES, draw(*SEAM))
        pictures = [
            self.find(covered, examples.to_source, place),
            self.find(covered, examples.to_warped, place) + sample(examples.light.float(), place / MARGIN),
            sample(self.windows[examples.target].float() / 255, self.in_target(examples, place)),
        ]
        if random:
            pictures = list(self.relight(torch.cat(pictures), grid, draw).chunk(3))

        def seen(outlines: Tensor) -> list[Tensor]:
            moved = (outlines - shift[:, None]) @ turn.transpose(1, 2)
            return list(((moved - middle) / reach).split(CORNERS, 1))

        masks_s, masks_d = (polygon_masks(seen(each), size, MASK_SOFTNESS) for each in examples.outlines())
        source = torch.cat([pictures[0], masks_s], 1).contiguous(memory_format=torch.channels_last)
        return Batch(source, pictures[1].clamp(0, 1), masks_d, pictures[2], examples.shown, place)

    def cover(self, source: Tensor, by_hand: Tensor, seam: Tensor) -> Tensor:
        """Return windows (B, 3, W, W), their open mouths covered where they are shut by hand."""
        windows, covered = (part[source].float() / 255 for part in (self.windows, self.covered))
        inside = self.masks[source].float() / 255 * by_hand[:, None, None, None]
        return torch.lerp(windows, covered * seam[:, None, None, None], inside)

    @staticmethod
    def find(windows: Tensor, positions: Tensor, place: Tensor) -> Tensor:
        """Sample windows where `positions` (B, 2, GRID, GRID) says for places (B, S, S, 2) of a patch."""
        return sample(windows, sample(positions.float(), place / MARGIN).permute(0, 2, 3, 1))

    @staticmethod
    def in_target(examples: Examples, place: Tensor) -> Tensor:
        """Return the positions in the target's window of places (B, S, S, 2) of a patch."""
        bent = sample(examples.to_target.float(), place / MARGIN).permute(0, 2, 3, 1)
        return torch.where((examples.kinds == LENT)[:, None, None, None], bent, place / REACH)

    @staticmethod
    def relight(pictures: Tensor, grid: Tensor, draw: Draw) -> Tensor:
        """Recolour, light from a side, and soften pictures (3 B, 3, S, S); the three of an example alike."""

        def alike(low: float, high: float) -> Tensor:
            return draw(low, high).repeat(3)

        slope = torch.stack([alike(-LIGHT, LIGHT), alike(-LIGHT, LIGHT)], -1)
        light = torch.einsum("ti,hwi->thw", slope, grid).exp()[:, None]
        pictures = recolour((pictures * light).clamp(0, 1), alike)
        softness = alike(-1.5, 1.0).clamp_min(0)[:, None, None, None]
        return torch.lerp(pictures, blurred(pictures, 3), softness)


def jitter(draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Draw how patches are turned, zoomed, mirrored and shifted.

    Returns:
        The inverse matrices (B, 2, 2), the shifts (B, 2) and the matrices: a pixel p shows what is at matrix p + shift.
    """
    angle, zoom = torch.deg2rad(draw(-JITTER_DEG, JITTER_DEG)), draw(*ZOOM)
    flip = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).unflatten(-1, (2, 2))
    matrix = turn * zoom[:, None, None] * torch.stack([flip, torch.ones_like(flip)], -1)[:, None]
    return torch.linalg.inv(matrix), torch.stack([draw(-SHIFT, SHIFT), draw(-SHIFT, SHIFT)], -1), matrix


def sharpened(pictures: Tensor) -> Tensor:
    """Sharpen pictures (N, 3, W, W), uint8."""
    return (pictures + SHARPER * (pictures - blurred(pictures.float(), 5))).round().clamp(0, 255).byte()
