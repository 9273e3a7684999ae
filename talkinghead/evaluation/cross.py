"""Cross-reenactment: one person's picture follows another person's clip; there is no true picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import talkinghead
from talkinghead.errors import VideoError
from talkinghead.evaluation.files import CROP
from talkinghead.evaluation.judged import Judged
from talkinghead.evaluation.landmark_motion import face_figures
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.evaluation.networks import Networks
from talkinghead.evaluation.reenact import found_share
from talkinghead.face import FaceTracker, cut, frame_face
from talkinghead.face.recognise import identity_similarity
from talkinghead.media.picture_formats import PICTURE_ENDINGS
from talkinghead.media.video import first_picture, read_frames, read_picture_or_video
from talkinghead.models import Models

ANCHORED = ("aed", "apd deg", "gaze deg")
"""The figures of `face_figures` that do not depend on the shape of a face or its place in the picture."""


def cross_pairs(clips: list[Path], sources: Path | None) -> dict[Path, Path]:
    """Give each clip a file that shows somebody else: the pictures of a folder in turn, or the next clip.

    Raises:
        VideoError: The folder holds no pictures, or there is only one clip.
    """
    if sources is not None:
        everything = sorted(sources.iterdir()) if sources.is_dir() else []
        pictures = [path for path in everything if path.suffix.lower() in PICTURE_ENDINGS]
        if not pictures:
            raise VideoError(f"{sources}: no pictures here; give a folder of portraits")
        return dict(zip(clips, cycle(pictures), strict=False))
    if len(clips) < 2:
        raise VideoError(f"{clips[0].parent}: only one clip, so nobody else to animate; give --sources")
    return dict(zip(clips, clips[1:] + clips[:1], strict=True))


def cross_clip(
    source: Path, driver: Path, models: Models, networks: Networks, seconds: float, every: int, relative: bool
) -> Judged:
    """Let a picture follow a clip, as `talkinghead reenact` does, and judge the pictures.

    Args:
        source: A picture, or a clip whose first frame is taken.
        driver: A clip of somebody else.
        models: The model.
        networks: What looks at the pictures.
        seconds: How much of the clip is followed.
        every: One of so many frames is judged.
        relative: Whether the driver's changes are followed, or its own pose and expression.

    Returns:
        For each judged frame AED, APD and gaze error against the driver's frame (see `face_figures`), and the
        similarity of the identity with the source; features of the generated crops and of the driver's for FID.

    Raises:
        VideoError: The source shows no face.
    """
    portrait = first_picture(read_picture_or_video(source))
    drive = replace(talkinghead.DriveOptions(), relative=relative, trim=f"0:{seconds:g}")
    video = talkinghead.reenact(portrait, driver, options=talkinghead.Options(drive=drive), model=models)
    own = FaceTracker().track(portrait)
    if own is None:
        raise VideoError(f"{source}: shows no face; leave it out")
    known = networks.recogniser and networks.recogniser.describe(portrait, own)
    rows, features = [], []
    for shown, truth in pictures_and_faces(iter(video), driver, every):
        (picture, found), (real, points) = shown, truth
        if points is None:
            continue
        figures = face_figures(found, points, max(real.shape[:2]))
        row = {name: figures[name] for name in ANCHORED}
        if found is not None:
            if networks.recogniser and known is not None:
                row["identity"] = identity_similarity(known, networks.recogniser.describe(picture, found))
            features.append((networks.features(_crop(picture, found)), networks.features(_crop(real, points))))
        rows.append(row)
    return Judged.of(rows, {"faces": found_share(rows)}, features)


def pictures_and_faces(
    video: Iterator[Picture], driver: Path, every: int
) -> Iterator[tuple[tuple[Picture, Points | None], tuple[Picture, Points | None]]]:
    """Yield generated pictures and the driver's frames with their faces' landmarks, one of so many."""
    trackers = FaceTracker(), FaceTracker()
    pairs = zip(video, (frame.picture for frame in read_frames(driver)), strict=False)
    for shown, real in islice(pairs, 0, None, every):
        yield (shown, trackers[0].track(shown)), (real, trackers[1].track(real))


def _crop(picture: Picture, points: Points) -> Picture:
    return cut(picture, frame_face(points, CROP))
