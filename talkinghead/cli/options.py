"""Turn option classes into command-line options, so that no command repeats them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import Field, fields
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from talkinghead.inputs.settings import former_names
from talkinghead.options import Options

PORTRAIT = "Portrait: PNG, JPEG, WebP, HEIC, AVIF, BMP or TIFF."

Portrait = Annotated[Path, typer.Argument(help=PORTRAIT)]
Model = Annotated[str, typer.Option(help="Model: mini (built in), base or animals (downloaded once), or a folder.")]
VoiceModel = Annotated[
    str,
    typer.Option(
        help="Speech-to-motion model: mini (built in), joyvasa (downloaded once; for base and animals), or a folder."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback for errors.")]

_METAVARS = {int: "<int>", float: "<float>"}
"""What `--help` calls values; everything but switches arrives as text, which the option classes read."""


def takes(
    *classes: type, only: Collection[str] | None = None, leave: Collection[str] = (), into: type = Options
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every option of some option classes, and the options made of them as `options`.

    Args:
        classes: Parts of `into`; the others keep their defaults.
        only: Names of the options to give; all of them unless given.
        leave: Names of options to leave out.
        into: What the options are made of.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command, eval_str=True).parameters
        added = {
            cls: {
                each.name: _parameter(cls, each)
                for each in fields(cls)
                if (only is None or each.name in only) and each.name not in leave
            }
            for cls in classes
        }

        defaults = {name: each.default for names in added.values() for name, each in names.items()}
        former = {old: name for old, name in former_names(*classes).items() if name in defaults}

        @wraps(command)
        def run(**given: Any) -> None:
            for old, name in former.items():
                if (value := given.pop(old)) is not None:
                    given[name] = value
            parts = {cls: cls(**{name: given.pop(name) for name in names}) for cls, names in added.items()}
            names = {field.name: get_type_hints(into)[field.name] for field in fields(into)}
            options = into(**{name: parts[cls] for name, cls in names.items() if cls in parts})
            command(options=options, **given)

        parameters = [value for name, value in own.items() if name != "options"]
        parameters += [parameter for each in added.values() for parameter in each.values()]
        parameters += [_hidden_switch(old, defaults[name]) for old, name in former.items()]
        ordered = [value.replace(kind=Parameter.KEYWORD_ONLY) for value in parameters]
        run.__signature__ = signature(command).replace(parameters=ordered)  # type: ignore[attr-defined]
        run.__annotations__ = {value.name: value.annotation for value in ordered}
        return run

    return decorate


def _hidden_switch(name: str, default: bool) -> Parameter:
    """Describe a switch by its former name, which `--help` does not show."""
    flag = name.replace("_", "-")
    described = typer.Option(f"--{flag}/--no-{flag}" if default else f"--{flag}", hidden=True)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[bool | None, described])


def _parameter(options: type, option: Field[Any]) -> Parameter:
    """Describe one command-line option by the field that holds its meaning."""
    kinds = {*get_args(kind := get_type_hints(options)[option.name]), kind}
    # What is off by default needs no second switch to turn it off.
    name = option.metadata["flag"] or option.name.replace("_", "-")
    switch = [f"--{name}"] if option.default is False or option.metadata["flag"] else []
    metavar = next((word for number, word in _METAVARS.items() if number in kinds), None)
    described = typer.Option(*switch, help=option.metadata["meaning"], metavar=metavar)
    if bool in kinds:
        default, taken = option.default, bool
    else:
        default, taken = None if option.default is None else str(option.default), str | None
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[taken, described])
