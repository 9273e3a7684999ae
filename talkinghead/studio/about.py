"""The tab About: models, licences, limits, and whose face may be animated."""

from __future__ import annotations

from importlib.resources import files

import gradio as gr

import talkinghead
from talkinghead.studio.examples import example
from talkinghead.studio.player import address


def build() -> None:
    """Fill the tab."""
    text = (files("talkinghead") / "studio" / "about.md").read_text(encoding="utf-8")
    gr.Markdown(text.replace("VERSION", talkinghead.__version__))
    gr.HTML(
        f'<img class="preview" alt="The example portrait" src="{address(example("portrait.jpg"))}">'
        "<p>The example portrait: Commodore Grace M. Hopper, United States Navy, 1984, public domain.</p>"
    )
