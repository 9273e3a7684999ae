"""The networks that a video needs, loaded together and moved to one device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from audio2motion.voices import MotionGenerator, keypoints_of, load_voice
from liveportrait import LivePortrait, WeightsNotFoundError
from liveportrait.config import Precision
from talkinghead.errors import OptionError
from talkinghead.face import FaceDetector
from talkinghead.host.forks import check_process
from talkinghead.host.isolation import own_settings
from talkinghead.options import MODEL, PRECISION, VOICE_MODEL

_one_loads = threading.Lock()
"""Some libraries break when threads import them at once for the first time."""


@dataclass(frozen=True)
class Models:
    """What finds a face, what hears a voice and what renders; load it once and use it for many videos.

    Attributes:
        portrait: Renders.
        voice: Hears.
        faces: Finds.
        device: Where `portrait` and `voice` run.
    """

    portrait: LivePortrait
    voice: MotionGenerator
    faces: FaceDetector
    device: torch.device


def load_models(
    name_or_directory: str | Path | Models = MODEL,
    device: str = "auto",
    voice: str | Path = VOICE_MODEL,
    precision: str = PRECISION,
) -> Models:
    """Load the networks; those that were loaded before come back as they are.

    Args:
        name_or_directory: The renderer: "mini", "base", "animals" or a directory; or models.
        device: Where they run: "auto", or a name that torch knows.
        voice: What hears: "mini", "joyvasa" or a directory.
        precision: In what the renderer computes: "fp32", "bf16" or "fp16"; "auto" leaves it to the model.

    Raises:
        OptionError: There is no such device, or the renderer cannot follow the voice.
        WeightsNotFoundError: There is no such renderer or voice.
        WeightsError: A file is not what its name says.
        ForkError: This process is a fork of one that had loaded networks.

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


def _load(name_or_directory: str | Path, place: torch.device, voice: str | Path, precision: str) -> Models:
    portrait = LivePortrait.from_pretrained(name_or_directory).to(place)
    if precision != PRECISION:
        portrait.set_precision(cast(Precision, precision))
    moved = keypoints_of(voice)
    if moved not in (None, portrait.num_keypoints):
        raise OptionError(
            f"voice model {str(voice)!r} moves the {moved} keypoints of the official networks, model "
            f"{str(name_or_directory)!r} has {portrait.num_keypoints}: give --model base or animals, or another voice"
        )
    return Models(portrait, load_voice(voice).to(place), FaceDetector(), place)


def choose_device(name: str) -> torch.device:
    """Turn the device option into a device that is there; "auto" is the GPU if there is one.

    Raises:
        OptionError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"there is no device {name!r}: give auto, cpu, cuda, cuda:1 or mps") from None
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= counts.get(device.type, 0):
        raise OptionError(f"device {name!r} is not to be had on this machine: give auto or cpu")
    return device


def fetch_model(
    name: str, announce: Callable[[str], None], progress: Callable[[str, int, int], None] | None = None
) -> Path:
    """Fetch published weights, so that they are there when they are needed; whatever is there already stays.

    Args:
        name: "base", "animals" or "joyvasa".
        announce: Called with licence, size and place before the first byte is fetched.
        progress: Called with a file's name, its bytes so far and its size.

    Returns:
        The folder that holds them.

    Raises:
        WeightsNotFoundError: The name is unknown, or the hub cannot be reached.
        WeightsError: What the hub sent is not the pinned file.
    """
    if name == "joyvasa":
        from audio2motion.joyvasa import weights

        return weights.download(announce, progress)
    from liveportrait.weights import RELEASES, download

    if name not in RELEASES:
        raise WeightsNotFoundError(f"nothing to download for {name!r}: give {', '.join(RELEASES)} or joyvasa")
    return download(name, announce, progress)
