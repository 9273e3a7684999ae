"""Stitching: how much the border of the crop and the shoulders change while the head follows somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from liveportrait import Motion
from liveportrait.mini.regions import JAW
from talkinghead.driver.driver import driving_rules
from talkinghead.evaluation.first_face import check_first_face, encode_face, first_face
from talkinghead.evaluation.judged import Judged
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.evaluation.reenact import to_picture
from talkinghead.face import FaceTracker, frame_face
from talkinghead.face.crop import DRIVING_CROP, cut_crop
from talkinghead.face.landmarks import PersonFinder
from talkinghead.media.video import read_frames
from talkinghead.models import Models
from talkinghead.options import DriveOptions

BORDER = 0.06
"""Width of the border, in units of the crop's side."""

BELOW_CHIN = 0.05
"""How far below the chin the shoulders begin, in units of the crop's side."""


def stitch_clip(source: Path, driver: Path, models: Models, every: int, most: int) -> Judged:
    """Let the first frame of a clip follow another one with stitching and without.

    Args:
        source: A clip.
        driver: A clip of somebody else.
        models: The model.
        every: One of so many frames is rendered.
        most: Number of frames that are rendered.

    Returns:
        For each frame the mean absolute difference from the portrait rendered at rest, in levels of 255, at the crop's
        border and on the shoulders, with stitching and ("free") without it; models without S always stitch. `rest`:
        difference of the portrait at rest from the source, what rendering alone costs.

    Raises:
        VideoError: A first frame shows no face.
    """
    model, (picture, points) = models.portrait, first_face(source)
    portrait, place = encode_face(models, picture, points)
    side = portrait.crop.image.shape[-1]
    given, rest = to_picture(portrait.crop.image, side), to_picture(model.render(portrait, portrait.x_s), side)
    areas = {"border": border_of(side), "shoulders": shoulders_of(given, place.points_to_crop(points))}
    motions = list(driving_motions(driver, models, every, most + 1))
    kinds = {"": True, "free ": False} if model.needs_landmarks and not model.extracts_from_landmarks else {"": True}
    rows = []
    for motion in motions[1:]:
        row = {}
        for kind, stitching in kinds.items():
            rules = driving_rules(replace(DriveOptions(), stitching=stitching))
            x_d = model.driving_keypoints(portrait, motion, motions[0], rules)
            shown = to_picture(model.render(portrait, x_d), side)
            row |= {f"{kind}{area}": changed(shown, rest, where) for area, where in areas.items()}
        rows.append(row)
    return Judged.of(rows, {f"rest {area}": changed(rest, given, where) for area, where in areas.items()}, [])


def changed(shown: Picture, real: Picture, where: NDArray[np.bool_]) -> float:
    """Return the mean absolute difference of two pictures in an area, in levels of 255; NaN where it is empty."""
    difference = np.abs(shown.astype(np.float32) - real).mean(-1)
    return float(difference[where].mean()) if where.any() else float("nan")


def border_of(side: int) -> NDArray[np.bool_]:
    """Return the band along the edges of a crop, shape (S, S)."""
    width = round(BORDER * side)
    inner = np.zeros((side, side), bool)
    inner[width:-width, width:-width] = True
    return ~inner


def shoulders_of(picture: Picture, points: Points) -> NDArray[np.bool_]:
    """Return where a crop (S, S, 3) shows the person below the chin, from landmarks in it, shape (478, 3)."""
    person = PersonFinder().find(picture) > 0.5
    low = points[list(JAW), 1].max() + BELOW_CHIN * len(picture)
    person[: max(int(low), 0)] = False
    return person


def driving_motions(clip: Path, models: Models, every: int, most: int) -> Iterator[Motion]:
    """Extract the motion of one of so many frames of a clip, in a crop that stays where its first face was.

    Raises:
        VideoError: The first frame shows no face.
    """
    tracker, place = FaceTracker(), None
    for number, frame in enumerate(islice(read_frames(clip), (most - 1) * every + 1)):
        points = tracker.track(frame.picture)
        if place is None:
            rule = DRIVING_CROP.for_model(models.portrait.crop_scale)
            place = frame_face(models.crop_points(frame.picture, check_first_face(clip, points)), rule)
        if points is not None and number % every == 0:
            with torch.inference_mode():
                yield models.portrait.extract(cut_crop(frame.picture, place, points).to(models.device))
