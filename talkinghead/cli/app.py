"""The command line: its commands, and how one is run. Defaults come from `talkinghead.options`, not from here."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated

import typer

from liveportrait.errors import PortraitError
from talkinghead.cli.batch import batch
from talkinghead.cli.deny import deny
from talkinghead.cli.download import download
from talkinghead.cli.edit import edit
from talkinghead.cli.idle import idle
from talkinghead.cli.live import live
from talkinghead.cli.narrate import narrate
from talkinghead.cli.reenact import reenact, template
from talkinghead.cli.report import INTERRUPTED, fail
from talkinghead.cli.serve import serve
from talkinghead.cli.speak import demo, speak
from talkinghead.cli.ui import ui
from talkinghead.cli.verify import verify
from talkinghead.host.process import native_output_hidden, settle_process

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a portrait and a voice into a video of that portrait speaking.",
)
for _command in (speak, reenact, template, edit, idle, live, download, demo, narrate, batch, serve, ui, verify, deny):
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _talkinghead(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"talkinghead {version_of('talkinghead')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str], *, own_process: bool = False) -> None:
    """Run a command; `talkinghead.cli.main` adds the exit code after an interruption.

    Args:
        arguments: What the user said.
        own_process: Whether the process ends with the command.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C.
        SystemExit: The command failed; the reason has been printed.
    """
    settle_process()
    with nullcontext() if "--debug" in arguments else native_output_hidden(restore=not own_process):
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    try:
        if app(args=list(arguments), standalone_mode=False) == INTERRUPTED:  # returned by some versions of typer
            raise KeyboardInterrupt
    except typer.Abort:
        raise KeyboardInterrupt from None
    except PortraitError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        fail(str(error))
    except Exception as error:
        # The class of usage errors depends on the version of typer; all of them can format themselves in one line.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        fail(f"{format_message().rstrip('.')}; see talkinghead --help")
