"""The tab Narrate: a Markdown editor, slides, and an outline with chapters and captions as one writes."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

import talkinghead
from talkinghead.studio.call import Call
from talkinghead.studio.controls import Controls, options_of
from talkinghead.studio.examples import example
from talkinghead.studio.result import Result
from talkinghead.studio.source import SourceInput, fault
from talkinghead.studio.studio import Studio
from talkinghead.wording import counted

_GROUPS = (
    talkinghead.SceneOptions,
    talkinghead.VoiceOptions,
    talkinghead.CaptionOptions,
    talkinghead.CropOptions,
    talkinghead.MotionOptions,
    talkinghead.RenderOptions,
    talkinghead.ProvenanceOptions,
)
_FIRST = ("layout", "background", "burn", "voice", "speed", "size")
_LAYOUTS = ("", "full", "side-by-side", "circle", "portrait")
_NOTES = ("script.md holds the script", "slides holds the slides, which are used in the order of their names")


def build(studio: Studio, opened: Sequence[Any], kept: gr.BrowserState, queue: gr.State) -> None:
    """Fill the tab."""
    with gr.Row():
        with gr.Column():
            source = SourceInput(studio, "Picture of the speaker")
            slides = gr.File(label="Slides, one for each chapter", file_count="multiple", height=160)
        with gr.Column():
            script = gr.Textbox(label="Script in Markdown", lines=12, max_lines=24, max_length=200_000)
            gr.Button("Use the example script", size="sm").click(
                lambda: example("script.md").read_text(encoding="utf-8"), None, script, queue=False
            )
            shown = gr.HTML(elem_id="outline")
    controls = Controls(*_GROUPS, first=_FIRST, leave={"face", "slides"}, choices={"layout": _LAYOUTS})
    controls.remember(opened, kept)

    def show(text: str, pictures: list[str] | None) -> str:
        if not text.strip():
            return ""
        with tempfile.TemporaryDirectory(dir=studio.folder) as name:
            written = write_script(Path(name), text, pictures)
            scene = talkinghead.SceneOptions(slides=str(written.with_name("slides")) if pictures else "")
            try:
                return outlined(talkinghead.outline(written, options=talkinghead.NarrationOptions(scene=scene)))
            except talkinghead.PortraitError as error:
                return fault(studio.runs.line(error))

    gr.on(
        [script.change, slides.change],
        show,
        [script, slides],
        shown,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
    )

    def prepare(folder: Path, values: Sequence[Any]) -> Call:
        portrait, face = source.read(values[:2])
        if not values[2].strip():
            raise talkinghead.ScriptError("the script is missing: write one, or use the example")
        made, model, voice_model = controls.read(values[4:])
        written = write_script(folder, *values[2:4])
        made["CropOptions"]["face"] = face
        made["SceneOptions"]["slides"] = str(written.with_name("slides")) if values[3] else ""
        options = options_of(talkinghead.NarrationOptions, made)
        notes = _NOTES if values[3] else _NOTES[:1]
        return Call("narrate", (portrait, written), options, "out.mp4", model, voice_model, notes)

    inputs = [*source.components, script, slides, *controls.components]
    Result(studio, inputs, prepare, "Narrate", queue)


def write_script(folder: Path, text: str, pictures: Sequence[str] | None) -> Path:
    """Write a script and its slides into a folder; the slides' names keep their order. Returns the script's file."""
    script = folder / "script.md"
    script.write_text(text, encoding="utf-8")
    if pictures:
        (folder / "slides").mkdir()
        for number, picture in enumerate(pictures, 1):
            shutil.copyfile(picture, folder / "slides" / f"{number:03}{Path(picture).suffix}")
    return script


def outlined(outline: talkinghead.Outline) -> str:
    """Return the chapters with their captions and slides."""
    parts = []
    for number, chapter in enumerate(outline.chapters, 1):
        title = html.escape(chapter.title or f"Chapter {number}")
        slide = f" ({html.escape(chapter.slide.name)})" if chapter.slide else ""
        captions = "".join(f"<li>{html.escape(caption)}</li>" for caption in chapter.captions)
        parts.append(f"<h4>{title}{slide}</h4><ol>{captions}</ol>")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in outline.notes)
    count = len(outline.chapters)
    head = f"{counted(count, 'chapter')}, about {outline.seconds:.0f} s. Captions as they will be shown:"
    return f'<div class="outline"><p>{head}</p>{"".join(parts)}{notes}</div>'
