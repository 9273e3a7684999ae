"""Requests for the OpenAPI page."""

from __future__ import annotations

from typing import Any

_FILES = {"portrait": "The portrait: a picture. The word example stands for the one that ships."}
_KINDS: dict[str, dict[str, Any]] = {
    "speak": {
        "files": _FILES | {"audio": "The voice: WAV, MP3, FLAC, Ogg, M4A, or a video with sound."},
        "options": {"motion": {"seed": 7}, "crop": {"face_only": True, "size": 256}},
    },
    "reenact": {
        "files": _FILES | {"driver": "The video or picture of a face to follow."},
        "options": {"drive": {"region": "lip+eyes"}, "render": {"fps": "25"}},
    },
    "narrate": {
        "files": _FILES,
        "texts": {"script": "What to read: plain text or Markdown."},
        "options": {"voice": {"speed": 1.1}, "captions": {"burn": True}},
    },
}


def job_request(kind: str) -> dict[str, Any]:
    """Describe the request of one kind of job as OpenAPI has it, with an example."""
    described = _KINDS[kind]
    files, texts = described["files"], described.get("texts", {})
    form: dict[str, Any] = {
        name: {"type": "string", "format": "binary", "description": meaning} for name, meaning in files.items()
    }
    encoded: dict[str, Any] = {
        name: {"type": "string", "description": f"{meaning} In base64."} for name, meaning in files.items()
    }
    for properties in (form, encoded):
        properties.update({name: {"type": "string", "description": meaning} for name, meaning in texts.items()})
    form["options"] = {"type": "string", "description": "Options as JSON."}
    encoded["options"] = {"type": "object", "description": "Options by group."}
    example = {name: "example" if name == "portrait" else "UklGRi…" for name in files}
    example |= dict.fromkeys(texts, "Hello. This is a test.")
    required = [*files, *texts]
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {"type": "object", "properties": form, "required": required}},
                "application/json": {
                    "schema": {"type": "object", "properties": encoded, "required": required},
                    "example": {**example, "options": described["options"]},
                },
            },
        }
    }
