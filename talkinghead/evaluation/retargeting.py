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

PARTS: dict[str, tuple[Callable[[float], Sliders], str]] = {
    "eyes": (lambda ratio: Sliders(eye_ratio=ratio), "lips"),
    "lips": (lambda ratio: Sliders(lip_ratio=ratio), "eyes"),
}
"""What is opened: how it is asked for, and what has to stay as it is."""

RATIOS: dict[str, Callable[[Motion], torch.Tensor | None]] = {
    "eyes": lambda motion: motion.eye_ratio,
    "lips": lambda motion: motion.lip_ratio,
}
"""How it is read from a picture's motion."""


def retarget_clip(clip: Path, models: Models) -> Judged:
    """Open and close the eyes and the lips of a clip's first frame.

    Returns:
        For each openness that is asked for the one that is reached, measured on landmarks found anew (for official
        models on the scale of their retargeting networks); for eyes and lips the mean absolute error, that of leaving
        them as they are ("unmoved"), how far the other part moved, and the slope of the reached over the asked
        openness, 1 at best.

    Raises:
        VideoError: The first frame shows no face.
    """
    portrait = encode_face(models, *first_face(clip))[0]
    still = _openness(models, portrait, portrait.x_s)
    figures: dict[str, float] = {}
    for part, (sliders, other) in PARTS.items():
        found = [_openness(models, portrait, models.portrait.edit(portrait, sliders(asked))) for asked in ASKED]
        reached = [each[part] for each in found]
        figures |= {f"{part} at {asked:g}": value for asked, value in zip(ASKED, reached, strict=True)}
        figures |= {f"{part} {kind}": value for kind, value in compare_openness(ASKED, reached).items()}
        figures[f"{part} unmoved error"] = compare_openness(ASKED, [still[part]] * len(ASKED))["error"]
        figures[f"{part} moved {other}"] = float(np.abs([each[other] - still[other] for each in found]).mean())
    return Judged(clip=figures)


def compare_openness(asked: tuple[float, ...], reached: list[float]) -> dict[str, float]:
    """Return the mean absolute error, and the slope of the line through reached over asked; NaN where unknown."""
    known = [(a, b) for a, b in zip(asked, reached, strict=True) if not np.isnan(b)]
    if len(known) < 2:
        return {"error": float("nan"), "slope": float("nan")}
    x, y = np.array(known).T
    return {"error": float(np.abs(y - x).mean()), "slope": float(np.polyfit(x, y, 1)[0])}


def _openness(models: Models, portrait: Portrait, x_d: torch.Tensor) -> dict[str, float]:
    """Render a face and measure eyes and lips; NaN where no face is found."""
    side = portrait.crop.image.shape[-1]
    motion = _motion_in(to_picture(models.portrait.render(portrait, x_d), side), models)
    ratios = {part: None if motion is None else ratio(motion) for part, ratio in RATIOS.items()}
    return {part: float("nan") if ratio is None else float(ratio.mean()) for part, ratio in ratios.items()}


def _motion_in(picture: Picture, models: Models) -> Motion | None:
    faces = models.faces.detect(picture, thorough=False)
    if not faces:
        return None
    side = len(picture)
    points = max(faces, key=lambda face: face.size).landmarks
    whole = CropFrame(side, np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    landmarks = torch.from_numpy(landmarks_in_crop(points, whole))[None]
    return models.portrait.extract(Crop(to_tensor(picture), landmarks).to(models.device))
