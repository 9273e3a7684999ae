"""The face of a clip's first frame, which the evaluations animate."""

from __future__ import annotations

from pathlib import Path

from liveportrait import Portrait
from talkinghead.errors import VideoError
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.face import CropFrame, FaceTracker, frame_face
from talkinghead.face.crop import SOURCE_CROP
from talkinghead.media.video import read_frames
from talkinghead.models import Models
from talkinghead.source.image import encode


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


def encode_face(models: Models, picture: Picture, points: Points) -> tuple[Portrait, CropFrame]:
    """Encode the face of a picture in the crop that commands make by default; also return the crop's place.

    Args:
        models: The model.
        picture: (H, W, 3).
        points: The face's mesh in it, (478, 3).
    """
    rule = SOURCE_CROP.for_model(models.portrait.crop_scale)
    place = frame_face(models.crop_points(picture, points, still=True), rule)
    return encode(picture, place, points, models), place
