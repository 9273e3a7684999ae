"""The page: its tabs, its look, and what belongs to one open page. Start reading here."""

from __future__ import annotations

from importlib.resources import files

import gradio as gr
from gradio.themes import Font, Soft

from talkinghead.studio import about, batch, edit, narrate, reenact, speak, verify
from talkinghead.studio.studio import Studio

_FONTS = [Font("system-ui"), Font("sans-serif")]
_MONO = [Font("ui-monospace"), Font("monospace")]

THEME = Soft(primary_hue="blue", font=_FONTS, font_mono=_MONO).set(
    background_fill_primary="*neutral_50",  # as in Soft; `set` forgets it
    input_border_width="1px",
    input_border_color="*neutral_400",
    input_border_color_dark="*neutral_500",
    checkbox_border_color="*neutral_400",
)
"""Fonts of the system, because Gradio's own may come from a server; borders, because its white fields lie on white."""


def style() -> str:
    """Return the style sheet."""
    return (files("talkinghead") / "studio" / "page" / "studio.css").read_text(encoding="utf-8")


def build(studio: Studio) -> gr.Blocks:
    """Return the page with all tabs."""
    with gr.Blocks(title="Talkinghead studio", analytics_enabled=False, delete_cache=(3600, 86_400)) as page:
        gr.Markdown("# Talkinghead studio\nEverything stays on this computer.")
        queue = gr.State([])
        kept = {name: _kept(name) for name in ("speak", "reenact", "edit", "narrate")}
        with gr.Tabs():
            with gr.Tab("Speak") as tab:
                speak.build(studio, [page.load, tab.select], kept["speak"], queue)
            with gr.Tab("Reenact") as tab:
                reenact.build(studio, [tab.select], kept["reenact"], queue)
            with gr.Tab("Edit") as tab:
                edit.build(studio, [tab.select], kept["edit"])
            with gr.Tab("Narrate") as tab:
                narrate.build(studio, [tab.select], kept["narrate"], queue)
            with gr.Tab("Batch queue") as tab:
                batch.build(studio, queue, tab)
            with gr.Tab("Verify"):
                verify.build(studio)
            with gr.Tab("About"):
                about.build()

        def closed(request: gr.Request) -> None:
            studio.runs.close_page(str(request.session_hash))

        page.unload(closed)
    for dependency in page.fns.values():
        dependency.api_visibility = "private"
    return page


def _kept(tab: str) -> gr.BrowserState:
    """Return what the browser keeps of a tab's settings, also when the program has ended."""
    return gr.BrowserState({}, storage_key=f"talkinghead-{tab}", secret="talkinghead-studio")
