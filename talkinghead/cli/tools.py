"""Run the command lines of training and evaluation."""

from __future__ import annotations

import typer

from liveportrait.errors import PortraitError
from liveportrait.printing import checked_stdout
from talkinghead.cli.report import fail


def new_app(help_text: str) -> typer.Typer:
    """Create an app whose errors are not decorated."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=help_text)


def run_app(app: typer.Typer) -> None:
    """Run an app with the arguments of the process; a user error ends in one line and exit code 1."""
    with checked_stdout():
        try:
            app()
        except PortraitError as error:
            fail(str(error))
