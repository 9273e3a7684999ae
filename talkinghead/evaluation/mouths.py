"""Judge painted mouths: portraits that smile are shut by hand, opened again by their own keypoints, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from liveportrait import Crop
from liveportrait.mini.face_model import FaceModel, lip_ratio
from liveportrait.mini.regions import KEYPOINTS, LIPS_INNER, LIPS_OUTER, rows
from liveportrait.training.pairs import OPEN_STILL
from liveportrait.training.shut_mouths import shut_mouths
from talkinghead.dataset.portraits import read_portraits
from talkinghead.errors import OptionError
from talkinghead.evaluation import metrics
from talkinghead.evaluation.metrics import Picture
from talkinghead.evaluation.networks import MOUTH_SIDE, Networks
from talkinghead.evaluation.reenact import to_picture
from talkinghead.face.quality import sharpness
from talkinghead.models import embedded_model

SEAM = 0.5  # brightness of the line between the shut lips, over what is around it
FEWEST_PIXELS = 30  # of an inside that is judged, in boxes of MOUTH_SIDE pixels


@dataclass(frozen=True)
class Mouth:
    """A portrait with an open mouth, and the same with its mouth shut.

    Attributes:
        name: The portrait's id.
        real: The portrait's crop.
        shut: The same crop and its landmarks after shutting.
        x: The open mouth's keypoints, shape (1, K, 3).
    """

    name: str
    real: Crop
    shut: Crop
    x: torch.Tensor


def mouths_of(data: Path, face: FaceModel) -> Iterator[Mouth]:
    """Shut the open mouths among the portraits that training never sees."""
    for name, crop in read_portraits(data, held_out=True):
        x = crop.landmarks[:, list(KEYPOINTS)]  # type: ignore[index]
        if float(lip_ratio(x)) <= OPEN_STILL:
            continue
        image, points = shut_mouths(face, crop.image, x, torch.tensor([SEAM]))
        landmarks = crop.landmarks.clone()  # type: ignore[union-attr]
        landmarks[:, list(KEYPOINTS)] = points
        yield Mouth(name, crop, Crop(image, landmarks), x)


def judge_mouths(
    data: Path, models: list[str], networks: Networks, limit: int | None
) -> dict[str, dict[str, dict[str, float]]]:
    """Judge models on the same mouths.

    Args:
        data: Folder of portraits.
        models: Names or directories of embedded models.
        networks: What looks at the mouths; has LPIPS.
        limit: Use only the first so many mouths.

    Returns:
        Figures by model, then portrait.

    Raises:
        OptionError: A model is not an embedded one, or there is no open mouth.
    """
    loaded = {name: embedded_model(name) for name in models}
    judged: dict[str, dict[str, dict[str, float]]] = {name: {} for name in models}
    face = loaded[models[0]].renderer.face
    with torch.no_grad():
        for number, mouth in enumerate(mouths_of(data, face)):
            if number == limit:
                break
            for name, model in loaded.items():
                shown = to_picture(model.render(model.encode(mouth.shut), mouth.x), mouth.real.image.shape[-1])
                judged[name][mouth.name] = compare(shown, mouth, networks)
    if not judged[models[0]]:
        raise OptionError(f"{data}: no open mouths among the portraits that are held out")
    return judged


def compare(shown: Picture, mouth: Mouth, networks: Networks) -> dict[str, float]:
    """Compare a painted mouth with the real one.

    Returns:
        LPIPS and PSNR (dB) of the mouth box, PSNR of the inside of the lips, CIEDE2000 between the mean colours of the
        teeth, and sharpness of the inside over the real one's.
    """
    real = to_picture(mouth.real.image, mouth.real.image.shape[-1])
    points = (mouth.x[0, :, :2].numpy() + 1) * (real.shape[0] / 2) - 0.5
    box = metrics.mouth_box_of(points[rows(LIPS_OUTER)], real.shape)
    inside = inside_of(points[rows(LIPS_INNER)], box)
    small, true = (_looked_at(picture[box]) for picture in (shown, real))
    figures = {
        "lpips": networks.mouth_lpips({"lpips": shown[box]}, real[box])["lpips"],
        "psnr": metrics.psnr(shown[box], real[box]),
    }
    if inside.sum() >= FEWEST_PIXELS:
        colours = [metrics.lab(teeth_colour(p, inside)) for p in (small, true)]
        figures |= {
            "inside psnr": metrics.psnr(small[inside], true[inside]),
            "teeth delta e": metrics.ciede2000(*colours),
            "sharpness": sharpness(small, inside) / max(sharpness(true, inside), 1e-6),
        }
    return figures


def _looked_at(picture: Picture) -> Picture:
    """Resize a mouth box to MOUTH_SIDE pixels."""
    resized = cv2.resize(picture, (MOUTH_SIDE, MOUTH_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def inside_of(lips: NDArray[np.float32], box: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Draw the inside of the inner lips (N, 2) in a mouth box that is MOUTH_SIDE pixels large."""
    corner = np.array([box[1].start, box[0].start], np.float32)
    scale = np.array([MOUTH_SIDE / (side.stop - side.start) for side in reversed(box)], np.float32)
    area = np.zeros((MOUTH_SIDE, MOUTH_SIDE), np.uint8)
    cv2.fillPoly(area, [np.round((lips - corner) * scale).astype(np.int32)], (1,))
    return area > 0


def teeth_colour(picture: Picture, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the mean colour of the teeth, the brighter half of a mouth's inside, shape (3,)."""
    pixels = picture[inside].astype(np.float32)
    brightness = pixels.mean(1)
    return pixels[brightness >= np.median(brightness)].mean(0)
