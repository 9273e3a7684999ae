"""Judge videos that any program has made, against the real ones: no model is asked, only what the pictures show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import VideoError
from talkinghead.evaluation import metrics
from talkinghead.evaluation.judged import Judged
from talkinghead.evaluation.landmark_motion import face_figures
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.evaluation.networks import CROP_SIDE, Networks
from talkinghead.evaluation.reenact import found_share, pair_figures
from talkinghead.evaluation.speak import lip_figures
from talkinghead.face import FaceTracker, cut, frame_face
from talkinghead.face.crop import SOURCE_CROP
from talkinghead.face.recognise import identity_similarity
from talkinghead.media.video import probe_video, read_frames

CROP = replace(SOURCE_CROP, size=CROP_SIDE)
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


def judge_file(generated: Path, real: Path, networks: Networks) -> Judged:
    """Compare a generated video with the real one, frame by frame.

    Args:
        generated: The video to judge.
        real: What it should show; of the same frame rate and size.
        networks: What looks at the pictures.

    Returns:
        See `judge_pictures`.

    Raises:
        VideoError: The videos differ in frame rate or size, or the real one shows no face.
    """
    judged = judge_pictures(frame_pairs(generated, real), networks)
    if not judged.frames:
        raise VideoError(f"{real}: shows no face; give videos of one person")
    return judged


def judge_pictures(pairs: Iterator[tuple[Picture, Picture]], networks: Networks) -> Judged:
    """Compare generated pictures with the real ones; where the real one shows no face, a pair is left out.

    Returns:
        For each frame `pair_figures` of the crop around the real face, LPIPS of crop and mouth, `face_figures` and the
        similarity of the identity; correlation, best lag in frames and amplitude of the lip opening, and the share of
        frames that show a face.
    """
    trackers, rows, faces, features = (FaceTracker(), FaceTracker()), [], [], []
    for pair in pairs:
        found, points = (tracker.track(picture) for tracker, picture in zip(trackers, pair, strict=True))
        if points is None:
            continue
        row, seen = picture_figures(*pair, points, networks)
        row |= face_figures(found, points, max(pair[1].shape[:2]))
        if found is not None:
            faces.append((found, points))
            if networks.recogniser:
                described = (networks.recogniser.describe(*each) for each in zip(pair, faces[-1], strict=True))
                row["identity"] = identity_similarity(*described)
        rows.append(row)
        features.append(seen)
    return Judged.of(rows, _lip_figures(faces) | {"faces": found_share(rows)}, features) if rows else Judged()


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


def picture_figures(
    shown: Picture, truth: Picture, points: Points, networks: Networks
) -> tuple[dict[str, float], tuple[NDArray, NDArray]]:
    """Compare the crops around the real face, and the boxes around its mouth; also return the features for FID."""
    place, box = frame_face(points, CROP), metrics.mouth_box(points, truth.shape)
    crops, mouths = (cut(shown, place), cut(truth, place)), (shown[box], truth[box])
    looks, features = networks.compare(*crops)
    return pair_figures(crops, mouths) | looks | networks.mouth_lpips({"mouth lpips": mouths[0]}, mouths[1]), features


def _lip_figures(faces: list[tuple[Points, Points]]) -> dict[str, float]:
    if len(faces) < metrics.MIN_FRAMES:
        return {}
    figures = lip_figures(*(np.stack(side) for side in zip(*faces, strict=True)))
    return {"lip r": figures["correlation"], "lag": figures["lag"], "amplitude": figures["amplitude"]}
