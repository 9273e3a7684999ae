"""Talkinghead: give it a portrait and a voice, and the portrait speaks."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from talkinghead.api import reenact, speak
    from talkinghead.errors import PortraitError
    from talkinghead.models import Models, load_models
    from talkinghead.options import CropOptions, DriveOptions, MotionOptions, Options, RenderOptions
    from talkinghead.pipeline import Video
    from talkinghead.realtime.stream import stream

# Nothing is reported to anybody: not by the runtime of narration's voices, by Ray, or by the client of the model hub.
# Heeded if they are imported after this; what else packages do when they are imported: `liveportrait.imports`.
os.environ.update(ORT_DISABLE_TELEMETRY="1", RAY_USAGE_STATS_ENABLED="0", HF_HUB_DISABLE_TELEMETRY="1")

__all__ = [
    "CropOptions",
    "DriveOptions",
    "Models",
    "MotionOptions",
    "Options",
    "PortraitError",
    "RenderOptions",
    "Video",
    "load_models",
    "reenact",
    "speak",
    "stream",
]

_LAZY = {
    **dict.fromkeys(["CropOptions", "DriveOptions", "MotionOptions", "Options", "RenderOptions"], "options"),
    "PortraitError": "errors",
    "Summary": "api",  # what `speak` returns; nobody needs to import it
    "reenact": "api",
    "speak": "api",
    "stream": "realtime.stream",
    "Models": "models",
    "load_models": "models",
    "Video": "pipeline",
}


def __getattr__(name: str) -> object:
    """Import what needs the networks when it is first asked for, so that `talkinghead --help` comes at once."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
