"""Mouths to learn from: windows around the mouths of portraits and footage, and how a source is warped for a painter.

The renderer's warp is worked out once for each example; a step then only samples windows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel, lip_ratio
from liveportrait.mini.other_mouth import inside_points
from liveportrait.mini.patches import MOUTH, patch_frame, patch_points, sample, shown_share, to_patch
from liveportrait.mini.prior_flow import FLOW_SIZE, closing_flow
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import LIPS_INNER, rows
from liveportrait.mini.renderer import SEEN_SIZE, MiniRenderer
from liveportrait.mini.warp import resize_flow
from liveportrait.training.pairs import OPEN_STILL
from liveportrait.training.shut_mouths import SOFTNESS, shut_points, spread

WINDOW = 152
"""Side of a window in pixels: what a mouth's patch shows of a portrait, pixel for pixel, and a margin."""

REACH = 1.3
"""Side of a window in units of the patch's side."""

GRID, MARGIN = 64, 1.2
"""Side of the grids of positions, and what they cover in units of the patch's side."""

STILL, CLIP = 0, 1
"""Kinds of windows: a single picture; a frame of a clip."""

BY_HAND, FRAMES, LENT = 0, 1, 2
"""Kinds of examples: a mouth shut by hand that opens again; two frames of a clip, of which the second is open; a still
that is shut by hand and opens as another mouth does.

Nobody knows how the last should look. The other mouth's inside, bent to its lips, tells about how.
"""

PAIRS, SHUT = 12, 0.5
"""Most pairs of frames of a clip, and how open the first frame may be, over the second."""

LENDERS = 2  # mouths of footage that lend a still their opening
SHUT_STILL = 0.03  # openness over width of a mouth that is shut
CHUNK = 16


@dataclass(frozen=True)
class MouthSet:
    """Windows around N mouths.

    Attributes:
        windows: RGB, shape (N, 3, WINDOW, WINDOW), uint8.
        small: The whole crops, shape (N, 3, SEEN_SIZE, SEEN_SIZE), uint8.
        points: Keypoints in the crops, shape (N, K, 3).
        kinds: STILL or CLIP, shape (N,).
        groups: Which picture or clip a window is from, shape (N,).
        held_out: Whether a window validates and is not learned from, shape (N,).
    """

    windows: Tensor
    small: Tensor
    points: Tensor
    kinds: Tensor
    groups: Tensor
    held_out: Tensor


@dataclass(frozen=True)
class Examples:
    """P examples: which windows, and where each pixel of a patch is found in them.

    Attributes:
        kinds: BY_HAND, FRAMES or LENT, shape (P,).
        held_out: Whether it validates, shape (P,).
        source: The source's window, shape (P,).
        target: The window that shows the truth, shape (P,).
        to_source: Positions in the source's window for a grid over the source's patch, shape (P, 2, GRID, GRID).
        to_warped: The same for the warped source, over the driver's patch.
        to_target: The same for the window that shows the truth: its mouth is bent to the driver's.
        light: What the warp adds, over the driver's patch, shape (P, 3, GRID, GRID).
        outlines_s: Corners of the mouth's polygons in the source's patch, one after the other, shape (P, corners, 2).
        outlines_d: The same in the driver's patch.
        shown: From `shown_share`, shape (P, 1, 1, 1).
    """

    kinds: Tensor
    held_out: Tensor
    source: Tensor
    target: Tensor
    to_source: Tensor
    to_warped: Tensor
    to_target: Tensor
    light: Tensor
    outlines_s: Tensor
    outlines_d: Tensor
    shown: Tensor

    def __getitem__(self, which: Tensor) -> Examples:
        """Return some of the examples."""
        return Examples(*(getattr(self, field.name)[which] for field in fields(self)))

    def to(self, device: str) -> Examples:
        """Move all tensors."""
        return Examples(*(getattr(self, field.name).to(device) for field in fields(self)))

    def outlines(self) -> tuple[Tensor, Tensor]:
        """Return the outlines of source and driver."""
        return self.outlines_s, self.outlines_d


CORNERS = [len(polygon) for polygon in MOUTH.polygons]


def window_frame(face: FaceModel, points: Tensor) -> Tensor:
    """Return the map from windows to crops for keypoints (N, K, 3), shape (N, 2, 3)."""
    return _enlarged(patch_frame(MOUTH, face.pose(points)), REACH)


def insides(face: FaceModel, mouths: MouthSet, threads: int) -> tuple[Tensor, Tensor]:
    """Return masks of the windows' open mouths (N, 1, W, W), and the windows with colours spread over them (uint8)."""
    chunks = zip(mouths.points.split(CHUNK), mouths.windows.split(CHUNK), strict=True)
    with ThreadPoolExecutor(threads) as pool:
        masks, covered = zip(*pool.map(lambda chunk: _inside(face, *chunk), chunks), strict=True)
    return torch.cat(masks), torch.cat(covered)


def _inside(face: FaceModel, points: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    inner = to_patch(window_frame(face, points), points[:, rows(LIPS_INNER), :2])
    softness = SOFTNESS * (2 / REACH)  # a patch is about 0.8 of a crop's units wide
    mask = F.max_pool2d(polygon_masks([inner], WINDOW, softness), 3, 1, 1)
    covered = spread(windows.float() / 255, 1 - mask)
    return (255 * mask).byte(), (255 * covered).clamp(0, 255).byte()


def choose_pairs(mouths: MouthSet, face: FaceModel, seed: int) -> list[tuple[int, int, int]]:
    """List the examples as (kind, source, target); the target is the same mouth, another frame, or the lender's."""
    random, openness = torch.Generator().manual_seed(seed), lip_ratio(mouths.points)[:, 0]
    opened, footage = openness > OPEN_STILL, mouths.kinds == CLIP
    pairs = [(BY_HAND, n, n) for n in opened.nonzero()[:, 0].tolist()]
    for clip in mouths.groups[footage].unique().tolist():
        frames = ((mouths.groups == clip) & footage).nonzero()[:, 0].tolist()
        both = [(a, b) for a in frames for b in frames if opened[b] and openness[a] < SHUT * openness[b]]
        pairs += [(FRAMES, *both[n]) for n in torch.randperm(len(both), generator=random)[:PAIRS].tolist()]
    lenders = (opened & footage).nonzero()[:, 0]
    for n in (~footage).nonzero()[:, 0].tolist() if len(lenders) else []:
        drawn = lenders[torch.randint(len(lenders), (LENDERS,), generator=random)].tolist()
        pairs += [(LENT, n, lender) for lender in drawn]
    return pairs


@torch.no_grad()
def work_out(renderer: MiniRenderer, mouths: MouthSet, chosen: list[tuple[int, int, int]], threads: int) -> Examples:
    """Work out examples of a set, on the CPU.

    Args:
        renderer: Its face model and flow are used.
        mouths: The windows.
        chosen: From `choose_pairs`.
        threads: How many chunks are worked out at a time.
    """
    pairs = torch.tensor(chosen)
    order = pairs[:, 0].argsort(stable=True)  # a chunk is of one kind
    chunks = [part for kind in pairs[order].split(_lengths(pairs[order, 0])) for part in kind.split(CHUNK)]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda chunk: _examples(renderer, mouths, chunk), chunks))
    return Examples(*(torch.cat([getattr(part, field.name) for part in found]) for field in fields(Examples)))


def _lengths(kinds: Tensor) -> list[int]:
    return torch.unique_consecutive(kinds, return_counts=True)[1].tolist()


def _examples(renderer: MiniRenderer, mouths: MouthSet, pairs: Tensor) -> Examples:
    """Work out examples (P, 3) of one kind."""
    with torch.no_grad():
        kinds, source, target = pairs.unbind(1)
        kind, face = int(kinds[0]), renderer.face
        own, true = mouths.points[source], mouths.points[target]
        x_s, small = own, mouths.small[source].float() / 255
        shutting = None
        if kind != FRAMES:
            x_s = shut_points(face, own)
            shutting = closing_flow(own, x_s, pixel_grid(FLOW_SIZE, FLOW_SIZE)).permute(0, 3, 1, 2)
            small = sample(small, resize_flow(shutting.permute(0, 2, 3, 1), SEEN_SIZE, SEEN_SIZE))
        x_d = lend_opening(face, x_s, true) if kind == LENT else true
        warp = renderer.warp(small, x_s, x_d)
        frame_s, frame_d = (patch_frame(MOUTH, face.pose(x)) for x in (x_s, x_d))
        window = window_frame(face, own)

        def in_window(positions: Tensor) -> Tensor:
            if shutting is not None:
                positions = sample(shutting, positions).permute(0, 2, 3, 1)
            return to_patch(window, positions).permute(0, 3, 1, 2).half()

        points_d = patch_points(_enlarged(frame_d, MARGIN), GRID)
        points_t = inside_points(face, true, x_d, points_d) if kind == LENT else points_d
        corners = [row for polygon in MOUTH.polygons for row in rows(polygon)]
        return Examples(
            kinds=kinds,
            held_out=mouths.held_out[source],
            source=source,
            target=target,
            to_source=in_window(patch_points(_enlarged(frame_s, MARGIN), GRID)),
            to_warped=in_window(sample(warp.flow.permute(0, 3, 1, 2), points_d).permute(0, 2, 3, 1)),
            to_target=to_patch(window_frame(face, true), points_t).permute(0, 3, 1, 2).half(),
            light=sample(warp.light, points_d).half(),
            outlines_s=to_patch(frame_s, x_s[:, corners, :2]),
            outlines_d=to_patch(frame_d, x_d[:, corners, :2]),
            shown=shown_share(MOUTH, x_s, x_d),
        )


def lend_opening(face: FaceModel, points: Tensor, donor: Tensor) -> Tensor:
    """Open mouths as far and in the shape in which others are open; keypoints (T, K, 3) each."""
    pose, head = face.pose(points), face.to_head(points, face.pose(points))
    theirs = face.to_head(donor, face.pose(donor))
    shut = torch.zeros_like(face.lip_gaps(head))
    moved = face.move_lips(head, shut) - face.move_lips(theirs, shut)
    return points + pose.scale[:, None] * (moved @ pose.rotation)


def _enlarged(frame: Tensor, factor: float) -> Tensor:
    return torch.cat([factor * frame[:, :, :2], frame[:, :, 2:]], 2)
