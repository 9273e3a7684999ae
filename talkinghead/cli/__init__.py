"""The command line, one file for each family of commands. Start with `app.py`."""

from talkinghead.cli.entry import main

__all__ = ["main"]
