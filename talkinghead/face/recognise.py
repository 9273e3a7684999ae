"""Recognise a person's face: numbers that are alike for pictures of one person and differ between people."""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from liveportrait import PortraitError
from talkinghead.face.crop import Array, Picture

SAME_PERSON = 0.6
"""Distance of descriptors below which two faces count as one person's, as dlib's author recommends."""

_DLIB_POINTS = (263, 362, 33, 133, 2)
"""Face-mesh points for dlib's five: outer and inner corner of the right eye, of the left one, and under the nose."""

_INSTALL = 'pip install "talkinghead[evaluate]"'


class RecogniserMissingError(PortraitError, ImportError):
    """The packages that recognise faces are not installed."""


class FaceRecogniser:
    """Describes faces by dlib's ResNet, whose weights are in the public domain (CC0).

    The network has 99.4 % accuracy on Labeled Faces in the Wild. Its weights ship in the package
    face_recognition_models. One object may be called from several threads, which take turns.

    Raises:
        RecogniserMissingError: dlib or its weights are not installed.
    """

    def __init__(self) -> None:
        try:
            self._dlib: Any = import_module("dlib")
        except ImportError:
            raise RecogniserMissingError(f"dlib, which recognises faces, is not installed: {_INSTALL}") from None
        self._network, self._lock = self._dlib.face_recognition_model_v1(str(_weights())), threading.Lock()

    def describe(self, picture: Picture, points: Array) -> Array:
        """Describe a face.

        Args:
            picture: RGB, shape (H, W, 3), uint8.
            points: The face's mesh points in it, shape (478, 2 or more).

        Returns:
            Shape (128,).
        """
        places = [self._dlib.point(*map(round, map(float, points[n, :2]))) for n in _DLIB_POINTS]
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        box = self._dlib.rectangle(*map(int, (*low, *high)))
        shape = self._dlib.full_object_detection(box, places)
        with self._lock:
            found = self._network.compute_face_descriptor(np.ascontiguousarray(picture), shape)
        return np.array(found, np.float32)


def face_distance(a: Array, b: Array) -> float:
    """Return the Euclidean distance of two descriptors, (128,) each; below 0.6 they are of one person."""
    return float(np.linalg.norm(a - b))


def identity_similarity(a: Array, b: Array) -> float:
    """Return the cosine of the angle between two descriptors, (128,) each: 1 for the same picture; more is better."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _weights() -> Path:
    package = find_spec("face_recognition_models")  # importing it needs setuptools of former years
    if package is None or package.origin is None:
        raise RecogniserMissingError(f"the weights that recognise faces are not installed: {_INSTALL}")
    return Path(package.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
