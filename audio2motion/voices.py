"""Voice models: whatever turns speech into motion, loaded by name or from a directory."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from liveportrait.errors import PortraitError
from liveportrait.imports import quiet_imports

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from audio2motion.live import LiveMotion
    from audio2motion.streaming import VoiceStream
    from liveportrait.motion import Motion, SpeechMotion

logger = logging.getLogger(__name__)


class MotionGenerator(Protocol):
    """A network that turns speech into motion; the rest of its methods are those of `torch.nn.Module`."""

    @property
    def num_keypoints(self) -> int | None:
        """How many keypoints the motion moves, which the portrait model must have; None if it suits any model."""
        ...

    def stream(self, chunks: Iterable[Tensor], *, seed: int = 0) -> Iterator[SpeechMotion] | Iterator[Motion]:
        """Generate motion for a voice of any length in constant memory.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Where they are cut does not matter.
            seed: Decides everything random.

        Yields:
            Consecutive parts, together ⌈samples / 640⌉ frames at 25 frames per second: a Motion of `num_keypoints`
            keypoints, or a SpeechMotion if that is None.
        """
        ...

    def to(self, device: torch.device, /) -> MotionGenerator:
        """Move the network to a device."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all tensors by name."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the tensors that training changes."""
        ...


class SpeechMotionGenerator(MotionGenerator, Protocol):
    """A motion generator whose motion suits any portrait model."""

    @property
    def num_mouth(self) -> int:
        """How many of the expression coefficients move the mouth; they come first."""
        ...

    def stream(self, chunks: Iterable[Tensor], *, seed: int = 0) -> Iterator[SpeechMotion]:
        """Generate motion for a voice of any length; see `MotionGenerator.stream`."""
        ...

    def listen(self) -> VoiceStream[Tensor]:
        """Encode speech while it is arriving, for `LiveMotion.speak`."""
        ...

    def live(self, *, seed: int = 0) -> LiveMotion:
        """Begin motion that goes on between turns of speech, frame by frame."""
        ...


def suits_any_model(voice: MotionGenerator) -> TypeGuard[SpeechMotionGenerator]:
    """Tell whether any portrait model can follow a voice model's motion."""
    return voice.num_keypoints is None


JOYVASA = "joyvasa"


def keypoints_of(name_or_directory: str | Path) -> int | None:
    """Tell how many keypoints a voice moves, before anything is fetched or loaded; None if any model can follow it."""
    if _is_joyvasa(name_or_directory):
        from audio2motion.joyvasa.model import JoyVASA

        return JoyVASA.num_keypoints
    settings = _flow_settings(name_or_directory)
    if not settings:
        return None
    from audio2motion.flow.weights import parse_config

    return parse_config(settings, Path(name_or_directory) / "config.json").num_keypoints


def load_voice(name_or_directory: str | Path) -> MotionGenerator:
    """Load a voice ready to listen.

    Args:
        name_or_directory: "mini" (embedded), "joyvasa" (official, fetched once), or a directory that holds either, or a
            motion generator that was trained here.

    Returns:
        The voice in eval mode on the CPU.

    Raises:
        WeightsNotFoundError: There is no such voice, or it cannot be fetched.
        WeightsError: A file is not what its name says.
        PortraitError: The installed torchaudio does not fit PyTorch.
    """
    _check_torchaudio()
    if _is_joyvasa(name_or_directory):
        from audio2motion.joyvasa import weights

        fetched = name_or_directory == JOYVASA
        return weights.load(weights.download(logger.warning) if fetched else Path(name_or_directory)).float()
    if _flow_settings(name_or_directory):
        from audio2motion.flow.weights import load

        return load(Path(name_or_directory)).float()
    from audio2motion.model import AudioToMotion

    return AudioToMotion.from_pretrained(name_or_directory)


def _check_torchaudio() -> None:
    """Import torchaudio, whose binary may be for another PyTorch than the installed one; pip cannot always know."""
    import torch

    try:
        with quiet_imports():
            import torchaudio  # noqa: F401
    except (ImportError, OSError) as error:
        raise PortraitError(
            f"torchaudio cannot be loaded with torch {torch.__version__}; install torch and torchaudio of one version"
        ) from error


def _is_joyvasa(name_or_directory: str | Path) -> bool:
    if name_or_directory == JOYVASA:
        return True
    from audio2motion.joyvasa.weights import is_generator

    return is_generator(Path(name_or_directory))


def _flow_settings(name_or_directory: str | Path) -> dict[str, Any]:
    from audio2motion.flow.weights import settings_of

    return settings_of(Path(name_or_directory))
