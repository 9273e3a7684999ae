"""Edited versions of stills, so that training sees them with other poses and expressions as well."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from liveportrait.mini.regions import KEYPOINTS
from talkinghead.driver.options import EditOptions
from talkinghead.errors import PortraitError
from talkinghead.face.landmarks import FaceMesh
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.preview import Editor

SPREADS = {"eyebrow": 0.7, "gaze_x": 15, "gaze_y": 8, "pitch": 12, "yaw": 20, "roll": 12, "move_x": 0.2, "move_y": 0.2}
"""Sliders that are drawn uniformly, each between minus and plus its value."""
EYES = (None, 0.0, 0.1, 0.25, 0.35)
LIPS = (None, 0.0, 0.0, 0.1, 0.2, 0.3, 0.45, 0.6)
"""Values of openness from which that of eyes and lips is drawn; None leaves it as in the still."""


class StillEditor:
    """Edits stills at random, and finds the landmarks of the results.

    Args:
        models: The embedded model.
        count: Versions of each still.
    """

    def __init__(self, models: Models, count: int) -> None:
        self.models, self.count, self.mesh = models, count, FaceMesh()

    def versions(self, picture: Picture, seed: str) -> Iterator[tuple[Picture, Tensor]]:
        """Yield edited versions of a crop; those in which no face is found are left out.

        Args:
            picture: Square crop around a face, RGB, shape (S, S, 3), uint8.
            seed: Seed of the random edits; the same seed gives the same versions.

        Yields:
            The edited crop, and its landmarks KEYPOINTS, shape (162, 3), ±1 at the crop's edges.
        """
        try:
            editor = Editor(picture, model=self.models)
        except PortraitError:
            return
        draw = random.Random(seed)
        self.mesh.restart()
        for _ in range(self.count):
            edited = editor.render(draw_edit(draw))
            self.mesh.track(edited)  # starts from the version before, so it only comes near
            points = self.mesh.track(edited)
            if points is not None:
                yield edited, _in_crop(points[list(KEYPOINTS)], len(edited))


def draw_edit(draw: random.Random) -> EditOptions:
    """Draw a pose and an expression."""
    uniform = {name: draw.uniform(-most, most) for name, most in SPREADS.items()}
    smile = min(max(draw.gauss(0, 0.4), -1), 1)
    zoom = draw.uniform(0.92, 1.08)
    return replace(EditOptions(smile, zoom=zoom, eyes_open=draw.choice(EYES), lips_open=draw.choice(LIPS)), **uniform)


def _in_crop(points: np.ndarray, side: int) -> Tensor:
    """Convert landmarks (K, 3) in pixels to a crop's units, ±1 at its edges."""
    found = torch.from_numpy(points).float() / (side / 2)
    found[:, :2] += 1 / side - 1
    return found
