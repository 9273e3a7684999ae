"""Judge videos that any program has made, against the real ones: no model is asked, only what the pictures show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from liveportrait.mini.face_model import FaceModel, embedded_face_model
from liveportrait.mini.regions import KEYPOINTS, LEFT_EYE_CORNERS, LEFT_IRIS, RIGHT_EYE_CORNERS, RIGHT_IRIS, rows
from liveportrait.mini.speech import EYEBALL_RADIUS
from liveportrait.training.perception import Perception
from talkinghead.errors import VideoError
from talkinghead.evaluation import metrics
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.evaluation.reenact import landmarks_motion, load_looks, motion_distance, seen
from talkinghead.evaluation.speak import lip_figures
from talkinghead.face import FaceTracker, cut, frame_face
from talkinghead.face.crop import SOURCE_CROP
from talkinghead.media.video import probe_video, read_frames

CROP = replace(SOURCE_CROP, size=256)
"""What is compared: the real face's surroundings, as large as the crop of LivePortrait."""


def pairs_in(generated: Path, real: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the two files, or the files of the same name without suffix in two folders.

    Raises:
        VideoError: There is no pair.
    """
    if generated.is_file() and real.is_file():
        yield generated, real
        return
    if not (generated.is_dir() and real.is_dir()):
        raise VideoError(f"{generated}, {real}: not two files or two folders; give two of a kind")
    originals = {path.stem: path for path in sorted(real.iterdir()) if path.is_file()}
    found = [(path, originals[path.stem]) for path in sorted(generated.iterdir()) if path.stem in originals]
    if not found:
        raise VideoError(f"{generated}: no file has the name of one in {real}; name them alike")
    yield from found


def judge_file(generated: Path, real: Path, perception: Path | None = None) -> dict[str, float]:
    """Compare a generated video with the real one, frame by frame.

    Args:
        generated: The video to judge.
        real: What it should show; of the same frame rate and size.
        perception: Network of `prepare.py perception`, for LPIPS of crop and mouth.

    Returns:
        L1 (share of the range), PSNR in dB and SSIM of the crop around the real face; PSNR of the mouth's box; LPIPS of
        both with a network. From landmarks found anew in both videos: AED (mean absolute difference of the expression,
        in units of the head), APD and gaze error in degrees, the distances of landmarks and lips over that of the eyes;
        correlation, best lag in frames and amplitude of the lip opening; share of frames that show a face.

    Raises:
        VideoError: The videos differ in frame rate or size, or the real one shows no face.

    Source: Guo et al., "LivePortrait", 2024, Sec. 4.1, for AED, APD and the gaze error.
    """
    looks = perception and load_looks(perception)
    trackers, rows_, faces = (FaceTracker(), FaceTracker()), [], []
    for pair in frame_pairs(generated, real):
        found, points = (tracker.track(picture) for tracker, picture in zip(trackers, pair, strict=True))
        if points is None:
            continue
        row = picture_figures(*pair, points, looks)
        if found is not None:
            row |= face_figures(found, points, max(pair[1].shape[:2]))
            faces.append((found, points))
        rows_.append(row)
    if not rows_:
        raise VideoError(f"{real}: shows no face; give videos of one person")
    names = dict.fromkeys(name for row in rows_ for name in row)
    figures = {name: float(np.nanmean([row[name] for row in rows_ if name in row])) for name in names}
    return figures | _lip_figures(faces) | {"faces": len(faces) / len(rows_)}


def frame_pairs(generated: Path, real: Path) -> Iterator[tuple[Picture, Picture]]:
    """Yield the pictures of two videos together, to the end of the shorter one.

    Raises:
        VideoError: They differ in frame rate or size.
    """
    rates = [probe_video(file).fps for file in (generated, real)]
    if rates[0] != rates[1]:
        said = " and ".join(f"{float(rate):g}" for rate in rates)
        raise VideoError(f"{generated}, {real}: have {said} frames a second; convert one of them")
    for shown, truth in zip(read_frames(generated), read_frames(real), strict=False):
        if shown.picture.shape != truth.picture.shape:
            sizes = " and ".join(f"{frame.picture.shape[1]}×{frame.picture.shape[0]}" for frame in (shown, truth))
            raise VideoError(f"{generated}, {real}: show {sizes} pixels; scale one of them")
        yield shown.picture, truth.picture


def picture_figures(shown: Picture, truth: Picture, points: Points, looks: Perception | None) -> dict[str, float]:
    """Compare the crops around the real face, and the boxes around its mouth."""
    place, box = frame_face(points, CROP), metrics.mouth_box(points, truth.shape)
    crops, mouths = (cut(shown, place), cut(truth, place)), (shown[box], truth[box])
    figures = {
        "l1": metrics.l1(*crops),
        "psnr": metrics.psnr(*crops),
        "ssim": metrics.ssim(*crops),
        "mouth psnr": metrics.psnr(*mouths),
    }
    for name, (mine, true) in {"lpips": crops, "mouth lpips": mouths}.items() if looks else ():
        figures[name] = float(looks.distance(seen(looks, mine), seen(looks, true)))  # type: ignore[union-attr]
    return figures


def face_figures(found: Points, points: Points, side: int) -> dict[str, float]:
    """Compare landmarks in pixels, shape (478, 3), of pictures whose longer side is given."""
    mine, real = (landmarks_motion(each, side) for each in (found, points))
    gaze = [gaze_degrees(each) for each in (found, points)]
    return motion_distance(mine, real) | {
        "gaze deg": float(np.abs(gaze[0] - gaze[1]).mean()),
        "landmarks": float(metrics.landmark_distance(found, points)),
        "lips": float(metrics.lip_distance(found, points)),
    }


def gaze_degrees(points: Points) -> np.ndarray:
    """Estimate where each eye looks in the head, (right, down) in degrees, shape (2, 2), from landmarks (478, 3).

    An iris is as far from the middle of its eye's corners as an eyeball of 24 mm turns it.
    """
    face = embedded_face_model()
    head = _in_head(face, torch.from_numpy(np.asarray(points, np.float32)[list(KEYPOINTS)])[None])[0]
    shifts = [
        head[rows(iris)].mean(0) - head[rows(corners)].mean(0) - _usual(face, iris, corners)
        for iris, corners in ((LEFT_IRIS, LEFT_EYE_CORNERS), (RIGHT_IRIS, RIGHT_EYE_CORNERS))
    ]
    return np.degrees(np.arcsin(np.clip(torch.stack(shifts)[:, :2].numpy() / EYEBALL_RADIUS, -1, 1)))


def _usual(face: FaceModel, iris: tuple[int, ...], corners: tuple[int, ...]) -> torch.Tensor:
    return face.mean[rows(iris)].mean(0) - face.mean[rows(corners)].mean(0)


def _in_head(face: FaceModel, points: torch.Tensor) -> torch.Tensor:
    return face.to_head(points, face.pose(points))


def _lip_figures(faces: list[tuple[Points, Points]]) -> dict[str, float]:
    if len(faces) < metrics.MIN_FRAMES:
        return {}
    figures = lip_figures(*(np.stack(side) for side in zip(*faces, strict=True)))
    return {"lip r": figures["correlation"], "lag": figures["lag"], "amplitude": figures["amplitude"]}
