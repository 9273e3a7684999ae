"""One call of the public API: made here, and written as a command line, as Python and as a job of a batch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import talkinghead
from talkinghead.options import MODEL, VOICE_MODEL

INPUTS: Mapping[str, tuple[str, ...]] = {
    "speak": ("source", "audio"),
    "reenact": ("source", "driver"),
    "edit": ("source",),
    "narrate": ("source", "script"),
}
"""The commands that the studio calls, and the names of their inputs in order."""


@dataclass(frozen=True)
class Call:
    """A call of `speak`, `reenact`, `edit` or `narrate`.

    Attributes:
        command: One of `INPUTS`.
        inputs: Its files in order.
        options: An `Options`, for `narrate` a `NarrationOptions`.
        output: The name of the file that it writes.
        model: The renderer.
        voice_model: The speech-to-motion model.
        notes: What a reader of the command needs to know, such as what a file of it holds.
    """

    command: str
    inputs: tuple[Path, ...]
    options: Any
    output: str = "out.mp4"
    model: str = MODEL
    voice_model: str = VOICE_MODEL
    notes: tuple[str, ...] = ()

    def run(self, folder: Path, progress: Any, models: talkinghead.Models) -> talkinghead.Summary:
        """Make the file in a folder; the models are those that `model` and `voice_model` name."""
        function = getattr(talkinghead, self.command)
        return function(*self.inputs, folder / self.output, options=self.options, model=models, progress=progress)

    def command_line(self) -> str:
        """Return the command that makes the same file."""
        words = ["talkinghead", self.command, *(_argument(file.name) for file in self.inputs), "-o", self.output]
        for _, option, value in self._changed():
            flag = _outer_name(option).replace("_", "-")
            words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", value]
        for name, value in self._models():
            words += [f"--{name.replace('_', '-')}", value]
        return "\n".join([*(f"# {note}" for note in self.notes), shlex.join(map(str, words))])

    def python(self) -> str:
        """Return the Python that makes the same file."""
        groups: dict[str, list[str]] = {}
        for group, option, value in self._changed():
            groups.setdefault(group, []).append(f"{option.name}={value!r}")
        given = [*map(repr, (file.name for file in self.inputs)), repr(self.output)]
        if groups:
            kinds = {each.name: type(getattr(self.options, each.name)).__name__ for each in fields(self.options)}
            parts = [f"        {name}=talkinghead.{kinds[name]}({', '.join(made)}),\n" for name, made in groups.items()]
            given.append(f"options=talkinghead.{type(self.options).__name__}(\n{''.join(parts)}    )")
        given += [f"{name}={value!r}" for name, value in self._models()]
        lines = [*(f"# {note}" for note in self.notes), "import talkinghead", ""]
        return "\n".join([*lines, f"summary = talkinghead.{self.command}("]) + "".join(
            [*(f"\n    {each}," for each in given), "\n)"]
        )

    def job(self, output: str) -> dict[str, Any]:
        """Return an item of the `jobs` of `talkinghead batch` that makes the same file.

        Args:
            output: The name of the file, which no other job of the batch may have.
        """
        named = zip(INPUTS[self.command], (file.name for file in self.inputs), strict=True)
        settings = {_outer_name(option): value for _, option, value in self._changed()}
        return {"command": self.command, **dict(named), "output": output, **settings, **dict(self._models())}

    def _changed(self) -> Iterator[tuple[str, Field[Any], Any]]:
        """Yield the group's name, the option and its value, as a user writes it, where that is not the default."""
        for group in fields(self.options):
            options = getattr(self.options, group.name)
            for each in fields(options):
                value = getattr(options, each.name)
                if value != getattr(type(options)(), each.name):
                    yield group.name, each, _written(value, each.metadata["names_file"])

    def _models(self) -> Iterator[tuple[str, str]]:
        if self.model != MODEL:
            yield "model", self.model
        if self.voice_model != VOICE_MODEL and self.command in {"speak", "narrate"}:
            yield "voice_model", self.voice_model


def _outer_name(option: Field[Any]) -> str:
    """Return an option's name on the command line and in files of jobs."""
    return option.metadata["flag"] or option.name


def _written(value: Any, names_file: Any) -> Any:
    """Return a value as a command, a job and Python take it; of a file only the name."""
    if isinstance(value, str) and names_file is not None and names_file(value):
        return Path(value).name
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple) and hasattr(value, "width"):
        return ",".join(f"{part:.10g}" for part in value)
    if isinstance(value, tuple):  # a part of a video
        return ":".join("" if part is None else f"{float(part):.10g}" for part in value)
    return value


def _argument(name: str) -> str:
    """Return a file's name so that it cannot be taken for an option."""
    return f"./{name}" if name.startswith("-") else name
