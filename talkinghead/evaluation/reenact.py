"""Self-reenactment: a clip's first frame is the source, its other frames drive and are the truth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from liveportrait import Crop, LivePortrait, Motion, Portrait, PortraitModel
from liveportrait.keypoints import euler_degrees, transform_keypoints
from liveportrait.mini import MiniLivePortrait
from liveportrait.training.perception import Features, Perception, load_perception
from talkinghead.errors import VideoError
from talkinghead.evaluation import metrics
from talkinghead.face import FaceTracker, cut, landmarks_in_crop, make_crop
from talkinghead.face.optical_flow import optical_flow
from talkinghead.media.video import read_frames

Picture = NDArray[np.uint8]
EVERY = 3  # frames between two that are judged
LOOKED_AT = 128  # pixels of a mouth box for LPIPS


def reenact_clip(clip: Path, name: str, perception: Path | None = None) -> dict[str, float]:
    """Judge one clip; the figures are means over its frames, with LPIPS of the mouth if its network is given."""
    model, looks = load_model(name), perception and load_looks(perception)
    frames = [frame.picture for frame in read_frames(clip)]
    tracks = list(FaceTracker().follow(frames))
    if tracks[0] is None:
        raise VideoError(f"{clip}: no face in the first frame; cut the clip so that it begins with one")
    crop, place = make_crop(frames[0], tracks[0])
    portrait = model.encode(crop)
    inside = cut(np.full_like(frames[0], 255), place, border="black")[..., 0] == 255
    trackers = {kind: FaceTracker() for kind in ("warp", "full")}
    own, rows = place.points_to_crop(tracks[0]), []
    for frame, track in list(zip(frames, tracks, strict=True))[EVERY::EVERY]:
        if track is None:
            continue
        truth = np.where(inside[..., None], cut(frame, place), 0)
        driving = Crop(to_tensor(cut(frame, place)), torch.from_numpy(landmarks_in_crop(track, place))[None])
        points = place.points_to_crop(track[:, :2])
        box = metrics.mouth_box(points, truth.shape)
        row = {"transfer copy": float(metrics.landmark_distance(own, points))}
        row["copy apd deg"] = motion_errors(own, points, driving)["apd deg"]
        real = looks and seen(looks, truth[box])
        for kind, picture in renderings(model, portrait, driving):
            shown = np.where(inside[..., None], picture, 0)
            row |= compare(kind, shown, truth, box)
            if looks and real:
                row[f"{kind} lpips"] = float(looks.distance(seen(looks, shown[box]), real))
            found = trackers[kind].track(picture) if kind in trackers else None
            if kind in trackers:
                row[f"transfer {kind}"] = np.nan if found is None else float(metrics.landmark_distance(found, points))
            if kind == "full":
                row |= metrics.mouth_oracles(shown, truth, points, box)
                row |= motion_errors(found, points, driving)
        rows.append(row)
    names = rows[0]
    return {name: float(np.nanmean([row[name] for row in rows])) for name in names}


@cache
def load_model(name: str) -> PortraitModel:
    """Load a model once."""
    return LivePortrait.from_pretrained(name)


@cache
def load_looks(file: Path) -> Perception:
    """Load the network of LPIPS once."""
    return load_perception(file)


def seen(looks: Perception, picture: Picture) -> Features:
    """Let the network of LPIPS look at a mouth, at the same size whatever the crop's."""
    with torch.no_grad():
        return looks.features(F.interpolate(to_tensor(picture), (LOOKED_AT, LOOKED_AT), mode="area"))


def renderings(model: PortraitModel, portrait: Portrait, driving: Crop) -> Iterator[tuple[str, Picture]]:
    """Yield the source itself, the spline alone (embedded model), what keypoints alone give, and the full rendering."""
    side = portrait.crop.image.shape[-1]
    yield "copy", to_picture(portrait.crop.image, side)
    x_d = transform_keypoints(portrait.x_c, model.extract(driving))
    if isinstance(model, MiniLivePortrait):
        yield "warp", to_picture(model.warp(portrait, x_d), side)
    yield "points", to_picture(model.render(portrait, x_d), side)
    dense_residual = (
        model.read_dense_residual(portrait.crop, driving, optical_flow) if model.reads_dense_residual else None
    )
    yield "full", to_picture(model.render(portrait, x_d, dense_residual), side)


def compare(kind: str, shown: Picture, truth: Picture, box: tuple[slice, slice]) -> dict[str, float]:
    """Picture figures of the crop and of the mouth box."""
    mouth, real = shown[box], truth[box]
    figures = {
        f"{kind} psnr": metrics.psnr(shown, truth),
        f"{kind} mouth": metrics.psnr(mouth, real),
        f"{kind} ssim": metrics.ssim(shown, truth),
        f"{kind} l1": metrics.l1(shown, truth),
    }
    if kind == "full":
        figures["sharpness"] = metrics.sharpness(mouth) / max(metrics.sharpness(real), 1e-6)
    return figures


def motion_errors(found: NDArray[np.float32] | None, points: NDArray[np.float32], driving: Crop) -> dict[str, float]:
    """Compare the landmarks found anew on a rendered crop with the driver's.

    The embedded model reads pose and expression from landmarks, whatever model rendered.

    Args:
        found: Landmarks of the rendered crop in pixels, shape (478, 3), or None.
        points: The driver's in the same crop, shape (478, 2).
        driving: The driver's crop.

    Returns:
        Lip distance over the inter-ocular distance; AED, mean absolute expression difference in units of the head;
        APD, mean absolute difference of the pose angles in degrees. NaN where no face was found.
    """
    if found is None:
        return dict.fromkeys(("lip distance", "aed", "apd deg"), np.nan)
    mine, real = landmarks_motion(found, driving.image.shape[-1]), load_model("mini").extract(driving)
    return {"lip distance": float(metrics.lip_distance(found, points))} | motion_distance(mine, real)


def landmarks_motion(points: NDArray[np.float32], side: int) -> Motion:
    """Read pose and expression from landmarks in pixels, shape (478, 3), of pictures whose longer side is given."""
    scaled = np.concatenate([points[:, :2] / side * 2 - 1, points[:, 2:] / side * 2], 1)
    return load_model("mini").extract(Crop(torch.zeros(1, 3, 1, 1), torch.from_numpy(scaled)[None].float()))


def motion_distance(mine: Motion, real: Motion) -> dict[str, float]:
    """Return the AED and the APD of one frame's motion, see `motion_errors`."""
    angles = [torch.cat(euler_degrees(motion.rotation)) for motion in (mine, real)]
    return {
        "aed": float((mine.expression - real.expression).abs().mean()),
        "apd deg": float((angles[0] - angles[1]).abs().mean()),
    }


def to_tensor(picture: Picture) -> torch.Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def to_picture(crops: torch.Tensor, side: int) -> Picture:
    """(1, 3, S, S) float32 in [0, 1] → (side, side, 3) uint8."""
    if crops.shape[-1] != side:
        crops = F.interpolate(crops, (side, side), mode="bilinear", align_corners=False)
    return (crops[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()
