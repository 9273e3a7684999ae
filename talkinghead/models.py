"""Load all networks that a video needs onto one device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from audio2motion.voices import MotionGenerator, keypoints_of, load_voice
from liveportrait import LivePortrait, PortraitModel, WeightsNotFoundError
from liveportrait.config import Precision
from liveportrait.mini import MiniLivePortrait
from talkinghead.errors import OptionError
from talkinghead.face import FaceDetector
from talkinghead.host.forks import check_process
from talkinghead.host.isolation import own_settings
from talkinghead.options import MODEL, PRECISION, VOICE_MODEL

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
    """

    portrait: PortraitModel
    voice: MotionGenerator
    faces: FaceDetector
    device: torch.device


def load_models(
    name_or_directory: str | Path | Models = MODEL,
    device: str = "auto",
    voice: str | Path = VOICE_MODEL,
    precision: str = PRECISION,
) -> Models:
    """Load the networks; return them unchanged if they are loaded already.

    Args:
        name_or_directory: The renderer: "mini", "base", "animals" or a directory; or loaded models.
        device: Where they run: "auto" or a torch device.
        voice: The speech-to-motion model: "mini", "joyvasa" or a directory.
        precision: The renderer's precision: "fp32", "bf16", "fp16" or "auto" (the model's default).

    Raises:
        OptionError: The device does not exist, or the voice model does not fit the renderer.
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
        return _load(name_or_directory, choose_device(device), voice, precision)


def embedded_model(name_or_directory: str) -> MiniLivePortrait:
    """Load an embedded renderer.

    Raises:
        OptionError: It is one of the official renderers.
    """
    model = LivePortrait.from_pretrained(name_or_directory)
    if isinstance(model, MiniLivePortrait):
        return model
    raise OptionError(f"{name_or_directory}: not an embedded renderer; give mini or a directory that train.py wrote")


def _load(name_or_directory: str | Path, device: torch.device, voice: str | Path, precision: str) -> Models:
    portrait = LivePortrait.from_pretrained(name_or_directory).to(device)
    if precision != PRECISION:
        portrait.set_precision(cast(Precision, precision))
    elif device.type == "cuda":
        portrait.set_precision(portrait.gpu_precision)
    if portrait.needs_landmarks and not portrait.extracts_from_landmarks:
        _use_own_landmarks(portrait, Path(name_or_directory))
    moved = keypoints_of(voice)
    if moved not in (None, portrait.num_keypoints):
        raise OptionError(
            f"voice model {str(voice)!r} moves the {moved} keypoints of the official networks, model "
            f"{str(name_or_directory)!r} has {portrait.num_keypoints}: give --model base or animals, or another voice"
        )
    return Models(portrait, load_voice(voice).to(device), FaceDetector(), device)


def _use_own_landmarks(portrait: PortraitModel, folder: Path) -> None:
    """Let an official model measure openness by upstream's landmark network if the folder of its weights has it."""
    from liveportrait.official import OfficialPortrait
    from talkinghead.face.landmarks_203 import Landmarks203, find_network

    network = find_network(folder)
    if network is not None and isinstance(portrait, OfficialPortrait):
        portrait.landmarks_203 = Landmarks203(network)


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
        name: "base", "animals" or "joyvasa".
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
    from liveportrait.weights import RELEASES, download

    if name not in RELEASES:
        raise WeightsNotFoundError(f"nothing to download for {name!r}: give {', '.join(RELEASES)} or joyvasa")
    return download(name, announce, progress)
