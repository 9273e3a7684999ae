"""Stand-ins that find faces in gray videos."""

from dataclasses import replace

import pytest
from fake_models import BrightnessTracker, TwoFaces, fake_models

from talkinghead.driver import extract
from talkinghead.realtime import live
from talkinghead.source import video


class FacesInTheLight(TwoFaces):
    """Finds faces that are large enough in every picture that is not dark."""

    def detect(self, picture, *, thorough=True, threshold=0.75):
        return [replace(face, size=40) for face in super().detect(picture)] if picture.mean() > 20 else []


@pytest.fixture
def brightness_tracker(monkeypatch):
    """Track the faces of drivers, of source videos and of cameras by the brightness of their frames."""
    for module in (extract, video, live):
        monkeypatch.setattr(module, "FaceTracker", BrightnessTracker)


@pytest.fixture
def video_models(brightness_tracker):
    """Models for source videos."""
    return replace(fake_models(), faces=FacesInTheLight())
