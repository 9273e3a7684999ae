"""The landmarks that upstream crops faces around and measures openness on, by the user's copies of its networks.

Upstream finds a face with InsightFace, whose 106 points frame the faces of pictures; its own 203 points, found around
them, frame those of videos. Here MediaPipe finds the face, and its mesh tells either network where to look.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from liveportrait import Crop, PortraitError
from talkinghead.errors import OptionError
from talkinghead.face.crop import LANDMARK_CROP, Array, CropFrame, FaceRect, Picture, cut, face_rect, frame_face

logger = logging.getLogger(__name__)

OWN_FILE, INSIGHTFACE_FILE = "landmark.onnx", "2d106det.onnx"
"""The networks' names in upstream's folder: its own, published under the MIT licence, and InsightFace's."""

INSIGHTFACE_FOLDER = Path("insightface/models/buffalo_l")
INSIGHTFACE_HOME = Path("~/.insightface/models/buffalo_l")
"""Where upstream keeps InsightFace's models, below the folder of its weights, and where the package keeps them."""

INSIGHTFACE_NOTICE = (
    "{file}: InsightFace's models are for non-commercial research only; see"
    " https://github.com/deepinsight/insightface#license"
)

_OWN_COUNT, _INSIGHTFACE_COUNT = 203, 106
_INSIGHTFACE_SIDE, _INSIGHTFACE_SCALE = 192, 1.5
"""Side of the crop that InsightFace's network sees, in pixels and in units of the box around the face."""


class LandmarkNetworkError(PortraitError, ImportError):
    """The package that runs the networks is not installed."""


class PointNetwork:
    """Runs a network that finds landmarks in square crops.

    Args:
        file: ONNX network; it takes RGB (1, 3, side, side), and its last output are `count` points (1, 2 * count).
        side: Side of the crops.
        count: Number of points.
        white: What the network takes for a full channel.

    Raises:
        LandmarkNetworkError: onnxruntime is not installed.
        OptionError: The file is no such network.
    """

    def __init__(self, file: Path, side: int, count: int, white: float) -> None:
        self._side, self._white = side, white
        try:
            import onnxruntime
        except ImportError:
            raise LandmarkNetworkError(
                f'{file}: needs onnxruntime: pip install "talkinghead[onnx]", or give --landmarks mesh'
            ) from None
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            found = self.run(np.zeros((side, side, 3), np.uint8))
        except Exception as error:  # onnxruntime's errors have no class of their own
            raise OptionError(f"{file}: no network of {count} landmarks; give --landmarks mesh") from error
        if found.shape != (count, 2):
            raise OptionError(f"{file}: gives {found.size} numbers, not {count} landmarks; give --landmarks mesh")

    def run(self, crop: Picture) -> Array:
        """Return what the network says of a crop, shape (count, 2), in its own units."""
        batch = crop.transpose(2, 0, 1)[None].astype(np.float32) * np.float32(self._white / 255)
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        return outputs[-1].reshape(-1, 2).astype(np.float32)


@dataclass(frozen=True)
class UpstreamLandmarks:
    """Finds the landmarks of faces whose mesh is known.

    Attributes:
        own: Upstream's network; it takes values from 0 to 1 and gives points in units of its crop.
        insightface: InsightFace's, which frames the faces of pictures; None lets `own` frame them too.

    Source: upstream `src/utils/human_landmark_runner.py` and `src/utils/cropper.py`.
    """

    own: PointNetwork
    insightface: PointNetwork | None = None

    def in_crops(self, crop: Crop) -> Tensor:
        """Find the 203 landmarks of T crops that have their mesh, shape (T, 203, 2), in pixels of the crops."""
        assert crop.landmarks is not None
        images = (crop.image.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        half = images.shape[1] / 2
        meshes = crop.landmarks.float().cpu().numpy() * half + (half - 0.5)
        return torch.from_numpy(np.stack([self._find(*each) for each in zip(images, meshes, strict=True)]))

    def crop_points(self, picture: Picture, mesh: Array, *, still: bool) -> Array:
        """Find the landmarks that upstream crops a face around.

        Args:
            picture: RGB, shape (H, W, 3).
            mesh: The face's mesh in its pixels, shape (478, 3).
            still: Whether it is a source picture; upstream crops those around InsightFace's points.

        Returns:
            Points in pixels of the picture, shape (106 or 203, 2).
        """
        if still and self.insightface is not None:
            return self._insightface_points(picture, mesh, self.insightface)
        # The second time the network looks where it always looks in upstream's videos: around its own points.
        return self._find(picture, self._find(picture, mesh))

    def _find(self, picture: Picture, points: Array) -> Array:
        place = frame_face(points, LANDMARK_CROP)
        return place.points_to_image(self.own.run(cut(picture, place)) * LANDMARK_CROP.size)

    @staticmethod
    def _insightface_points(picture: Picture, mesh: Array, network: PointNetwork) -> Array:
        """Find InsightFace's points, in a crop around the box of the whole mesh, which is as high as its faces are."""
        low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
        turn = round(face_rect(mesh, 1.0).angle / (math.pi / 2)) * math.pi / 2  # it knows upright faces only
        rect = FaceRect((low + high) / 2, float((high - low).max()) * _INSIGHTFACE_SCALE, turn)
        place = CropFrame.around(rect, _INSIGHTFACE_SIDE)
        return place.points_to_image((network.run(cut(picture, place)) + 1) * np.float32(_INSIGHTFACE_SIDE / 2))


def load_upstream_landmarks(folder: Path, *, insightface: bool) -> UpstreamLandmarks | None:
    """Load the networks that lie in a folder of upstream's weights.

    Args:
        folder: Of the weights.
        insightface: Whether the user has asked for InsightFace's network; its licence is shown.

    Returns:
        None if the folder has no network of landmarks and InsightFace's is not wanted.

    Raises:
        LandmarkNetworkError: onnxruntime is not installed.
        OptionError: A file is no such network, or one that is asked for is missing.
    """
    own = _first_file([folder / OWN_FILE, folder / "liveportrait" / OWN_FILE])
    if not insightface:
        return None if own is None else UpstreamLandmarks(_own_network(own))
    if own is None:
        raise OptionError(
            f"--landmarks insightface needs upstream's own, and {folder / 'liveportrait' / OWN_FILE} is missing: put it"
            " there, or for --model base call `talkinghead download landmarks`"
        )
    places = [folder / INSIGHTFACE_FOLDER, folder.parent / INSIGHTFACE_FOLDER, INSIGHTFACE_HOME.expanduser()]
    file = _first_file([place / INSIGHTFACE_FILE for place in places])
    if file is None:
        raise OptionError(
            f"--landmarks insightface: {INSIGHTFACE_FILE} is neither in {places[0]} nor in {places[-1]}; put it there,"
            " or leave the option out"
        )
    network = PointNetwork(file, _INSIGHTFACE_SIDE, _INSIGHTFACE_COUNT, 255.0)
    logger.warning(INSIGHTFACE_NOTICE.format(file=file))
    return UpstreamLandmarks(_own_network(own), network)


def _own_network(file: Path) -> PointNetwork:
    return PointNetwork(file, LANDMARK_CROP.size, _OWN_COUNT, 1.0)


def _first_file(files: list[Path]) -> Path | None:
    return next((file for file in files if file.is_file()), None)
