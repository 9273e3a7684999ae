"""Load all networks that a video needs onto one device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from audio2motion import AudioToMotion
from audio2motion.voices import MotionGenerator, keypoints_of, load_voice
from liveportrait import LivePortrait, PortraitModel, WeightsError, WeightsNotFoundError
from liveportrait.config import Precision
from liveportrait.mini import MiniLivePortrait
from talkinghead.errors import OptionError
from talkinghead.face import FaceDetector
from talkinghead.face.crop import Array, Picture
from talkinghead.face.upstream_landmarks import UpstreamLandmarks, load_upstream_landmarks
from talkinghead.host.forks import check_process
from talkinghead.host.isolation import own_settings
from talkinghead.host.threads import compute_alone
from talkinghead.options import LANDMARKS, MODEL, PRECISION, VOICE_MODEL, RenderOptions

_one_loads = threading.Lock()
"""Some libraries fail when several threads import them for the first time at once."""


@dataclass(frozen=True)
class Models:
    """The loaded networks; load them once and use them for many videos.

    Attributes:
        portrait: Encodes and renders portraits.
        voice: Generates motion from speech.
        faces: Detects faces.
        device: Where `portrait` and `voice` run.
        landmarks: Finds the landmarks that upstream crops faces around; None leaves it to the face mesh.
    """

    portrait: PortraitModel
    voice: MotionGenerator
    faces: FaceDetector
    device: torch.device
    landmarks: UpstreamLandmarks | None = None

    def crop_points(self, picture: Picture, mesh: Array, *, still: bool = False) -> Array:
        """Return the landmarks to crop a face around, in pixels of the picture, shape (N, 2 or 3).

        Args:
            picture: RGB, shape (H, W, 3).
            mesh: The face's mesh in it, shape (478, 3).
            still: Whether it is a source picture, not a frame of a video.
        """
        return mesh if self.landmarks is None else self.landmarks.crop_points(picture, mesh, still=still)


def load_models(
    name_or_directory: str | Path | Models = MODEL,
    device: str = "auto",
    voice: str | Path = VOICE_MODEL,
    precision: str = PRECISION,
    landmarks: str = LANDMARKS,
) -> Models:
    """Load the networks; return them unchanged if they are loaded already.

    Args:
        name_or_directory: The renderer: "mini", "base", "animals" or a directory; or loaded models.
        device: Where they run: "auto" or a torch device.
        voice: The speech-to-motion model: "mini", "joyvasa" or a directory.
        precision: The renderer's precision: "fp32", "bf16", "fp16" or "auto" (the model's default).
        landmarks: What `base` crops faces around: "auto", "mesh" or "insightface", see `RenderOptions`.

    Raises:
        OptionError: The device does not exist, the voice model does not fit the renderer, or a network of landmarks
            cannot be used.
        LandmarkNetworkError: The package that runs networks of landmarks is not installed.
        WeightsNotFoundError: A model does not exist.
        WeightsError: A file does not hold the weights of the model.
        ForkError: This process was forked from one that had loaded networks.

    Example:
        >>> import talkinghead
        >>> models = talkinghead.load_models()
        >>> for voice in ("voice.wav", "voice2.wav"):
        ...     video = talkinghead.speak("portrait.png", voice, model=models)
    """
    check_process()
    if isinstance(name_or_directory, Models):
        return name_or_directory
    with _one_loads, own_settings():
        return _load(name_or_directory, choose_device(device), voice, precision, landmarks)


def load_models_for(
    render: RenderOptions, name_or_directory: str | Path | Models = MODEL, voice: str | Path = VOICE_MODEL
) -> Models:
    """Load the networks that the user's options ask for; like `load_models`."""
    return load_models(name_or_directory, render.device, voice, render.precision, render.landmarks)


def embedded_model(name_or_directory: str) -> MiniLivePortrait:
    """Load an embedded renderer.

    Raises:
        OptionError: It is one of the official renderers.
    """
    model = LivePortrait.from_pretrained(name_or_directory)
    if isinstance(model, MiniLivePortrait):
        return model
    raise OptionError(f"{name_or_directory}: not an embedded renderer; give mini or a directory that train.py wrote")


def _load(
    name_or_directory: str | Path, device: torch.device, voice: str | Path, precision: str, landmarks: str
) -> Models:
    portrait = LivePortrait.from_pretrained(name_or_directory).to(device)
    if precision != PRECISION:
        portrait.set_precision(cast(Precision, precision))
    elif device.type == "cuda":
        portrait.set_precision(portrait.gpu_precision)
    found = _load_landmarks(portrait, str(name_or_directory), landmarks)
    moved = keypoints_of(voice)
    if moved not in (None, portrait.num_keypoints):
        raise OptionError(
            f"voice model {str(voice)!r} moves the {moved} keypoints of the official networks, model "
            f"{str(name_or_directory)!r} has {portrait.num_keypoints}: give --model base or animals, or another voice"
        )
    loaded = load_voice(voice).to(device)
    threading.Thread(target=_compile_graphs, args=(portrait, loaded), name="graph compiler").start()
    return Models(portrait, loaded, FaceDetector(), device, found)


def _compile_graphs(portrait: PortraitModel, voice: MotionGenerator) -> None:
    """Compile the networks' graphs while the caller opens its inputs; otherwise the first picture waits for it."""
    with suppress(WeightsError):  # it is raised again by whoever uses the graph
        compute_alone()  # like what renders, and what speaks
        if isinstance(voice, AudioToMotion):
            voice.compile_graphs()
        portrait.compile_graphs()


def _load_landmarks(portrait: PortraitModel, name: str, landmarks: str) -> UpstreamLandmarks | None:
    """Load upstream's landmarks for `base`, and let it measure openness on them.

    Raises:
        OptionError: InsightFace's are asked for, and this is another model, or their file is missing.
    """
    from liveportrait.official import OfficialPortrait

    insightface = landmarks == "insightface"
    if not (isinstance(portrait, OfficialPortrait) and portrait.needs_landmarks and portrait.folder is not None):
        if insightface:
            raise OptionError(f"--landmarks insightface is for base, model {name!r} needs none: leave it out")
        return None
    found = None if landmarks == "mesh" else load_upstream_landmarks(portrait.folder, insightface=insightface)
    if found is not None:
        portrait.landmarks_203 = found.in_crops
    return found


def choose_device(name: str) -> torch.device:
    """Return the device for the device option; "auto" is the GPU if there is one.

    Raises:
        OptionError: The device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"there is no device {name!r}: give auto, cpu, cuda, cuda:1 or mps") from None
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= counts.get(device.type, 0):
        raise OptionError(f"device {name!r} is not available on this machine: give auto or cpu")
    return device


def fetch_model(
    name: str, announce: Callable[[str], None], progress: Callable[[str, int, int], None] | None = None
) -> Path:
    """Download published weights that are not there yet.

    Args:
        name: "base", "animals", "landmarks" (for base) or "joyvasa".
        announce: Called with licence, size and folder before the download begins.
        progress: Called with a file's name, the bytes received so far and its size.

    Returns:
        The folder that holds them.

    Raises:
        WeightsNotFoundError: The name is unknown, or the hub cannot be reached.
        WeightsError: A received file is not the pinned one.
    """
    if name == "joyvasa":
        from audio2motion.joyvasa import weights

        return weights.download(announce, progress)
    from liveportrait.weights import download, downloads

    if name not in downloads():
        raise WeightsNotFoundError(f"nothing to download for {name!r}: give {', '.join(downloads())} or joyvasa")
    return download(name, announce, progress)
