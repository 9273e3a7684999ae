"""Jobs: what a YAML file asks for, checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.narrate.options import NarrationOptions
from talkinghead.options import MODEL, VOICE_MODEL, Options


@dataclass(frozen=True)
class Command:
    """A command that jobs may give.

    Attributes:
        inputs: Its arguments that are files to read.
        options: What its options are made of.
    """

    inputs: tuple[str, str]
    options: type


COMMANDS = {
    "speak": Command(("image", "audio"), Options),
    "reenact": Command(("source", "driver"), Options),
    "narrate": Command(("avatar", "script"), NarrationOptions),
}
_PATHS = {"work", "slides", "audio", "caption_font", "background"}
"""Options that may name a file; as seen from the file of jobs, like everything else in it."""


@dataclass(frozen=True)
class Job:
    """One video to make.

    Attributes:
        name: What reports call it: its output unless the file says otherwise.
        command: One of `COMMANDS`.
        inputs: The files to read, in the command's order.
        output: The file to write.
        model: What renders.
        voice_model: What hears.
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
        """Return the options that the settings stand for.

        Raises:
            OptionError: A setting is unknown or out of range.
        """
        return build_options(COMMANDS[self.command].options, self.settings, self.name)


def read_jobs(path: str | Path) -> list[Job]:
    """Read a file of jobs; docs/narrate.md describes it.

    A job whose settings or inputs are wrong is no mistake of the file's: it fails when its turn comes, and the rest
    go on.

    Raises:
        InputNotFoundError: There is no such file.
        OptionError: It is no list of jobs, or two jobs have the same output.
    """
    file = Path(path)
    if not file.is_file():
        raise InputNotFoundError(f"{file}: no such file of jobs")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{file}: no YAML can be read ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not isinstance(content.get("jobs"), list) or not content["jobs"]:
        raise OptionError(f"{file}: has no list called jobs; docs/narrate.md shows one")
    defaults = content.get("defaults") or {}
    if not isinstance(defaults, dict) or set(content) - {"jobs", "defaults"}:
        raise OptionError(f"{file}: may hold jobs and defaults (names and values), and nothing else")
    jobs = [_job(file, number, defaults, given) for number, given in enumerate(content["jobs"], 1)]
    outputs = [job.output for job in jobs]
    for job in jobs:
        if outputs.count(job.output) > 1:
            raise OptionError(f"{file}: two jobs write {job.output}; give each a name of its own")
    return jobs


def _job(file: Path, number: int, defaults: Mapping[str, Any], given: Any) -> Job:
    where = f"{file}: job {number}"
    if not isinstance(given, dict):
        raise OptionError(f"{where} must be a mapping of names to values, not {type(given).__name__}")
    values = {**defaults, **given}
    name = values.pop("command", "speak")
    if name not in COMMANDS:
        raise OptionError(f"{where}: command {name!r} is none of {', '.join(COMMANDS)}")
    needed = (*COMMANDS[name].inputs, "output")
    missing = [each for each in needed if not isinstance(values.get(each), str)]
    if missing:
        raise OptionError(f"{where}: {name} needs {', '.join(needed)}; {missing[0]} is missing")
    first, second, output = (file.parent / values.pop(each) for each in needed)
    model, voice_model = (str(values.pop(*each)) for each in (("model", MODEL), ("voice_model", VOICE_MODEL)))
    title = str(values.pop("name", output))
    settings = {key: _as_seen_from(file, value) if key in _PATHS else value for key, value in values.items()}
    return Job(title, name, (first, second), output, model, voice_model, settings)


def build_options(container: type, settings: Mapping[str, Any], name: str) -> Any:
    """Make an options object of settings by name, whichever part they belong to.

    Raises:
        OptionError: A setting is unknown or out of range.
    """
    parts = get_type_hints(container)
    known = {option.name for part in parts.values() for option in fields(part)}
    unknown = [setting for setting in settings if setting not in known]
    if unknown:
        raise OptionError(f"{name}: there is no setting {unknown[0]!r}")
    made = {}
    for part, kind in parts.items():
        names = {option.name for option in fields(kind)}
        try:
            made[part] = kind(**{key: value for key, value in settings.items() if key in names})
        except TypeError as error:
            raise OptionError(f"{name}: a setting has a value of the wrong kind ({error})") from None
    return container(**made)


def _as_seen_from(file: Path, value: Any) -> Any:
    path = file.parent / str(value)
    return str(path) if path.exists() else value
