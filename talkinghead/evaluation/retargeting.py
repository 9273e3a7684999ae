"""Eye and lip retargeting: how far eyes and lips open when a certain openness is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from liveportrait import Crop, Motion, Portrait
from liveportrait.sliders import Sliders
from talkinghead.evaluation.first_face import encode_face, first_face
from talkinghead.evaluation.judged import Judged
from talkinghead.evaluation.metrics import Picture
from talkinghead.evaluation.networks import to_tensor
from talkinghead.evaluation.reenact import to_picture
from talkinghead.face import landmarks_in_crop
from talkinghead.face.crop import CropFrame
from talkinghead.models import Models

ASKED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Openness that is asked for, height over width."""

PARTS: dict[str, tuple[Callable[[float], Sliders], Callable[[Motion], torch.Tensor | None]]] = {
    "eyes": (lambda ratio: Sliders(eye_ratio=ratio), lambda motion: motion.eye_ratio),
    "lips": (lambda ratio: Sliders(lip_ratio=ratio), lambda motion: motion.lip_ratio),
}
"""What is opened: how it is asked for, and how it is read from a picture's motion."""


def retarget_clip(clip: Path, models: Models) -> Judged:
    """Open and close the eyes and the lips of a clip's first frame.

    Returns:
        For each openness that is asked for the one that is reached, measured on landmarks found anew (for official
        models on the scale of their retargeting networks); for eyes and lips the mean absolute error, and the slope of
        the reached over the asked openness, 1 at best.

    Raises:
        VideoError: The first frame shows no face.
    """
    portrait = encode_face(models, *first_face(clip))[0]
    figures: dict[str, float] = {}
    for part, (sliders, openness) in PARTS.items():
        reached = [_reached(models, portrait, sliders(asked), openness) for asked in ASKED]
        figures |= {f"{part} at {asked:g}": value for asked, value in zip(ASKED, reached, strict=True)}
        figures |= {f"{part} {kind}": value for kind, value in compare_openness(ASKED, reached).items()}
    return Judged(clip=figures)


def compare_openness(asked: tuple[float, ...], reached: list[float]) -> dict[str, float]:
    """Return the mean absolute error, and the slope of the line through reached over asked; NaN where unknown."""
    known = [(a, b) for a, b in zip(asked, reached, strict=True) if not np.isnan(b)]
    if len(known) < 2:
        return {"error": float("nan"), "slope": float("nan")}
    x, y = np.array(known).T
    return {"error": float(np.abs(y - x).mean()), "slope": float(np.polyfit(x, y, 1)[0])}


def _reached(
    models: Models, portrait: Portrait, sliders: Sliders, openness: Callable[[Motion], torch.Tensor | None]
) -> float:
    """Render an edited face and measure it; NaN where no face is found."""
    model, side = models.portrait, portrait.crop.image.shape[-1]
    motion = _motion_in(to_picture(model.render(portrait, model.edit(portrait, sliders)), side), models)
    ratio = None if motion is None else openness(motion)
    return float("nan") if ratio is None else float(ratio.mean())


def _motion_in(picture: Picture, models: Models) -> Motion | None:
    faces = models.faces.detect(picture, thorough=False)
    if not faces:
        return None
    side = len(picture)
    points = max(faces, key=lambda face: face.size).landmarks
    whole = CropFrame(side, np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    landmarks = torch.from_numpy(landmarks_in_crop(points, whole))[None]
    return models.portrait.extract(Crop(to_tensor(picture), landmarks).to(models.device))
