"""What each package promises: short lists, each name real, and importing stays cheap."""

import importlib
import subprocess
import sys

import pytest

API = {
    "liveportrait": {
        "Crop",
        "LivePortrait",
        "Motion",
        "SpeechMotion",
        "Portrait",
        "PortraitError",
        "TemplateError",
        "WeightsError",
        "WeightsNotFoundError",
    },
}
PACKAGES = ("liveportrait", "audio2motion", "talkinghead")


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_are_few_and_real(name):
    package = importlib.import_module(name)
    assert len(package.__all__) <= 12
    assert all(hasattr(package, export) for export in package.__all__)


@pytest.mark.parametrize("name", API)
def test_exports_are_these(name):
    assert set(importlib.import_module(name).__all__) == API[name]


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_loads_no_heavy_library(name):
    heavy = ("torch", "mediapipe", "cv2", "transformers", "av")
    code = f"import sys, {name}; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
