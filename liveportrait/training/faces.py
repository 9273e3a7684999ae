"""Prepared face pictures on disk, one file per clip, and batches of pairs drawn from them.

`scripts/prepare.py faces` writes the files; docs/training_liveportrait.md describes them. A still is a clip of one
frame, or of the frame and edited versions of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from liveportrait.config import CROP_SCALE
from liveportrait.regions import FACE_MESH, OpennessPoints
from liveportrait.retarget import eye_ratio, lip_ratio
from liveportrait.training.loop import TrainingError
from liveportrait.writing import save_tensors

LIP_POINTS = (61, 291, 0, 17, 13, 14, 78, 308)
EYE_POINTS = (159, 145, 386, 374, 33, 133, 362, 263)
LEFT_EYE, RIGHT_EYE = (159, 145, 33, 133), (386, 374, 362, 263)
OVAL_POINTS = (10, 152, 234, 454)
POINTS = (*LIP_POINTS, *EYE_POINTS, *OVAL_POINTS)
"""Points of MediaPipe's face mesh in `landmarks`: lips, lids and eye corners, ends of the face's outline."""
CANDIDATES = 6
"""Driving pictures that a pair which contrasts chooses from."""
_TWINS = {61: 291, 78: 308, 159: 386, 145: 374, 33: 263, 133: 362, 234: 454}
_TWIN = {**_TWINS, **{b: a for a, b in _TWINS.items()}}
MIRRORED = tuple(POINTS.index(_TWIN.get(point, point)) for point in POINTS)


def rows(points: Sequence[int]) -> list[int]:
    """Return the rows of mesh points in `landmarks`."""
    return [POINTS.index(point) for point in points]


def _ends(points: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    upper, lower, left, right = rows(points)
    return upper, lower, left, right


OPENINGS = OpennessPoints(_ends(FACE_MESH.left_eye), _ends(FACE_MESH.right_eye), _ends(FACE_MESH.lips))
"""Rows of `landmarks` that measure how open eyes and lips are."""


@dataclass(frozen=True)
class FaceClip:
    """One clip or still.

    Attributes:
        jpegs: The encoded pictures, one uint8 tensor per frame, all of the same size.
        landmarks: Mesh points POINTS, shape (T, 20, 2), ±1 at the crop's edges.
        rotation: Head pose R of the analyser, shape (T, 3, 3), in the convention of `liveportrait.keypoints`.
        identity: Who it shows.
        permissive: Whether it may train weights that ship.
        still: Whether all pictures were made from one still; a clip of a single frame counts as one.
        crop_scale: Side of the pictures over the size of the face.
    """

    jpegs: list[Tensor]
    landmarks: Tensor
    rotation: Tensor
    identity: str
    permissive: bool
    still: bool = False
    crop_scale: float = CROP_SCALE


def write_clip(file: Path, clip: FaceClip) -> None:
    """Write a clip, complete or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ends = torch.tensor([0, *(len(jpeg) for jpeg in clip.jpegs)]).cumsum(0)
    tensors = {"jpegs": torch.cat(clip.jpegs), "ends": ends, "landmarks": clip.landmarks.half()}
    tensors["rotation"] = clip.rotation.float()
    about = {"identity": clip.identity, "permissive": str(clip.permissive), "still": str(clip.still)}
    about["crop_scale"] = str(clip.crop_scale)
    save_tensors({name: value.contiguous() for name, value in tensors.items()}, file, about, replace=True)


def read_clip(file: Path) -> FaceClip:
    """Read a clip."""
    with safe_open(file, "pt") as stored:
        about = stored.metadata()
        data, ends, landmarks, rotation = (stored.get_tensor(n) for n in ("jpegs", "ends", "landmarks", "rotation"))
    jpegs = list(data.split(ends.diff().tolist()))
    permissive, still = (about.get(name) == "True" for name in ("permissive", "still"))
    still, scale = still or len(jpegs) == 1, float(about.get("crop_scale", CROP_SCALE))
    return FaceClip(jpegs, landmarks.float(), rotation, about["identity"], permissive, still, scale)


@dataclass(frozen=True)
class FaceSet:
    """Clips of one split, one after the other.

    Attributes:
        jpegs: Encoded pictures of all frames.
        landmarks: Shape (F, 20, 2).
        rotation: Shape (F, 3, 3).
        bounds: First frame of each clip, and the end, shape (clips + 1,).
        identities: Who is in each clip.
        stills: Which clips were made from one still, shape (clips,), bool.
        side: S, pixels of the pictures that are drawn.
        decoded: All pictures, shape (F, 3, S, S), uint8; None to decode them when they are drawn.
        crop_scale: Side of the pictures over the size of the face.
    """

    jpegs: list[Tensor]
    landmarks: Tensor
    rotation: Tensor
    bounds: Tensor
    identities: list[str]
    stills: Tensor
    side: int
    decoded: Tensor | None = None
    crop_scale: float = CROP_SCALE

    def pictures(self, frames: Tensor) -> Tensor:
        """Return pictures of frames (B,) as (B, 3, S, S), uint8."""
        if self.decoded is not None:
            return self.decoded[frames.to(self.decoded.device)]
        return torch.stack([decode(self.jpegs[n], self.side) for n in frames.tolist()])


def decode(jpeg: Tensor, side: int) -> Tensor:
    """Decode a picture to (3, side, side), uint8 RGB."""
    from torchvision.io import ImageReadMode, decode_jpeg

    picture = decode_jpeg(jpeg, mode=ImageReadMode.RGB)
    if picture.shape[-1] == side:  # type: ignore[union-attr]
        return picture  # type: ignore[return-value]
    resized = F.interpolate(picture[None].float(), (side, side), mode="bilinear", antialias=True)  # type: ignore[index]
    return resized[0].round().clamp(0, 255).byte()


def read_faces(folder: Path, side: int, permissive_only: bool, preload_on: str | None = None) -> FaceSet:
    """Read a split.

    Args:
        folder: Where `prepare.py faces` wrote it.
        side: Pixels of the pictures.
        permissive_only: Leave out clips that may not train weights which ship.
        preload_on: Device to keep all decoded pictures on; None decodes them when they are drawn.

    Raises:
        TrainingError: There is nothing to learn from, or crops differ in scale.
    """
    clips = [read_clip(file) for file in sorted(folder.glob("*.safetensors"))]
    clips = [clip for clip in clips if clip.permissive or not permissive_only]
    if not clips:
        raise TrainingError(f"{folder}: no faces to learn from; write them with `prepare.py faces`")
    jpegs, scales = [jpeg for clip in clips for jpeg in clip.jpegs], sorted({clip.crop_scale for clip in clips})
    if len(scales) > 1:
        raise TrainingError(
            f"{folder}: faces of several --crop-scale ({scales[0]:g}, {scales[1]:g}); prepare them alike"
        )
    return FaceSet(
        jpegs=jpegs,
        landmarks=torch.cat([clip.landmarks for clip in clips]),
        rotation=torch.cat([clip.rotation for clip in clips]),
        bounds=torch.tensor([0, *(len(clip.jpegs) for clip in clips)]).cumsum(0),
        identities=[clip.identity for clip in clips],
        stills=torch.tensor([clip.still for clip in clips]),
        side=side,
        decoded=None if preload_on is None else torch.stack([decode(one, side) for one in jpegs]).to(preload_on),
        crop_scale=scales[0],
    )


@dataclass(frozen=True)
class FaceBatch:
    """Pairs of pictures of one person, as drawn for one step.

    Attributes:
        source: Shape (B, 3, S, S) in [0, 1].
        driving: Same shape.
        landmarks_s: Of the source, shape (B, 20, 2).
        landmarks_d: Of the driving picture.
        rotation: Head poses of sources and driving pictures, shape (2B, 3, 3).
    """

    source: Tensor
    driving: Tensor
    landmarks_s: Tensor
    landmarks_d: Tensor
    rotation: Tensor


class FaceSampler:
    """Draws pairs: people by the square root of their frames, stills as often as asked.

    The draw of a step depends on seed and step alone, so that a resumed run sees what it would have seen.

    Args:
        faces: What to draw from.
        seed: Of the draws.
        still_share: Share of pairs that come from stills. A still without edited versions is augmented twice.
        contrast_share: Share of pairs that contrast: the driving picture is, of several, the one in which lids, or
            lips, are most unlike the source's. Otherwise an eye that shuts is rare.
    """

    def __init__(self, faces: FaceSet, seed: int, still_share: float, contrast_share: float = 0.0) -> None:
        self.faces, self.seed, self.contrast_share = faces, seed, contrast_share
        eyes, lips = eye_ratio(faces.landmarks, OPENINGS), lip_ratio(faces.landmarks, OPENINGS)
        self.openness = torch.stack([eyes.mean(1), lips[:, 0]])
        lengths = faces.bounds.diff()
        total: dict[str, int] = {}
        for who, length in zip(faces.identities, lengths.tolist(), strict=True):
            total[who] = total.get(who, 0) + length
        people = torch.tensor([total[who] for who in faces.identities])
        weights, stills = lengths / people.sqrt(), faces.stills
        if stills.any() and not stills.all():
            for kind, share in ((stills, still_share), (~stills, 1 - still_share)):
                weights = torch.where(kind, share * weights / weights[kind].sum(), weights)
        self.weights = weights

    def batch(self, step: int, size: int, device: str, part: slice = slice(None)) -> FaceBatch:
        """Draw a batch and augment it.

        Args:
            step: Of the run.
            size: Pairs of all processes together.
            device: Where the batch is needed.
            part: Pairs of this process.
        """
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        clips = torch.multinomial(self.weights, size, True, generator=random)
        start, length = self.faces.bounds[clips], self.faces.bounds.diff()[clips]
        # Two different frames where there are two.
        first = (torch.rand(size, generator=random) * length).long()
        step_on = 1 + (torch.rand(CANDIDATES, size, generator=random) * (length - 1)).long()
        source, candidates = start + first, start + (first + step_on) % length
        frames = torch.stack([source, self._choose(source, candidates, random)])
        maps, colours = draw_augmentation(length == 1, random)
        frames, maps, colours = frames[:, part].flatten(), maps[:, part].flatten(0, 1), colours[part]
        pictures = self.faces.pictures(frames).to(device).float() / 255
        maps = maps.to(device)
        pictures = recolour(warp(pictures, maps), colours.to(device).repeat(2, 1))
        landmarks_s, landmarks_d = move_landmarks(self.faces.landmarks[frames].to(device), maps).chunk(2)
        shown_s, shown_d = pictures.chunk(2)
        rotation = turn(self.faces.rotation[frames].to(device), maps)
        return FaceBatch(shown_s, shown_d, landmarks_s, landmarks_d, rotation)

    def _choose(self, source: Tensor, candidates: Tensor, random: torch.Generator) -> Tensor:
        """Choose driving frames for sources (B,) from candidates (N, B)."""
        part = torch.randint(len(self.openness), source.shape, generator=random)
        best = (self.openness[part, candidates] - self.openness[part, source]).abs().argmax(0)
        contrasts = torch.rand(len(source), generator=random) < self.contrast_share
        return candidates[torch.where(contrasts, best, 0), torch.arange(len(source))]


def draw_augmentation(is_still: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw flips, turns, zooms, shifts and colours; the two pictures of a pair share them, except those of stills.

    Args:
        is_still: Which pairs are one picture twice, shape (B,).
        random: What draws.

    Returns:
        Similarities from the augmented picture to the original, for sources and driving pictures, shape (2, B, 2, 3);
        and gains, contrast and saturation, shape (B, 5).
    """
    count = len(is_still)

    def draw(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=random) - 1

    flip = torch.where(draw(count) < 0, -1.0, 1.0)
    angle, zoom, shift = math.radians(10) * draw(count), 1.05 ** draw(count), 0.05 * draw(count, 2)
    own = [(math.radians(20) * draw(count), 1.15 ** draw(count), 0.12 * draw(count, 2)) for _ in range(2)]
    maps = []
    for own_angle, own_zoom, own_shift in own:
        a = angle + torch.where(is_still, own_angle, 0.0)
        z = zoom * torch.where(is_still, own_zoom, 1.0)
        cos, sin = a.cos() / z, a.sin() / z
        matrix = torch.stack([torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], 1)
        moved = shift + torch.where(is_still[:, None], own_shift, 0.0)
        maps.append(torch.cat([matrix, moved[..., None]], -1))
    return torch.stack(maps), draw_colours(count, random)


def draw_colours(count: int, random: torch.Generator) -> Tensor:
    """Draw gains of the channels, contrast and saturation for `recolour`, shape (count, 5)."""
    drawn = [2 * torch.rand(count, number, generator=random) - 1 for number in (3, 2)]
    return torch.cat([1 + 0.15 * drawn[0], 1 + 0.2 * drawn[1]], 1)


def warp(pictures: Tensor, maps: Tensor) -> Tensor:
    """Resample pictures (B, 3, S, S): the result at p shows the original at A p + b; maps (A | b) are (B, 2, 3)."""
    grid = F.affine_grid(maps, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def move_landmarks(landmarks: Tensor, maps: Tensor) -> Tensor:
    """Move landmarks (B, 20, 2) as `warp` moves pictures; where it mirrors, left and right change their rows."""
    inverse = inverse_of(maps[:, :, :2])
    moved = (landmarks - maps[:, None, :, 2]) @ inverse.transpose(1, 2)
    mirrored = determinant(maps)[:, None, None] < 0
    return torch.where(mirrored, moved[:, list(MIRRORED)], moved)


def turn(rotation: Tensor, maps: Tensor) -> Tensor:
    """Turn head poses R (B, 3, 3) as `warp` turns pictures; a mirrored head has a mirrored canonical face."""
    inverse = inverse_of(maps[:, :, :2])
    plane = inverse / inverse[:, :, :1].norm(dim=1, keepdim=True)
    full = torch.eye(3, device=maps.device).repeat(len(maps), 1, 1)
    full[:, :2, :2] = plane
    mirror = torch.diag_embed(torch.stack([determinant(maps).sign(), *[torch.ones(len(maps)).to(maps)] * 2], -1))
    return mirror @ rotation @ full.transpose(1, 2)


def determinant(maps: Tensor) -> Tensor:
    """Return the determinants of the 2×2 parts, negative for mirrors, shape (B,)."""
    return maps[:, 0, 0] * maps[:, 1, 1] - maps[:, 0, 1] * maps[:, 1, 0]


def inverse_of(matrix: Tensor) -> Tensor:
    """Invert 2×2 matrices (B, 2, 2) in closed form."""
    a, b, c, d = matrix.flatten(1).unbind(1)
    swapped = torch.stack([d, -b, -c, a], 1).unflatten(1, (2, 2))
    return swapped / (a * d - b * c)[:, None, None]


def recolour(pictures: Tensor, colours: Tensor) -> Tensor:
    """Change the gains of the channels, contrast and saturation of pictures (B, 3, H, W); colours have shape (B, 5)."""
    gain, contrast, saturation = colours[:, :3, None, None], colours[:, 3, None, None, None], colours[:, 4]
    grey = pictures.mean(1, keepdim=True)
    coloured = grey + saturation[:, None, None, None] * (pictures - grey)
    return (0.5 + contrast * (gain * coloured - 0.5)).clamp(0, 1)
