"""The face of a clip's first frame, which the evaluations animate."""

from __future__ import annotations

from pathlib import Path

from talkinghead.errors import VideoError
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.face import FaceTracker
from talkinghead.media.video import read_frames


def first_face(clip: Path) -> tuple[Picture, Points]:
    """Return a clip's first frame, (H, W, 3), and its face-mesh points in pixels, (478, 3).

    Raises:
        VideoError: It shows no face.
    """
    picture = next(iter(read_frames(clip))).picture
    return picture, check_first_face(clip, FaceTracker().track(picture))


def check_first_face(clip: Path, points: Points | None) -> Points:
    """Return the points that were found in a clip's first frame.

    Raises:
        VideoError: There are none.
    """
    if points is None:
        raise VideoError(f"{clip}: no face in the first frame; cut the clip so that it begins with one")
    return points
