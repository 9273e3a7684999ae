"""Read and check the jobs of a YAML file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field as OptionField
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

from pydantic import ConfigDict, Field

from talkinghead.errors import OptionError
from talkinghead.inputs.schema import Name, Schema, beside, check
from talkinghead.inputs.settings import flags, former_names
from talkinghead.inputs.yaml_files import read_document
from talkinghead.media.files import is_same
from talkinghead.narration.options import NarrationOptions
from talkinghead.options import (
    MODEL,
    MODEL_NAMES,
    VOICE_MODEL,
    CropOptions,
    DriveOptions,
    DubOptions,
    MotionOptions,
    Options,
    ProvenanceOptions,
    RenderOptions,
)


class _Job(Schema):
    """The values of every job besides its settings.

    Attributes:
        inputs: Names of the values that are input files.
        options: The class of its options.
        parts: The option groups that its settings belong to.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    former_names: ClassVar = {"image": "source", "avatar": "source"}
    refused_names: ClassVar = {
        "tts_command": "a file of jobs may not name a program to run; use `narrate --tts-command`"
    }
    inputs: ClassVar[tuple[str, str]]
    options: ClassVar[type]
    parts: ClassVar[tuple[type, ...]]

    output: Name
    name: Name | None = None
    model: Name = MODEL
    voice_model: Name = VOICE_MODEL


class _Speak(_Job):
    inputs = ("source", "audio")
    options = Options
    parts = (CropOptions, MotionOptions, DubOptions, RenderOptions, ProvenanceOptions)

    source: Name
    audio: Name


class _Reenact(_Job):
    inputs = ("source", "driver")
    options = Options
    parts = (CropOptions, DriveOptions, RenderOptions, ProvenanceOptions)

    source: Name
    driver: Name


class _Narrate(_Job):
    inputs = ("source", "script")
    options = NarrationOptions
    parts = tuple(get_type_hints(NarrationOptions).values())

    source: Name
    script: Name


COMMANDS: Mapping[str, type[_Job]] = {"speak": _Speak, "reenact": _Reenact, "narrate": _Narrate}
"""The commands of jobs."""


class _Jobs(Schema):
    """The whole file."""

    defaults: dict[str, Any] | None = None
    jobs: Annotated[list[dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True)
class Job:
    """One video to make.

    Attributes:
        name: Its name in reports; by default its output.
        command: One of `COMMANDS`.
        inputs: The input files, in the command's order.
        output: The file to write.
        model: The renderer.
        voice_model: The speech-to-motion model.
        settings: Options by name.
    """

    name: str
    command: str
    inputs: tuple[Path, Path]
    output: Path
    model: str
    voice_model: str
    settings: Mapping[str, Any]

    def options(self) -> Any:
        """Return the options for the settings.

        Raises:
            OptionError: A setting is unknown or out of range.
        """
        kind = COMMANDS[self.command]
        known = {option.name for part in kind.parts for option in fields(part)}
        unknown = next((setting for setting in self.settings if setting not in known), None)
        if unknown is not None:
            raise OptionError(f"there is no setting {unknown!r} of {self.command}")
        made = {}
        for name, part in get_type_hints(kind.options).items():
            if part in kind.parts:
                names = {option.name for option in fields(part)}
                made[name] = part(**{key: value for key, value in self.settings.items() if key in names})
        return kind.options(**made)


def read_jobs(path: str | Path) -> list[Job]:
    """Read a file of jobs; docs/narrate.md describes it.

    Jobs with wrong settings or inputs are not errors of the file: they fail when they are run, and the others
    continue.

    Raises:
        InputNotFoundError: The file does not exist.
        OptionError: The file is not a list of jobs, or two jobs have the same output.
    """
    document = read_document(path, OptionError)
    top: _Jobs = check(_Jobs, document, OptionError)
    jobs, places = [], {}
    for number, given in enumerate(top.jobs):
        place, values = ("jobs", number), {**(top.defaults or {}), **given}
        command = values.pop("command", "speak")
        if not isinstance(command, str) or command not in COMMANDS:
            said = f"command {command!r} is none of {', '.join(COMMANDS)}"
            raise document.fault((*place, "command"), said, OptionError)
        job = _make_job(document.file, command, check(COMMANDS[command], document, OptionError, values, place))
        before = places.setdefault(os.path.abspath(job.output), number)
        if before != number:
            said = f"two jobs write {job.output}, item {before + 1} too; give each a name of its own"
            raise document.fault(place, said, OptionError)
        if is_same(job.output, document.file):
            raise document.fault(place, "its output is this file; give another name", OptionError)
        jobs.append(job)
    return jobs


def _make_job(file: Path, command: str, given: _Job) -> Job:
    first, second = (beside(file, getattr(given, name)) for name in given.inputs)
    output = beside(file, given.output)
    options = {option.name: option for part in given.parts for option in fields(part)}
    present = {**former_names(*given.parts), **flags(*given.parts)}
    named = {present.get(name, name): value for name, value in (given.model_extra or {}).items()}
    settings = {name: _resolve(file, options.get(name), value) for name, value in named.items()}
    model, voice = (
        name if name in MODEL_NAMES else str(beside(file, name)) for name in (given.model, given.voice_model)
    )
    return Job(given.name or str(output), command, (first, second), output, model, voice, settings)


def _resolve(file: Path, option: OptionField[Any] | None, value: Any) -> Any:
    """Return a setting; if it names a file, its path relative to the file of jobs."""
    names_file = option.metadata["names_file"] if option else None
    if names_file is None or not isinstance(value, str) or not names_file(value):
        return value
    return str(beside(file, value))
