"""Talkinghead: give it a portrait and a voice, and the portrait speaks."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liveportrait.errors import TemplateError, WeightsError, WeightsNotFoundError
    from talkinghead.api import edit, reenact, speak, template
    from talkinghead.errors import (
        AudioError,
        ForkError,
        ImageError,
        InputNotFoundError,
        OptionError,
        OutputError,
        OutputExistsError,
        PortraitError,
        SessionError,
        VideoError,
    )
    from talkinghead.face.errors import FaceIndexError, FaceTooSmallError, NoFaceError
    from talkinghead.idling import idle
    from talkinghead.models import Models, load_models
    from talkinghead.narration.errors import ScriptError, SpeechError, WorkFolderError
    from talkinghead.narration.narrate import narrate
    from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions, VoiceOptions, WorkOptions
    from talkinghead.narration.outline import ChapterOutline, Outline, outline
    from talkinghead.options import (
        CropOptions,
        DriveOptions,
        DubOptions,
        EditOptions,
        IdleOptions,
        LiveOptions,
        MotionOptions,
        Options,
        ProvenanceOptions,
        RenderOptions,
    )
    from talkinghead.pipeline import Video
    from talkinghead.preview import Editor, FoundFaces, find_faces
    from talkinghead.provenance.verify import Verification, verify
    from talkinghead.realtime.avatar import AvatarFrame, AvatarSession
    from talkinghead.realtime.live import live
    from talkinghead.realtime.stream import stream
    from talkinghead.realtime.turns import Mark
    from talkinghead.saving import Summary

    __version__: str

# Nothing is reported to anybody: not by the runtime of narration's voices, by Ray, by the client of the model hub, or
# by Gradio. Heeded if they are imported after this; what else packages do when they are imported is in
# `liveportrait.imports`.
os.environ.update(
    ORT_DISABLE_TELEMETRY="1",
    RAY_USAGE_STATS_ENABLED="0",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
)

__all__ = [
    "AudioError",
    "AvatarFrame",
    "AvatarSession",
    "CaptionOptions",
    "ChapterOutline",
    "CropOptions",
    "DriveOptions",
    "DubOptions",
    "EditOptions",
    "Editor",
    "FaceIndexError",
    "FaceTooSmallError",
    "ForkError",
    "FoundFaces",
    "IdleOptions",
    "ImageError",
    "InputNotFoundError",
    "LiveOptions",
    "Mark",
    "Models",
    "MotionOptions",
    "NarrationOptions",
    "NoFaceError",
    "OptionError",
    "Options",
    "Outline",
    "OutputError",
    "OutputExistsError",
    "PortraitError",
    "ProvenanceOptions",
    "RenderOptions",
    "SceneOptions",
    "ScriptError",
    "SessionError",
    "SpeechError",
    "Summary",
    "TemplateError",
    "Verification",
    "Video",
    "VideoError",
    "VoiceOptions",
    "WeightsError",
    "WeightsNotFoundError",
    "WorkFolderError",
    "WorkOptions",
    "__version__",
    "edit",
    "find_faces",
    "idle",
    "live",
    "load_models",
    "narrate",
    "outline",
    "reenact",
    "speak",
    "stream",
    "template",
    "verify",
]

_MODULES = {
    "liveportrait.errors": "TemplateError WeightsError WeightsNotFoundError",
    "talkinghead.api": "edit reenact speak template",
    "talkinghead.errors": (
        "AudioError ForkError ImageError InputNotFoundError OptionError OutputError OutputExistsError PortraitError "
        "SessionError VideoError"
    ),
    "talkinghead.face.errors": "FaceIndexError FaceTooSmallError NoFaceError",
    "talkinghead.idling": "idle",
    "talkinghead.models": "Models load_models",
    "talkinghead.narration.errors": "ScriptError SpeechError WorkFolderError",
    "talkinghead.narration.narrate": "narrate",
    "talkinghead.narration.options": "CaptionOptions NarrationOptions SceneOptions VoiceOptions WorkOptions",
    "talkinghead.narration.outline": "ChapterOutline Outline outline",
    "talkinghead.options": (
        "CropOptions DriveOptions DubOptions EditOptions IdleOptions LiveOptions MotionOptions Options "
        "ProvenanceOptions RenderOptions"
    ),
    "talkinghead.pipeline": "Video",
    "talkinghead.preview": "Editor FoundFaces find_faces",
    "talkinghead.provenance.verify": "Verification verify",
    "talkinghead.realtime.avatar": "AvatarFrame AvatarSession",
    "talkinghead.realtime.live": "live",
    "talkinghead.realtime.stream": "stream",
    "talkinghead.realtime.turns": "Mark",
    "talkinghead.saving": "Summary",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import what needs the networks when it is first asked for, so that `talkinghead --help` comes at once."""
    if name == "__version__":
        from importlib.metadata import version

        return version("talkinghead")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Show what is exported, loaded or not."""
    return sorted(__all__)
