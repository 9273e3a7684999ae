"""What all tabs share: the networks, the runs and the files of every open page."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

import numpy as np

import talkinghead
from talkinghead.options import MODEL, VOICE_MODEL
from talkinghead.provenance.deny_list import DenyList
from talkinghead.studio.call import Call
from talkinghead.studio.runs import Runs

_EDITORS = 8
"""Portraits that stay encoded for live previews."""
PREVIEW_SIDE = 256
"""Side of a live preview in pixels."""


class Studio:
    """The studio behind the pages.

    Args:
        folder: A private folder; uploads lie below it too.
        models: The networks; None to load those that a call names.
        denied: Portraits that may not be animated.
    """

    def __init__(self, folder: Path, models: talkinghead.Models | None = None, denied: DenyList | None = None) -> None:
        self.folder, self._denied = folder, denied or DenyList()
        self._given, self._loaded = models, {}
        self._lock = threading.RLock()  # opening an editor loads the networks
        self.runs = Runs(folder / "runs", self.load)
        self._editor = lru_cache(_EDITORS)(self._open_editor)
        self.find_faces = lru_cache(_EDITORS)(self._find_faces)

    def load(self, call: Call) -> talkinghead.Models:
        """Return the networks of a call; only those that were used last stay loaded.

        Raises:
            DeniedError: Its source may not be animated.
        """
        render = call.options.render
        models = self._models(call.model, render.device, call.voice_model, render.precision, render.landmarks)
        self._denied.check(call.inputs[0], models.faces)
        return models

    def models(self) -> talkinghead.Models:
        """Return the default networks."""
        render = talkinghead.RenderOptions()
        return self._models(MODEL, render.device, VOICE_MODEL, render.precision, render.landmarks)

    def preview(self, file: str, face: int | None, edited: talkinghead.EditOptions) -> np.ndarray:
        """Return a face of an uploaded picture, or of the first frame of a video, with its sliders moved."""
        with self._lock:
            editor = self._editor(file, face)
        return editor.render(edited)

    def close(self) -> None:
        """Stop everything and remove all files."""
        self.runs.close()

    def _models(self, *named: str) -> talkinghead.Models:
        if self._given is not None:
            return self._given
        with self._lock:
            if named not in self._loaded:
                self._loaded = {named: talkinghead.load_models(*named)}
            return self._loaded[named]

    def _find_faces(self, file: str) -> talkinghead.FoundFaces:
        """Return the faces of an uploaded picture or video; `find_faces` remembers the latest."""
        self._denied.check(file, self.models().faces)
        return talkinghead.find_faces(file, model=self.models())

    def _open_editor(self, file: str, face: int | None) -> talkinghead.Editor:
        crop = talkinghead.CropOptions(face=face, face_only=True, size=PREVIEW_SIDE)
        return talkinghead.Editor(
            self.find_faces(file).picture, options=talkinghead.Options(crop=crop), model=self.models()
        )
