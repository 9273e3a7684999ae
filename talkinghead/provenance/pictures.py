"""Write pictures with the marks of their origin."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from talkinghead.media.files import new_output
from talkinghead.media.image import PICTURE_SUFFIXES, Picture
from talkinghead.provenance.label import open_label
from talkinghead.provenance.manifest import open_signer
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.tags import picture_tags
from talkinghead.provenance.watermark import open_watermark


def write_picture(picture: Picture, file: Path, marks: Marks, *, overwrite: bool = False) -> None:
    """Write a picture in the format of the file's suffix; on failure leave no file.

    Raises:
        OutputError: The file cannot be written.
        PortraitError: It cannot be signed.
    """
    signer, kind = open_signer(marks, file.suffix), PICTURE_SUFFIXES[file.suffix.lower()]
    height, width, _ = picture.shape
    label, watermark = open_label(marks, (height, width)), open_watermark(marks)
    picture = label.draw(picture) if label else picture
    picture = watermark.lay_on_picture(picture) if watermark else picture
    with new_output(file, overwrite=overwrite) as partial:
        Image.fromarray(picture).save(partial, format=kind, quality=95, **picture_tags(marks.source_type, kind))
        if signer:
            signer.sign(partial, file)
