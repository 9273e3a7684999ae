"""JoyVASA's published motion generator: from speech to expression and head pose of the official networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio2motion.joyvasa.config import GenerationRules, JoyVASAConfig

if TYPE_CHECKING:
    from audio2motion.joyvasa.model import JoyVASA

__all__ = ["GenerationRules", "JoyVASA", "JoyVASAConfig"]


def __getattr__(name: str) -> object:
    if name == "JoyVASA":
        from audio2motion.joyvasa.model import JoyVASA

        return JoyVASA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
