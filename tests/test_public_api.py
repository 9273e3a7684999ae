"""What each package promises: pinned lists, each name real, and importing stays cheap."""

import importlib
import inspect
import subprocess
import sys

import pytest

API = {
    "liveportrait": """
        Crop LivePortrait Motion Portrait PortraitModel SpeechMotion
        PortraitError TemplateError WeightsError WeightsNotFoundError
    """,
    "audio2motion": "AudioToMotion AudioToMotionConfig EncoderConfig FRAME_RATE SAMPLE_RATE",
    "talkinghead": """
        speak reenact edit template idle live narrate stream load_models verify
        Options CropOptions DriveOptions DubOptions EditOptions IdleOptions LiveOptions MotionOptions NarrationOptions
        ProvenanceOptions RenderOptions
        ChapterOutline Editor FoundFaces Outline find_faces outline
        CaptionOptions SceneOptions VoiceOptions WorkOptions
        AvatarFrame AvatarSession Mark Models Summary Verification Video __version__
        PortraitError AudioError FaceIndexError FaceTooSmallError ForkError ImageError InputNotFoundError NoFaceError
        OptionError OutputError OutputExistsError ScriptError SessionError SpeechError TemplateError VideoError
        WeightsError WeightsNotFoundError WorkFolderError
    """,
}


@pytest.mark.parametrize("name", API)
def test_exports_are_these(name):
    package = importlib.import_module(name)
    assert sorted(package.__all__) == sorted(API[name].split())
    assert all(hasattr(package, export) for export in package.__all__)


@pytest.mark.parametrize("name", API)
def test_dir_shows_what_is_not_loaded_yet(name):
    code = f"import {name}; print(*sorted(set({name}.__all__) - set(dir({name}))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize(
    "name",
    [
        "speak",
        "reenact",
        "edit",
        "template",
        "live",
        "narrate",
        "stream",
        "load_models",
        "find_faces",
        "outline",
        "Editor",
    ],
)
def test_public_functions_show_an_example_and_plain_defaults(name):
    function = getattr(importlib.import_module("talkinghead"), name)
    assert "\n    Example:\n        >>> " in function.__doc__
    if name != "load_models":
        assert inspect.signature(function).parameters["options"].default is None


@pytest.mark.parametrize("name", API)
def test_importing_loads_no_heavy_library(name):
    heavy = ("torch", "mediapipe", "cv2", "transformers", "av")
    code = f"import sys, {name}; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
