"""Plain tags that say that a file is generated, for programs that read metadata but no manifests."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from av.error import FFmpegError
from PIL.PngImagePlugin import PngInfo

from talkinghead.errors import ImageError
from talkinghead.media.container import open_container
from talkinghead.media.picture_formats import open_picture
from talkinghead.provenance.marks import COMPOSITE, GENERATED

_COMMENT = "AI-generated: a portrait animated by Talkinghead. What it shows was not filmed."
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'Iptc4xmpExt:DigitalSourceType="{source_type}" xmp:CreatorTool="{generator}">'
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{comment}</rdf:li></rdf:Alt></dc:description>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def video_tags(source_type: str) -> dict[str, str]:
    """Return the tags of a video, by name."""
    return {
        "comment": _COMMENT,
        "ai_generated": "true",
        "digital_source_type": source_type,
        "generator": _generator(),
    }


def picture_tags(source_type: str, file_format: str) -> dict[str, object]:
    """Return the tags of a picture as arguments of Pillow's `save`: IPTC's source type in XMP.

    Args:
        source_type: IPTC's digital source type.
        file_format: Pillow's name of the format.
    """
    xmp = _XMP.format(source_type=source_type, generator=_generator(), comment=_COMMENT)
    if file_format != "PNG":
        return {"xmp": xmp.encode()}
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    return {"pnginfo": info}


def read_tags(file: Path) -> tuple[str, ...]:
    """Return the tags of a picture, sound or video that say that it is generated; none of a file that is neither."""
    try:
        with open_picture(file) as image:
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
            found = xmp if isinstance(xmp, str) else xmp.decode(errors="replace")
            return tuple(term for term in (GENERATED, COMPOSITE) if term in found)
    except ImageError:
        pass
    try:
        with open_container(file) as container:
            given = {name.lower(): value for name, value in container.metadata.items()}
    except (FFmpegError, OSError):
        return ()
    names = ("ai_generated", "digital_source_type", "comment")
    return tuple(f"{name}: {given[name]}" for name in names if _says_generated(name, given.get(name, "")))


def _says_generated(name: str, value: str) -> bool:
    return value in {GENERATED, COMPOSITE, "true"} or (name == "comment" and value.startswith("AI-generated"))


def _generator() -> str:
    return f"talkinghead {version('talkinghead')}"
