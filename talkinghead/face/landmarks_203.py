"""LivePortrait's own 203 landmarks, found by the user's copy of upstream's network: how open eyes and lips are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from liveportrait import Crop, PortraitError
from talkinghead.errors import OptionError
from talkinghead.face.crop import LANDMARK_CROP, Array, CropFrame, Picture, cut, frame_face

FILE = "landmark.onnx"
"""Name of the network in upstream's folder; it is published with the weights, under the MIT licence."""

COUNT = 203


class LandmarkNetworkError(PortraitError, ImportError):
    """The package that runs the network is not installed."""


class Landmarks203:
    """Finds 203 landmarks in crops of faces whose mesh is known. Upstream finds the first ones with InsightFace.

    Args:
        file: ONNX network; it takes RGB (1, 3, 224, 224) from 0 to 1, and its last output are 203 points (1, 406), x
            and y in units of its input.

    Raises:
        LandmarkNetworkError: onnxruntime is not installed.
        OptionError: The file is no such network.

    Source: upstream `src/utils/human_landmark_runner.py`.
    """

    def __init__(self, file: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise LandmarkNetworkError(
                f'{file}: needs onnxruntime: pip install "talkinghead[onnx]", or take the file out of the folder'
            ) from None
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            found = self._run(np.zeros((LANDMARK_CROP.size, LANDMARK_CROP.size, 3), np.uint8))
        except Exception as error:  # onnxruntime's errors have no class of their own
            raise OptionError(f"{file}: no network of {COUNT} landmarks; take it out of the folder") from error
        if found.shape != (COUNT, 2):
            raise OptionError(f"{file}: gives {found.size} numbers, not {COUNT} landmarks; take it out of the folder")

    def __call__(self, crop: Crop) -> Tensor:
        """Find the landmarks of T crops that have their mesh, shape (T, 203, 2), in pixels of the crops."""
        assert crop.landmarks is not None
        images = (crop.image.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        half = images.shape[1] / 2
        meshes = crop.landmarks.float().cpu().numpy()
        found = [self._find(image, mesh * half + (half - 0.5)) for image, mesh in zip(images, meshes, strict=True)]
        return torch.from_numpy(np.stack(found))

    def _find(self, image: Picture, mesh: Array) -> Array:
        place: CropFrame = frame_face(mesh[:, :2].astype(np.float32), LANDMARK_CROP)
        return place.points_to_image(self._run(cut(image, place)))

    def _run(self, picture: Picture) -> Array:
        batch = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        return outputs[-1].reshape(-1, 2).astype(np.float32) * LANDMARK_CROP.size


def find_network(folder: Path) -> Path | None:
    """Return upstream's landmark network in a folder of weights, or None."""
    for file in (folder / FILE, folder / "liveportrait" / FILE):
        if file.is_file():
            return file
    return None
