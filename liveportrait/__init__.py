"""Portrait animation, tensors in and tensors out."""

from liveportrait.errors import PortraitError, TemplateError, WeightsError, WeightsNotFoundError
from liveportrait.model import LivePortrait
from liveportrait.motion import Crop, Motion, Performance, Portrait

__all__ = [
    "Crop",
    "LivePortrait",
    "Motion",
    "Performance",
    "Portrait",
    "PortraitError",
    "TemplateError",
    "WeightsError",
    "WeightsNotFoundError",
]
