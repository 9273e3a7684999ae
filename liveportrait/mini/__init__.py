"""The embedded model: small networks on face-mesh landmarks, shipped with the package."""

from liveportrait.mini.model import MiniLivePortrait, load, save

__all__ = ["MiniLivePortrait", "load", "save"]
