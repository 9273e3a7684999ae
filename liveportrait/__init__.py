"""Portrait animation on tensors: the embedded and the official LivePortrait models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from liveportrait.errors import PortraitError, TemplateError, WeightsError, WeightsNotFoundError

if TYPE_CHECKING:
    from liveportrait.loading import LivePortrait
    from liveportrait.model import PortraitModel
    from liveportrait.motion import Crop, Motion, Portrait, SpeechMotion

__all__ = [
    "Crop",
    "LivePortrait",
    "Motion",
    "Portrait",
    "PortraitError",
    "PortraitModel",
    "SpeechMotion",
    "TemplateError",
    "WeightsError",
    "WeightsNotFoundError",
]

_LAZY = {
    "LivePortrait": "loading",
    "PortraitModel": "model",
    **dict.fromkeys(["Crop", "Motion", "Portrait", "SpeechMotion"], "motion"),
}


def __getattr__(name: str) -> object:
    """Import names that need torch on first access, so that errors and `--help` are fast."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """List all exported names, loaded or not."""
    return sorted(__all__)
