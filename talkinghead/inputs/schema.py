"""Check YAML files with pydantic models, with one-line errors that state the place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from liveportrait.errors import PortraitError
from liveportrait.numerals import read_number, read_whole
from talkinghead.inputs.yaml_files import Document, Place

Checked = TypeVar("Checked")

Name = Annotated[str, Field(max_length=1000)]
"""A title, a file, a name."""

_UNKNOWN = "unknown_name"
_SAID = {
    "string_type": "must be text, not {given}",
    "path_type": "must be text, not {given}",
    "list_type": "must be a list, not {given}",
    "dict_type": "must be a mapping of names to values, not {given}",
    "missing": "{name} is missing",
    "too_short": "is empty",
    "string_too_long": "has more than {max_length} characters",
}
"""Messages for pydantic's kinds of errors."""


class Schema(BaseModel):
    """A mapping of known names to values; it may be empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_names: ClassVar[Mapping[str, str]] = {}
    """Names that are still read, and what each is called now."""
    refused_names: ClassVar[Mapping[str, str]] = {}
    """Names that a file may never use, each with the reason."""

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, given: Any) -> Any:
        if given is None:
            return {}
        if not isinstance(given, dict):
            raise PydanticCustomError("dict_type", "not a mapping")
        for name, reason in cls.refused_names.items():
            if name in given:
                raise ValueError(f"{name}: {reason}")
        given = cls._rename(given)
        known = set(cls.model_fields)
        unknown = next((name for name in given if name not in known), None)
        if unknown is not None and cls.model_config.get("extra") == "forbid":
            raise PydanticCustomError(_UNKNOWN, "unknown", {"name": unknown, "known": ", ".join(sorted(known))})
        return given

    @classmethod
    def _rename(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Replace former names; where a mapping has both names, the former one is left to be refused."""
        present = {old: new for old, new in cls.former_names.items() if new not in given}
        return {present.get(name, name): value for name, value in given.items()}


def number(name: str, low: float, high: float) -> Any:
    """Return the validator of a number between two bounds."""
    return BeforeValidator(lambda given: float(read_number(given, name, low, high)))


def whole(name: str, low: float, high: float) -> Any:
    """Return the validator of a whole number between two bounds."""
    return BeforeValidator(partial(read_whole, name=name, low=low, high=high))


def check(
    kind: type[Checked] | Any, document: Document, wrong: type[PortraitError], content: Any = None, place: Place = ()
) -> Any:
    """Check a document.

    Args:
        kind: A schema, or any type that pydantic knows.
        document: The document; validators find it as their context.
        wrong: The error to raise.
        content: A part to check instead of the whole document.
        place: The place of that part.
    """
    try:
        return TypeAdapter(kind).validate_python(content if place else document.content, context=document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise document.fault((*place, *_place(first)), _say(first), wrong) from None


def beside(file: Path, name: str | Path) -> Path:
    """Return a path relative to the folder of a file."""
    return file.parent / name


def _place(error: ErrorDetails) -> Place:
    if error["type"] == _UNKNOWN:
        return (*error["loc"], error.get("ctx", {})["name"])
    return error["loc"][:-1] if error["type"] == "missing" else error["loc"]


def _say(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == _UNKNOWN:
        return f"{context['name']} means nothing here; it may say {context['known']}"
    if isinstance(raised := context.get("error"), Exception):
        return str(raised)
    said = _SAID.get(error["type"], "{msg}")
    name = error["loc"][-1] if error["loc"] else ""
    return said.format(**context, name=name, msg=error["msg"], given=_kind(error["input"]))


def _kind(given: Any) -> str:
    kinds = {str: "text", list: "a list", dict: "a mapping", type(None): "nothing"}
    return kinds.get(type(given), type(given).__name__)
