"""Square patches around mouth and eyes, aligned to the head pose to give the painter a normalised view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import HeadPose
from liveportrait.mini.raster import disc_mask, pixel_grid, polygon_masks
from liveportrait.mini.regions import (
    FACE_OVAL,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS_INNER,
    LIPS_OUTER,
    MOUTH_CORNERS,
    RIGHT_EYE,
    RIGHT_IRIS,
    rows,
)

EDGE = 0.16  # share of a patch's half side over which the paint fades out at the border
MASK_SOFTNESS = 0.02  # in patch units: about one pixel of a 96-pixel patch
SHOWN = (0.1, 0.4)  # source area over driver area: `shown_share` rises from 0 to 1 between these
SLIT_SHOWN = (0.3, 0.7)  # the same if the source's lips are hardly parted, so that little is seen between them
SLIT, OPEN = 0.06, 0.10  # area of a mouth over its squared width: hardly parted up to the first, open from the second
HARDLY, FAR = 0.05, 0.12  # in patch units: `eye_motion` rises from 0 to 1 between these; a blink moves lids by 0.27
IRIS = 1.5  # how much more the motion of an iris counts than that of lids
TINY = 1e-6


@dataclass(frozen=True)
class PatchKind:
    """Position of a patch on the mean face, and the masks drawn in it.

    Attributes:
        centre: (x, y, z) in the head frame.
        half_side: Half its side in the head frame.
        mirrored: Whether x points left, so that one network serves both eyes.
        size: Side in pixels.
        polygons: Mesh points of the masks' polygons.
        iris: Mesh points of an iris, centre first, or empty.
    """

    centre: tuple[float, float, float]
    half_side: float
    mirrored: bool
    size: int
    polygons: tuple[tuple[int, ...], ...]
    iris: tuple[int, ...] = ()

    @property
    def num_masks(self) -> int:
        """Number of mask channels from `draw_masks`."""
        return len(self.polygons) + bool(self.iris)


MOUTH = PatchKind((0.0, 1.36, -0.42), 0.8, False, 96, (LIPS_INNER, LIPS_OUTER, FACE_OVAL))
LEFT_EYE_PATCH = PatchKind((-0.51, 0.13, -0.14), 0.36, False, 48, (LEFT_EYE,), LEFT_IRIS)
RIGHT_EYE_PATCH = PatchKind((0.51, 0.13, -0.14), 0.36, True, 48, (RIGHT_EYE,), RIGHT_IRIS)


def patch_frame(kind: PatchKind, pose: HeadPose) -> Tensor:
    """Return the affine map from a patch to the crop.

    Args:
        kind: The kind of patch.
        pose: T head poses in crop coordinates.

    Returns:
        A, shape (T, 2, 3): crop = A (x, y, 1) for patch coordinates in [-1, 1].
    """
    centre = pose.scale * (pose.rotation.new_tensor(kind.centre) @ pose.rotation) + pose.translation
    axis = F.normalize(pose.rotation[:, 0, :2], dim=-1) * pose.scale * kind.half_side
    across = torch.stack([-axis[:, 1], axis[:, 0]], -1)
    return torch.stack([-axis if kind.mirrored else axis, across, centre[:, :2]], -1)


def patch_points(frame: Tensor, size: int) -> Tensor:
    """Return the crop positions of a patch's pixels, shape (T, size, size, 2)."""
    grid = pixel_grid(size, size).to(frame)
    return torch.einsum("tij,hwj->thwi", frame[:, :, :2], grid) + frame[:, None, None, :, 2]


def to_patch(frame: Tensor, points: Tensor) -> Tensor:
    """Map crop positions into a patch: frame (T, 2, 3), points (T, ..., 2)."""
    matrix = torch.linalg.inv(frame[:, :, :2])
    shifted = points - frame[:, :, 2].reshape(-1, *[1] * (points.dim() - 2), 2)
    return torch.einsum("tij,t...j->t...i", matrix, shifted)


def draw_masks(kind: PatchKind, frame: Tensor, x: Tensor) -> Tensor:
    """Draw a patch's polygons and iris.

    Args:
        kind: The kind of patch.
        frame: Its position, shape (T, 2, 3).
        x: Keypoints in the crop, shape (T, K, 2 or 3).

    Returns:
        Masks in [0, 1], shape (T, num_masks, size, size).
    """

    def inside(points: tuple[int, ...]) -> Tensor:
        return to_patch(frame, x[:, rows(points), :2])

    masks = [polygon_masks([inside(polygon) for polygon in kind.polygons], kind.size, MASK_SOFTNESS)]
    if kind.iris:
        iris = inside(kind.iris)
        radius = (iris[:, 1:] - iris[:, :1]).norm(dim=-1).mean(1)
        masks.append(disc_mask(iris[:, 0], radius, kind.size, MASK_SOFTNESS))
    return torch.cat(masks, 1)


def parted(masks: Tensor) -> Tensor:
    """Return where lips are parted, from a mouth's masks (T, m, S, S): zero all along closed lips, (T, 1, S, S).

    The mask itself is a half on closed lips, since its edge is soft; nothing of an open mouth may be seen there.
    """
    return widened((2 * masks[:, :1] - 1).clamp_min(0))


def widened(mask: Tensor) -> Tensor:
    """Return the maximum of each pixel and its eight neighbours in masks (T, C, H, W), none of them negative.

    On a CPU `max_pool2d` takes ten times as long.
    """
    for axis in (2, 3):
        before, middle, after = neighbours(mask, axis, "constant")
        mask = torch.maximum(torch.maximum(before, after), middle)
    return mask


def neighbours(pictures: Tensor, axis: int, mode: str) -> list[Tensor]:
    """Return what lies before, at and after each pixel along one axis, 2 or 3, of pictures (T, C, H, W).

    Beyond the edges are zeros (`mode` "constant") or the edges' own pixels ("replicate").
    """
    padded = F.pad(pictures, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0), mode)
    return [padded.narrow(axis, n, pictures.shape[axis]) for n in range(3)]


def blurred(pictures: Tensor, width: int) -> Tensor:
    """Average pictures (T, C, H, W) over squares whose side is an odd number of pixels, with repeated edges."""
    return F.avg_pool2d(F.pad(pictures, [width // 2] * 4, mode="replicate"), width, 1)


def shown_share(kind: PatchKind, x_s: Tensor, x_d: Tensor) -> Tensor:
    """Estimate how much of an open mouth or eye is visible in the source.

    Args:
        kind: The kind of patch.
        x_s: Source keypoints, shape (1 or T, K, 2 or 3).
        x_d: Driving keypoints, shape (T, K, 2 or 3).

    Returns:
        Shape (T, 1, 1, 1): 1 if the source is about as open as the driver, 0 if it is much less open, so that the warp
        would stretch the closed lips over the opening. A mouth whose lips are hardly parted has to be nearer.
    """
    before, after = (_area(x[:, rows(kind.polygons[0]), :2]) for x in (x_s, x_d))
    parting = torch.ones_like(before)
    if kind.polygons[0] == LIPS_INNER:
        left, right = (x_s[:, row, :2] for row in rows(MOUTH_CORNERS))
        squared_width = (left - right).square().sum(-1).clamp_min(TINY)
        parting = ((before / squared_width - SLIT) / (OPEN - SLIT)).clamp(0, 1)
    low, high = (slit + parting * (wide - slit) for slit, wide in zip(SLIT_SHOWN, SHOWN, strict=True))
    return ((before / after.clamp_min(TINY) - low) / (high - low)).clamp(0, 1)[:, None, None, None]


def eye_motion(kind: PatchKind, source: tuple[Tensor, Tensor], driving: tuple[Tensor, Tensor]) -> Tensor:
    """Return how much an eye has to be painted, because lids or iris move in the head.

    Args:
        kind: The kind of patch.
        source: Position of the patch, shape (1 or T, 2, 3), and source keypoints, shape (1 or T, K, 2 or 3).
        driving: The same of the driver, T of each.

    Returns:
        Shape (T, 1, 1, 1): 0 if the warp alone shows the motion, 1 if it is large.
    """
    lids, iris = kind.polygons[0], kind.iris
    before, after = (to_patch(place, x[:, rows(lids + iris), :2]) for place, x in (source, driving))
    moved = (after - before).norm(dim=-1)
    farthest = torch.maximum(moved[:, : len(lids)].amax(1), IRIS * moved[:, len(lids) :].amax(1))
    share = ((farthest - HARDLY) / (FAR - HARDLY)).clamp(0, 1)
    return (share * share * (3 - 2 * share))[:, None, None, None]


def _area(polygons: Tensor) -> Tensor:
    """Return the areas of polygons (T, N, 2), shape (T,)."""
    x, y = polygons.unbind(-1)
    return 0.5 * (x * y.roll(-1, 1) - y * x.roll(-1, 1)).sum(1).abs()


def edge_fade(size: int) -> Tensor:
    """Return a window that is one inside a patch and falls smoothly to zero at its border, shape (1, 1, size, size)."""
    side = ((1 - pixel_grid(size, size).abs()) / EDGE).clamp(0, 1)
    smooth = side * side * (3 - 2 * side)
    return (smooth[..., 0] * smooth[..., 1])[None, None]


def sample(picture: Tensor, positions: Tensor) -> Tensor:
    """Sample a picture (T, C, H, W) at positions (T, h, w, 2), bilinearly, with repeated edges."""
    return F.grid_sample(picture, positions, mode="bilinear", padding_mode="border", align_corners=False)


def paste_patch(crop: Tensor, frame: Tensor, change: Tensor, veil: Tensor) -> None:
    """Blend a painted patch into warped crops, in place and only inside the patches' bounding box.

    The patch is coarser than the crop, so only its difference to the warped picture is added and the crop's fine detail
    is kept. Where the patch shows something that the source does not, that detail is wrong and is faded out first.

    Args:
        crop: Warped pictures, shape (T, 3, H, W).
        frame: Position of the patch in each crop, shape (T, 2, 3).
        change: Picture to add after fading out, zero at the border, shape (T, 3, S, S).
        veil: Share of the warped picture to fade out, zero at the border, shape (T, 1, S, S).
    """
    height, width = crop.shape[2:]
    reach = frame[:, :, :2].abs().sum(-1) * (1 + 1 / change.shape[-1])  # include the outer half pixel
    low, high = (frame[:, :, 2] - reach).amin(0), (frame[:, :, 2] + reach).amax(0)
    sides = low.new_tensor((width, height))
    left, top = ((low + 1) / 2 * sides).floor().clamp_min(0).int().tolist()
    right, bottom = torch.minimum(((high + 1) / 2 * sides).ceil(), sides).int().tolist()
    if right <= left or bottom <= top:
        return
    pixels = pixel_grid(height, width)[top:bottom, left:right].to(frame).expand(len(crop), -1, -1, -1)
    found = F.grid_sample(torch.cat([change, veil], 1), to_patch(frame, pixels), align_corners=False)
    box = crop[:, :, top:bottom, left:right]
    box.addcmul_(box, found[:, 3:], value=-1).add_(found[:, :3])
