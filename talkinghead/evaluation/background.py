"""How still the background of an animated picture is, and how much the edge of the person flickers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from liveportrait import Crop
from liveportrait.keypoints import transform_keypoints
from talkinghead.evaluation.first_face import check_first_face
from talkinghead.face import FaceTracker, cut, landmarks_in_crop, make_crop
from talkinghead.face.landmarks import PersonFinder
from talkinghead.face.layers import separate
from talkinghead.face.optical_flow import optical_flow
from talkinghead.media.image import Picture
from talkinghead.media.video import read_frames
from talkinghead.models import embedded_model

APART = 1 / 32
"""Distance from the person at which a pixel counts as background, relative to the side."""

LONGEST = 60
"""Number of a clip's frames that are judged."""

BAND = 3
"""Half the width of the band around the person's edge, in pixels."""


def judge_background(clip: Path) -> dict[str, float]:
    """Drive a clip's first frame with its later frames by `mini`, with a still background and without.

    Returns:
        `changes` of the real clip, of the rendered one without layers and with them; and whether there are layers.

    Raises:
        VideoError: The first frame shows no face.
    """
    model, finder = embedded_model("mini"), PersonFinder()
    frames = [frame.picture for frame in islice(read_frames(clip), LONGEST)]
    tracks = list(FaceTracker().follow(frames))
    points = check_first_face(clip, tracks[0])
    crop, place = make_crop(frames[0], points)
    pictures = {"real": [], "without": [], "with": []}
    layers = separate(cut(frames[0], place), finder)
    portrait = model.encode(crop)
    layered = replace(portrait, crop=replace(crop, layers=layers))
    renderers = {"without": model.picture_renderer(portrait), "with": model.picture_renderer(layered)}
    for frame, track in zip(frames, tracks, strict=True):
        if track is None:
            continue
        pictures["real"].append(cut(frame, place))
        driving = Crop(crop.image, torch.from_numpy(landmarks_in_crop(track, place))[None])
        x_d = transform_keypoints(portrait.x_c, model.extract(driving))
        for kind, render in renderers.items():
            pictures[kind].extend(render(x_d, None))
    inside = cut(np.full_like(frames[0], 255), place, border="black")[..., 0] == 255
    figures = {"has layers": float(layers is not None)}
    for kind, shown in pictures.items():
        figures |= {f"{kind} {name}": value for name, value in changes(shown, inside, finder).items()}
    return figures


def changes(pictures: Iterable[Picture], inside: NDArray[np.bool_], finder: PersonFinder) -> dict[str, float]:
    """Measure how much a video of one person changes from frame to frame, in levels of 255.

    Args:
        pictures: The frames, RGB, shape (S, S, 3).
        inside: Where they show a picture, shape (S, S).
        finder: Finds the person in every frame.

    Returns:
        `background`: mean absolute change of pixels that show the background in both frames. `edge`: mean absolute
        change in a band around the person's edge after alignment by optical flow.
    """
    background, edge = [], []
    found = ((picture, finder.find(picture)) for picture in pictures)
    for (before, person), (now, moved) in pairwise(found):
        apart = round(APART * len(now))
        away = cv2.dilate(np.maximum(person, moved), np.ones((2 * apart + 1, 2 * apart + 1))) < 0.1
        aligned, change = _align(before, now), np.abs(now.astype(np.float32) - before).mean(-1)
        band = _edge(moved) & inside
        if (away & inside).any():
            background.append(change[away & inside].mean())
        if band.any():
            edge.append(np.abs(now - aligned).mean(-1)[band].mean())
    return {
        name: float(np.mean(values)) if values else np.nan
        for name, values in (("background", background), ("edge", edge))
    }


def _edge(person: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the band around the outline of a person."""
    around = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    return cv2.morphologyEx((person > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, around) > 0


def _align(before: Picture, now: Picture) -> NDArray[np.float32]:
    """Warp a frame to the next one by optical flow."""
    grey = [torch.from_numpy(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY))[None].float() / 255 for each in (now, before)]
    flow = optical_flow(*grey)[0].permute(1, 2, 0).numpy()
    grid = np.stack(np.meshgrid(*map(np.arange, now.shape[1::-1])), -1)
    places = (grid + flow).astype(np.float32)
    return cv2.remap(before.astype(np.float32), places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload, return-value]
