"""Generate facial motion from speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio2motion.config import FRAME_RATE, SAMPLE_RATE, AudioToMotionConfig, EncoderConfig

if TYPE_CHECKING:
    from audio2motion.model import AudioToMotion

__all__ = ["FRAME_RATE", "SAMPLE_RATE", "AudioToMotion", "AudioToMotionConfig", "EncoderConfig"]


def __getattr__(name: str) -> object:
    if name == "AudioToMotion":
        from audio2motion.model import AudioToMotion

        return AudioToMotion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List all exported names, loaded or not."""
    return sorted(__all__)
