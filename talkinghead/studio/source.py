"""The input for a source: an upload, a look at the faces in it, and the choice of one by a click or a key."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

import talkinghead
from talkinghead.cli.demo import demo_inputs
from talkinghead.studio.studio import Studio

_SIDE = 640
"""Longer side of the picture that is shown."""
_COLOUR, _CHOSEN = (255, 176, 0), (0, 200, 120)
_LARGEST = "largest"


@dataclass(frozen=True)
class Seen:
    """The faces of an upload as they are shown.

    Attributes:
        picture: The shown picture, shape (H, W, 3).
        boxes: (left, top, right, bottom) of each face in its pixels.
    """

    picture: np.ndarray
    boxes: tuple[tuple[float, float, float, float], ...]

    def at(self, x: float, y: float) -> int | None:
        """Return the face at a point, or None."""
        hit = (
            n for n, (left, top, right, bottom) in enumerate(self.boxes) if left <= x <= right and top <= y <= bottom
        )
        return next(hit, None)

    def drawn(self, chosen: int | None) -> np.ndarray:
        """Return the picture with a numbered box around each face, if there are several."""
        image = Image.fromarray(self.picture)
        if len(self.boxes) > 1:
            pen = ImageDraw.Draw(image)
            for n, box in enumerate(self.boxes):
                colour = _CHOSEN if n == chosen else _COLOUR
                pen.rectangle(box, outline=colour, width=4)
                pen.text(
                    (box[0] + 6, box[1] + 4), str(n), fill=colour, font_size=28, stroke_width=2, stroke_fill="black"
                )
        return np.asarray(image)


class SourceInput:
    """The components, in the current column; `components` are inputs of the functions that `read` their values."""

    def __init__(self, studio: Studio, label: str = "Picture or video of a face") -> None:
        self._studio = studio
        self.file = gr.File(label=label, height=160)
        self.example = gr.Button("Use the example: Grace M. Hopper", size="sm")
        self.message = gr.HTML()
        self._picture = gr.Image(
            label="The source",
            interactive=False,
            height=300,
            visible=False,
            format="jpeg",
            buttons=[],
        )
        self._face = gr.Radio([], label="Which face? Click one, or choose its number", visible=False)
        self._seen = gr.State()
        self.file.change(
            self.look, self.file, [self._seen, self._picture, self._face, self.message], show_progress_on=self.message
        )
        self._picture.select(self._click, self._seen, self._face, queue=False, show_progress="hidden")
        self._face.change(self._mark, [self._seen, self._face], self._picture, queue=False, show_progress="hidden")
        self.example.click(lambda: str(demo_inputs().portrait), None, self.file, queue=False)

    @property
    def components(self) -> list[Any]:
        """The components whose values `read` takes."""
        return [self.file, self._face]

    def read(self, values: Sequence[Any]) -> tuple[Path, int | None]:
        """Return the file, and the number of the face if one was chosen.

        Raises:
            PortraitError: There is no file.
        """
        file, face = values
        return given(file, "a picture or a video"), None if face in (None, _LARGEST) else int(face)

    def look(self, file: str | None) -> tuple[Any, Any, Any, str]:
        """Find the faces of an upload and show them, or say in one line why it cannot be used."""
        hidden = gr.update(visible=False)
        if file is None:
            return None, hidden, gr.update(choices=[], value=None, visible=False), ""
        try:
            found = self._studio.find_faces(file)
        except talkinghead.PortraitError as error:
            return None, hidden, gr.update(choices=[], value=None, visible=False), fault(self._studio.runs.line(error))
        seen = _shrunk(found)
        choices: list[Any] = [(str(n), n) for n in range(len(seen.boxes))]
        several = len(choices) > 1
        face = gr.update(choices=choices, value=found.largest if several else None, visible=several)
        return seen, gr.update(value=seen.drawn(found.largest), visible=True), face, ""

    def _click(self, seen: Seen | None, click: gr.SelectData) -> Any:
        face = seen.at(*click.index) if seen else None
        return gr.skip() if face is None else face

    def _mark(self, seen: Seen | None, face: int | None) -> Any:
        return gr.skip() if seen is None else seen.drawn(face)


def given(file: Any, what: str) -> Path:
    """Return an uploaded file.

    Raises:
        InputNotFoundError: There is none.
    """
    if not file:
        raise talkinghead.InputNotFoundError(f"{what} is missing: upload one, or use the example")
    return Path(file)


def fault(line: str) -> str:
    """Return a message about a mistake for the page."""
    return f'<p class="fault" role="alert">{html.escape(line)}</p>'


def _shrunk(found: talkinghead.FoundFaces) -> Seen:
    height, width = found.picture.shape[:2]
    ratio = min(_SIDE / max(height, width), 1.0)
    size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    picture = np.asarray(Image.fromarray(found.picture).resize(size, Image.Resampling.LANCZOS))
    corners = ((box.left, box.top, box.left + box.width, box.top + box.height) for box in found.boxes)
    return Seen(picture, tuple(tuple(ratio * value for value in box) for box in corners))  # type: ignore[misc]
