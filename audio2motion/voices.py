"""Voices: whatever turns speech into movement, by name or from a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from audio2motion.flow.model import MotionFlow
    from audio2motion.joyvasa.model import JoyVASA
    from audio2motion.model import AudioToMotion

MotionGenerator: TypeAlias = "AudioToMotion | JoyVASA | MotionFlow"
"""Has `stream(chunks, seed=...)`, which yields parts of a Performance, for any face, or of a Motion, for models with
the voice's `num_keypoints`."""

JOYVASA = "joyvasa"


def keypoints_of(name_or_directory: str | Path) -> int | None:
    """Tell how many keypoints a voice moves, before anything is fetched or loaded; None if it performs for any face."""
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
    """
    if _is_joyvasa(name_or_directory):
        from audio2motion.joyvasa.model import JoyVASA

        return JoyVASA.from_pretrained(name_or_directory)
    if _flow_settings(name_or_directory):
        from audio2motion.flow.model import MotionFlow

        return MotionFlow.from_pretrained(name_or_directory)
    from audio2motion.model import AudioToMotion

    return AudioToMotion.from_pretrained(name_or_directory)


def _is_joyvasa(name_or_directory: str | Path) -> bool:
    if name_or_directory == JOYVASA:
        return True
    from audio2motion.joyvasa.weights import is_generator

    return is_generator(Path(name_or_directory))


def _flow_settings(name_or_directory: str | Path) -> dict[str, Any]:
    from audio2motion.flow.weights import settings_of

    return settings_of(Path(name_or_directory))
