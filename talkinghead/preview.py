"""What an interactive program shows before a video is made: the faces of a source, and a face edited at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkinghead import pipeline
from talkinghead.driver.sliders import constant_sliders
from talkinghead.face.detect import Face, choose_face, usable_faces
from talkinghead.host.isolation import own_settings
from talkinghead.inputs.option_values import PixelBox
from talkinghead.media.image import Picture
from talkinghead.media.video import VideoFile
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, EditOptions, Options, StrPath
from talkinghead.source.framing import faces_in, part_of
from talkinghead.source.given import name_of, read_moving, read_picture
from talkinghead.source.image import open_image_source
from talkinghead.source.video import first_faces


@dataclass(frozen=True)
class FoundFaces:
    """The faces of a picture, or of the first frame of a video that shows any.

    Attributes:
        picture: The picture or the frame, RGB, shape (H, W, 3), uint8.
        boxes: A box around each face in pixels, in the order in which `CropOptions.face` counts.
        largest: Index of the face that is animated where none is chosen.
    """

    picture: Picture
    boxes: tuple[PixelBox, ...]
    largest: int


@own_settings()
def find_faces(
    source: StrPath | Picture, *, options: Options | None = None, model: str | Path | Models = MODEL
) -> FoundFaces:
    """Find the faces of a picture or a video, so that somebody can choose one.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8; or a video.
        options: Where to search (`box`) and how sure to be (`detection_threshold`).
        model: "mini", "base", "animals" or a directory; or the result of `load_models`.

    Raises:
        PortraitError: The source cannot be read, or shows no face that is large enough.

    Example:
        >>> import talkinghead
        >>> found = talkinghead.find_faces("portrait.png")
        >>> left, top, width, height = found.boxes[found.largest]
    """
    options = options or Options()
    shown, name = read_moving(source), name_of(source)
    models = load_models_for(options.render, model)
    if isinstance(shown, VideoFile):
        _, picture, faces = first_faces(shown, models, options.crop)
    else:
        picture = shown
        faces = faces_in(picture, part_of(picture, name, options.crop.box, 1.0), models.faces, options.crop)
    largest = choose_face(faces, None, name)
    usable = usable_faces(faces)
    return FoundFaces(picture, tuple(map(_box_of, usable)), [face is largest for face in usable].index(True))


class Editor:
    """Edits one face again and again: it is found and encoded only once, so each change is shown at once.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        options: How to crop, and where to compute; the sliders in it are not used.
        model: As in `talkinghead.edit`.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import talkinghead
        >>> editor = talkinghead.Editor("portrait.png")
        >>> smiling = editor.render(talkinghead.EditOptions(smile=0.5))
    """

    def __init__(
        self, source: StrPath | Picture, *, options: Options | None = None, model: str | Path | Models = MODEL
    ) -> None:
        self._options = options or Options()
        picture, name = read_picture(source)
        render = self._options.render
        self._models = load_models_for(render, model)
        self._source = open_image_source(picture, name, self._models, self._options.crop)

    def render(self, edited: EditOptions) -> Picture:
        """Return the picture with the face edited, RGB, shape (H, W, 3), uint8; `keyframes` are not used.

        Raises:
            PortraitError: The model cannot do what a slider asks.
        """
        options = Options(crop=self._options.crop, edit=edited, render=self._options.render)
        return next(iter(pipeline.edit(self._source, constant_sliders(edited), self._models, options)))


def _box_of(face: Face) -> PixelBox:
    """Return an upright box around the mesh."""
    (left, top), (right, bottom) = face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)
    return PixelBox(float(left), float(top), float(right - left), float(bottom - top))
