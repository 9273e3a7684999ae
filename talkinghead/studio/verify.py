"""The tab Verify: what a file shows of its origin."""

from __future__ import annotations

import html
import shlex
from pathlib import Path
from typing import Any

import gradio as gr

import talkinghead
from talkinghead.cli.verify import lines_of
from talkinghead.studio.result import SHOWN
from talkinghead.studio.runs import without_folders
from talkinghead.studio.source import fault
from talkinghead.studio.studio import Studio


def build(studio: Studio) -> None:
    """Fill the tab."""
    gr.Markdown("Choose a picture or a video: is it signed as generated, is it unchanged, does it have a watermark?")
    file = gr.File(label="File to look at", height=160)
    found = gr.HTML()
    with gr.Row(visible=False) as taught:
        command = gr.Code(label="Command line", language="shell", **SHOWN)
        python = gr.Code(label="Python", language="python", **SHOWN)

    def look(path: str | None) -> list[Any]:
        if path is None:
            return ["", gr.update(visible=False), "", ""]
        try:
            lines = [without_folders(line, studio.folder) for line in lines_of(talkinghead.verify(path))]
        except talkinghead.PortraitError as error:
            return [fault(studio.runs.line(error)), gr.update(visible=False), "", ""]
        text = "".join(f"<li>{html.escape(line)}</li>" for line in lines[1:])
        answer = f'<div role="status"><p><b>{html.escape(lines[0])}</b></p><ul>{text}</ul></div>'
        return [answer, gr.update(visible=True), *written(Path(path).name)]

    file.change(look, file, [found, taught, command, python])


def written(name: str) -> tuple[str, str]:
    """Return the command and the Python that look at a file."""
    shown = f"./{name}" if name.startswith("-") else name
    return shlex.join(["talkinghead", "verify", shown]), f"import talkinghead\n\nfound = talkinghead.verify({name!r})"
