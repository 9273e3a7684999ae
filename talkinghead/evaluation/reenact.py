"""Self-reenactment: a clip's first frame is the source, its other frames drive and are the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from liveportrait import Crop, Portrait, PortraitModel
from liveportrait.keypoints import transform_keypoints
from liveportrait.mini import MiniLivePortrait
from talkinghead.evaluation import metrics
from talkinghead.evaluation.first_face import check_first_face, encode_face
from talkinghead.evaluation.judged import TURN, Judged
from talkinghead.evaluation.landmark_motion import FACE_FIGURES, face_figures, turn_degrees
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.evaluation.networks import Networks, to_tensor
from talkinghead.face import CropFrame, FaceTracker, cut, landmarks_in_crop
from talkinghead.face.optical_flow import optical_flow
from talkinghead.face.quality import sharpness
from talkinghead.face.recognise import identity_similarity
from talkinghead.media.video import read_frames
from talkinghead.models import Models

EVERY = 3  # frames between two that are judged


def reenact_clip(clip: Path, models: Models, networks: Networks, every: int = EVERY, most: int | None = None) -> Judged:
    """Judge one clip.

    Args:
        clip: The clip.
        models: The model.
        networks: What looks at the pictures.
        every: One of so many frames is judged.
        most: Number of frames that are judged.

    Returns:
        For each judged frame, in the crop around the source's face: `pair_figures` of the model, and of the copied
        source ("copy"), the spline alone ("warp", `mini` only) and the keypoints alone ("points", models that read a
        dense residual); `face_figures`; similarity of the identity with the source; what the mouth lacks.

    Raises:
        VideoError: The first frame shows no face.
    """
    count = None if most is None else every * most + 1
    frames = [frame.picture for frame in islice(read_frames(clip), count)]
    tracks = list(FaceTracker().follow(frames))
    points = check_first_face(clip, tracks[0])
    portrait, place = encode_face(models, frames[0], points)
    own = place.points_to_crop(points)
    scene = Scene(
        models.portrait,
        portrait,
        place,
        cut(np.full_like(frames[0], 255), place, border="black")[..., :1] == 255,
        own,
        None if networks.recogniser is None else networks.recogniser.describe(cut(frames[0], place), own),
    )
    trackers, rows, pairs = {kind: FaceTracker() for kind in ("warp", "full")}, [], []
    for frame, track in islice(zip(frames, tracks, strict=True), every, None, every):
        if track is not None:
            row, pair = judge_frame(scene, trackers, frame, track, networks)
            rows.append(row)
            pairs.append(pair)
    return Judged.of(rows, {"faces": found_share(rows)}, pairs)


@dataclass(frozen=True)
class Scene:
    """A source that is animated.

    Attributes:
        model: The model.
        portrait: The source, encoded.
        place: Where its crop lies in the clip's pictures.
        inside: Which pixels of the crop the clip shows, shape (S, S, 1).
        own: The source's landmarks in the crop, shape (478, 3).
        person: Description of its face, shape (128,); None without a network that recognises faces.
    """

    model: PortraitModel
    portrait: Portrait
    place: CropFrame
    inside: NDArray[np.bool_]
    own: Points
    person: NDArray[np.float32] | None


def judge_frame(
    scene: Scene, trackers: dict[str, FaceTracker], frame: Picture, track: Points, networks: Networks
) -> tuple[dict[str, float], tuple[NDArray, NDArray]]:
    """Let the source follow one frame; return the figures, and the features of both crops for FID.

    Args:
        scene: The source.
        trackers: Find the face anew in what was rendered, by kind of rendering.
        frame: The driver's picture, (H, W, 3).
        track: Its landmarks, shape (478, 3).
        networks: What looks at the pictures.
    """
    place, real = scene.place, cut(frame, scene.place)
    truth, points = np.where(scene.inside, real, 0), place.points_to_crop(track)
    driving = Crop(to_tensor(real), torch.from_numpy(landmarks_in_crop(track, place))[None])
    box = metrics.mouth_box(points, truth.shape)
    row = {TURN: turn_degrees(scene.own, points), "transfer copy": float(metrics.landmark_distance(scene.own, points))}
    row["copy apd deg"] = face_figures(scene.own, points, len(truth))["apd deg"]
    mouths: dict[str, Picture] = {}
    found, picture, shown = None, truth, truth
    for kind, picture in renderings(scene.model, scene.portrait, driving):
        shown, prefix = np.where(scene.inside, picture, 0), "" if kind == "full" else f"{kind} "
        found = trackers[kind].track(picture) if kind in trackers else None
        figures = pair_figures((shown, truth), (shown[box], truth[box]))
        row |= {prefix + name: value for name, value in figures.items()}
        mouths[f"{prefix}mouth lpips"] = shown[box]
        if kind == "warp":
            row["transfer warp"] = np.nan if found is None else float(metrics.landmark_distance(found, points))
    looks, features = networks.compare(shown, truth)  # the full rendering, which comes last
    row |= networks.mouth_lpips(mouths, truth[box]) | looks | face_figures(found, points, len(truth))
    row |= metrics.mouth_oracles(shown, truth, points, box)
    row["sharpness"] = sharpness(shown[box]) / max(sharpness(truth[box]), 1e-6)
    if networks.recogniser is not None and scene.person is not None and found is not None:
        row["identity"] = identity_similarity(scene.person, networks.recogniser.describe(picture, found))
    return row, features


def found_share(rows: list[dict[str, float]]) -> float:
    """Return the share of frames in which a face was found anew."""
    return float(np.mean([not np.isnan(row[FACE_FIGURES[0]]) for row in rows])) if rows else float("nan")


def pair_figures(crops: tuple[Picture, Picture], mouths: tuple[Picture, Picture]) -> dict[str, float]:
    """Compare a generated crop with the real one, and the boxes around their mouths, without any network.

    Returns:
        L1 as a share of the range, PSNR in dB and SSIM of the crop, and of the mouth's box ("mouth").
    """
    return {
        prefix + name: figure(*pair)
        for prefix, pair in (("", crops), ("mouth ", mouths))
        for name, figure in (("l1", metrics.l1), ("psnr", metrics.psnr), ("ssim", metrics.ssim))
    }


def renderings(model: PortraitModel, portrait: Portrait, driving: Crop) -> Iterator[tuple[str, Picture]]:
    """Yield the source itself, the spline alone (embedded model), what keypoints alone give, and the full rendering.

    Keypoints alone are left out for models that read nothing else.
    """
    side = portrait.crop.image.shape[-1]
    yield "copy", to_picture(portrait.crop.image, side)
    driving = driving.to(portrait.x_c.device)
    x_d = transform_keypoints(portrait.x_c, model.extract(driving))
    if isinstance(model, MiniLivePortrait):
        yield "warp", to_picture(model.warp(portrait, x_d), side)
    points = to_picture(model.render(portrait, x_d), side)
    if not model.reads_dense_residual:
        yield "full", points
        return
    yield "points", points
    dense_residual = model.read_dense_residual(portrait.crop, driving, optical_flow)
    yield "full", to_picture(model.render(portrait, x_d, dense_residual), side)


def to_picture(crops: torch.Tensor, side: int) -> Picture:
    """(1, 3, S, S) float32 in [0, 1] → (side, side, 3) uint8."""
    if crops.shape[-1] != side:
        crops = F.interpolate(crops, (side, side), mode="bilinear", align_corners=False)
    return (crops[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().cpu().numpy()
