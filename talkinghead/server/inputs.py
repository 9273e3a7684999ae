"""Read requests for videos: files and options, as a form or JSON. Names that clients give are never used as paths."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

from liveportrait.errors import PortraitError
from talkinghead.cli.demo import demo_inputs
from talkinghead.inputs.files import WRITTEN
from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions, VoiceOptions
from talkinghead.options import CropOptions, DriveOptions, MotionOptions, Options, RenderOptions

EXAMPLE = "example"
"""What a request says instead of a portrait, to get the one that ships."""

_SERVERS_OWN = {
    "device",
    "precision",
    "landmarks",
    "batch_size",
    "overwrite",
    "concat",
    "tts_command",
    "alpha",
    "captions",
}
"""Options that are the server's business, or that make files which no request can fetch."""

OPTION_GROUPS: dict[str, dict[str, type]] = {
    "speak": {"crop": CropOptions, "motion": MotionOptions, "render": RenderOptions},
    "reenact": {"crop": CropOptions, "drive": DriveOptions, "render": RenderOptions},
    "narrate": {
        "crop": CropOptions,
        "motion": MotionOptions,
        "render": RenderOptions,
        "voice": VoiceOptions,
        "scene": SceneOptions,
        "captions": CaptionOptions,
    },
}


@dataclass(frozen=True)
class Inputs:
    """What a request holds.

    Attributes:
        files: Where each file was saved.
        texts: Each text.
        options: All options.
    """

    files: dict[str, Path]
    texts: dict[str, str]
    options: Any


async def read_inputs(request: Request, kind: str, files: Collection[str], texts: Collection[str], to: Path) -> Inputs:
    """Save the files of a request, and check its texts and options.

    Args:
        request: A form, or a JSON object with files in base64.
        kind: speak, reenact or narrate.
        files: Names of the files that are needed.
        texts: Names of the texts that are needed.
        to: The folder to save them in.

    Raises:
        HTTPException: The request holds something else, with the status 400, 415 or 422.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/json":
        given = _read_object(await request.body(), "the request")
    elif content_type == "multipart/form-data":
        form = await request.form(max_files=len(files), max_fields=len(texts) + len(files) + 1)
        given = dict(form)
    else:
        raise HTTPException(415, f"send multipart/form-data or application/json, not {content_type or 'nothing'!r}")
    if unknown := sorted(given.keys() - {*files, *texts, "options"}):
        raise HTTPException(422, f"unknown field {unknown[0]!r}: give {', '.join([*files, *texts, 'options'])}")
    saved = {name: await _save(name, given.get(name), to) for name in files}
    read = {name: _text(name, given.get(name)) for name in texts}
    return Inputs(saved, read, read_options(kind, given.get("options")))


def read_options(kind: str, given: object) -> Any:
    """Make options of `{"crop": {"face_only": true}, ...}`, or of its JSON text.

    Raises:
        HTTPException: An option is unknown, names a file, or has an invalid value.
    """
    groups = OPTION_GROUPS[kind]
    named = _read_object(given, "options") if isinstance(given, str) else given
    if named is None:
        named = {}
    if not isinstance(named, Mapping):
        raise HTTPException(422, 'options must be an object such as {"motion": {"seed": 7}}')
    made = {}
    for name, values in named.items():
        if name not in groups:
            raise HTTPException(422, f"options: {name!r} is none of {', '.join(groups)}")
        if not isinstance(values, Mapping):
            raise HTTPException(422, f"options: {name} must be an object")
        allowed = allowed_options(groups[name])
        if unknown := [key for key in values if key not in allowed]:
            raise HTTPException(422, f"options: {name} has no option {str(unknown[0])!r}: {', '.join(sorted(allowed))}")
        try:
            made[name] = groups[name](**values)
        except (PortraitError, TypeError) as error:
            raise HTTPException(422, f"options: {error}") from None
    voice = made.get("voice")
    if voice is not None and not voice.voice.isalpha():
        raise HTTPException(422, f"options: voice {voice.voice!r} is not one of the built-in voices, such as heart")
    return NarrationOptions(**made) if kind == "narrate" else Options(**made)


def allowed_options(group: type) -> set[str]:
    """List the options that a client may set; those that may name files are not among them."""
    names = {each.name for each in fields(group) if each.metadata.get("names_file") is None}
    return names - _SERVERS_OWN - WRITTEN


async def _save(name: str, given: object, folder: Path) -> Path:
    if name == "portrait" and given == EXAMPLE:
        return demo_inputs().portrait
    file = folder / name
    if isinstance(given, UploadFile):
        with file.open("xb") as target:
            while piece := await given.read(1 << 20):
                target.write(piece)
    elif isinstance(given, str) and given:
        file.write_bytes(decode_base64(name, given))
    else:
        raise HTTPException(422, f"{name} is missing: send the file, or in JSON its bytes in base64")
    if not file.stat().st_size:
        raise HTTPException(422, f"{name} is empty")
    return file


def decode_base64(name: str, text: str) -> bytes:
    """Decode base64, or a data URL.

    Raises:
        HTTPException: It is none.
    """
    try:
        return base64.b64decode(text.partition(";base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        raise HTTPException(422, f"{name} is not base64") from None


def _text(name: str, given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise HTTPException(422, f"{name} is missing: send it as text")
    return given


def _read_object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{what}: not JSON ({error})") from None
    if not isinstance(read, dict):
        raise HTTPException(422, f"{what}: must be a JSON object")
    return read
