"""Training pairs for the renderer: two frames of one clip, or one frame and itself shut, in a common augmentation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel, lip_ratio, mirror_order
from liveportrait.mini.patches import blurred
from liveportrait.mini.raster import pixel_grid
from liveportrait.training.shut_mouths import shut_mouths

SIDE = 256
DETAILED = 200.0  # pixels of a face that loses nothing in a clip of 256
OPEN_STILL = 0.1  # openness over width of a mouth that is worth learning from
CANDIDATES = 5  # frames from which the most open or most closed mouth is picked


@dataclass(frozen=True)
class ClipSet:
    """Decoded clips, one after the other.

    Attributes:
        frames: RGB, shape (frames, 256, 256, 3), uint8; may be mapped from a file.
        points: Keypoints, shape (frames, K, 3), ±1 at the crop's edges.
        bounds: First and last-plus-one frame of each clip.
        identities: Who is in each clip.
        face_pixels: How large each clip's face was in the video it was cut from.
    """

    frames: Tensor
    points: Tensor
    bounds: list[tuple[int, int]]
    identities: list[str]
    face_pixels: list[float]


@dataclass(frozen=True)
class Shares:
    """Which pairs are drawn how often.

    Attributes:
        open: Share of pairs whose source mouth is the least open of a few and whose driving mouth is the most.
        shut: Share of pairs, among those, whose source is the driving picture with its mouth shut by hand.
        close: Share of pairs that go from an open mouth to a closed one.
        still: Share of pairs that are made of a single picture, its mouth shut by hand.
        detail: How much less clips with small faces are drawn: the share of DETAILED pixels, to this power.
    """

    open: float
    shut: float
    close: float
    still: float
    detail: float


class PairSampler:
    """Draws source and driving frames: people by the square root of their time, mouths that open or close more often.

    The draw of step n depends on the seed and n alone, so a resumed training sees what it would have seen.

    Args:
        clips: What to draw from.
        stills: Single pictures of open mouths.
        face: Says how mouths are shut.
        seed: Of the draws.
        shares: How often which kind of pair is drawn.
    """

    def __init__(self, clips: ClipSet, stills: ClipSet, face: FaceModel, seed: int, shares: Shares) -> None:
        self.clips, self.stills, self.face, self.seed, self.shares = clips, stills, face, seed, shares
        self.twins = mirror_order(face.mean)
        total: dict[str, int] = {}
        for who, (start, end) in zip(clips.identities, clips.bounds, strict=True):
            total[who] = total.get(who, 0) + end - start
        weights = [
            (end - start) / math.sqrt(total[who]) * min(1.0, pixels / DETAILED) ** shares.detail
            for who, (start, end), pixels in zip(clips.identities, clips.bounds, clips.face_pixels, strict=True)
        ]
        self.clip_weights = torch.tensor(weights)
        self.openness = lip_ratio(clips.points)[:, 0]
        self.points = torch.cat([clips.points, stills.points])

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Draw a batch.

        Returns:
            Source pictures (B, 3, 256, 256) in [0, 1], source keypoints (B, K, 3), driving pictures and keypoints; the
            source pictures as the painters shall see them, half of them with rougher skin; and 1 where a pair is two
            pictures, 0 where it is one and itself shut, shape (B).
        """
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        drawn = torch.multinomial(self.clip_weights, size, True, generator=random)
        pairs = [self._pair(int(n), random) for n in drawn]
        source, driving, by_hand = (list(side) for side in zip(*pairs, strict=True))
        pictures = torch.stack([self._picture(n) for n in source + driving]).permute(0, 3, 1, 2).float() / 255
        points = self.points[source + driving]
        shut = [n for n, shutting in enumerate(by_hand) if shutting]
        if shut:
            seam = 0.2 + 0.7 * torch.rand(len(shut), generator=random)
            pictures[shut], points[shut] = shut_mouths(self.face, pictures[shut], points[shut], seam)
        paired = torch.ones(size).index_fill_(0, torch.tensor(shut, dtype=torch.long), 0.0)
        pictures, points = self._augment(pictures, points, size, random)
        source = pictures[:size]
        return source, points[:size], pictures[size:], points[size:], _roughen(source, random), paired

    def _picture(self, number: int) -> Tensor:
        """Return a frame, or a still, which are numbered after the frames."""
        frames = len(self.clips.frames)
        return self.clips.frames[number] if number < frames else self.stills.frames[number - frames]

    def _pair(self, clip: int, random: torch.Generator) -> tuple[int, int, bool]:
        """Draw a source and a driving frame: a mouth that opens, one that closes, any two, or one to be shut by hand.

        Args:
            clip: Of which clip, unless a still is drawn.
            random: What draws.

        Returns:
            Their numbers, stills after frames, and whether the source is to be shut.
        """
        shares = self.shares
        if float(torch.rand((), generator=random)) < shares.still and len(self.stills.frames):
            still = len(self.clips.frames) + int(torch.randint(len(self.stills.frames), (), generator=random))
            return still, still, True
        start, end = self.clips.bounds[clip]
        drawn = torch.randint(start, end, (CANDIDATES,), generator=random)
        most, least = int(drawn[self.openness[drawn].argmax()]), int(drawn[self.openness[drawn].argmin()])
        kind = float(torch.rand((), generator=random))
        if kind < shares.shut and self.openness[most] > OPEN_STILL:
            return most, most, True
        if kind < shares.open:
            return least, most, False  # as a portrait does: what the warp stretches over the mouth is lip
        if kind < shares.open + shares.close:
            return most, least, False
        return int(drawn[0]), int(drawn[1]), False

    def _augment(self, pictures: Tensor, points: Tensor, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Flip, turn, zoom, squeeze, recolour and sharpen; a pair shares its draw."""

        def draw(low: float, high: float) -> Tensor:
            return (low + (high - low) * torch.rand(size, generator=random)).repeat(2)

        angle, zoom = torch.deg2rad(draw(-12, 12)), draw(1.0, 1.25)
        flip = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        squeeze = draw(0.93, 1.07)  # other proportions make other people
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(-1, 2, 2)
        matrix = turn / zoom[:, None, None]  # output → input
        matrix = torch.stack([matrix[:, :, 0] * (flip * squeeze)[:, None], matrix[:, :, 1]], -1)
        shift = torch.stack([draw(-0.08, 0.08), draw(-0.08, 0.08)], -1)
        grid = torch.einsum("tij,hwj->thwi", matrix, pixel_grid(SIDE, SIDE)) + shift[:, None, None]
        pictures = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        flat = torch.einsum("tij,tkj->tki", torch.linalg.inv(matrix), points[..., :2] - shift[:, None])
        points = torch.cat([flat, points[..., 2:] * zoom[:, None, None]], -1)
        points = torch.where(flip[:, None, None] < 0, points[:, self.twins], points)
        return _sharpen(recolour(pictures, draw), draw), points


def recolour(pictures: Tensor, draw: Callable[[float, float], Tensor]) -> Tensor:
    """Change tint, saturation, gamma and black, so that the painter takes its palette from the source."""
    tint = torch.stack([draw(0.85, 1.15) for _ in range(3)], 1)[..., None, None]
    saturation = torch.where(draw(0, 1) < 0.1, 0.0, draw(0.5, 2.0))[:, None, None, None]
    gamma, black = draw(0.75, 1.35)[:, None, None, None], draw(-0.08, 0.08)[:, None, None, None]
    grey = pictures.mean(1, keepdim=True)
    mixed = (grey + saturation * (pictures - grey)) * torch.where(saturation > 0, tint, 1.0)
    return (black + (1 - black) * mixed.clamp(0, 1).pow(gamma)).clamp(0, 1)


def _sharpen(pictures: Tensor, draw) -> Tensor:
    """Sharpen half of the pairs: photographs are sharper than video."""
    amount = draw(-0.8, 0.8).clamp_min(0)[:, None, None, None]
    return (pictures + amount * (pictures - blurred(pictures, 3))).clamp(0, 1)


def _roughen(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Give half of the pictures wrinkles and pores, which video has lost: light and dark spots of 1, 2 or 4 pixels."""
    count = len(pictures)
    strength = 0.5 * (torch.rand(count, 1, 1, 1, generator=random) - 0.5).clamp_min(0)
    size = SIDE // 2 ** int(torch.randint(3, (), generator=random))
    spots = torch.randn(count, 1, size, size, generator=random)
    return (pictures * (1 + strength * F.interpolate(spots, (SIDE, SIDE), mode="bilinear"))).clamp(0, 1)
