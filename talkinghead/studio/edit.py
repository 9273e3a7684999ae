"""The tab Edit: sliders with a live preview, and keyframes that make a video of them."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio as gr
import yaml
from PIL import Image

import talkinghead
from talkinghead.studio.call import Call
from talkinghead.studio.controls import Controls, options_of
from talkinghead.studio.result import Result
from talkinghead.studio.source import SourceInput, fault
from talkinghead.studio.studio import Studio

_GROUPS = (
    talkinghead.EditOptions,
    talkinghead.CropOptions,
    talkinghead.RenderOptions,
    talkinghead.ProvenanceOptions,
)
_FIRST = (
    *("smile", "eyebrow", "wink", "eyes_open", "lips_open", "gaze_x", "gaze_y"),
    *("pitch", "yaw", "roll", "move_x", "move_y", "zoom"),
)
_EXAMPLE = "0: {}\n0.5: {smile: 0.7, yaw: 8}\n1.2: {smile: 0.7, yaw: 8, wink: 0}\n1.4: {wink: 1}\n1.6: {wink: 0}\n"
_EXAMPLE += "2.2: {smile: 0, yaw: 0}\n"
_NO_PREVIEW = "<p>The face is shown here as the sliders change it.</p>"
_NOTE = "keyframes.yaml holds the keyframes"


def build(studio: Studio, opened: Sequence[Any], kept: gr.BrowserState) -> None:
    """Fill the tab."""
    with gr.Row():
        with gr.Column():
            source = SourceInput(studio)
        with gr.Column():
            preview = gr.HTML(_NO_PREVIEW, elem_id="edit-preview")
            controls = Controls(*_GROUPS, first=_FIRST, leave={"face", "keyframes"})
    controls.remember(opened, kept)
    with gr.Accordion("Keyframes: sliders over time make a video", open=False):
        with gr.Row():
            time = gr.Number(0, label="Time", info="Seconds from the beginning.", minimum=0, step=0.1)
            add = gr.Button("Set the sliders as they are now at this time")
            use = gr.Button("Use the example keyframes")
        keyframes = gr.Textbox(
            label="Keyframes", info="SECONDS: {slider: value, ...}. Leave it empty for a picture.", lines=6
        )
        problem = gr.HTML()

    def show(file: str | None, face: int | None, *values: Any) -> str:
        if file is None:
            return _NO_PREVIEW
        try:
            edited = options_of(talkinghead.Options, controls.read(values)[0]).edit
            return picture(studio.preview(file, face, edited))
        except talkinghead.PortraitError as error:
            return fault(studio.runs.line(error))

    def set_at(seconds: float, text: str, *values: Any) -> tuple[Any, str]:
        try:
            return with_keyframe(text, seconds, options_of(talkinghead.Options, controls.read(values)[0]).edit), ""
        except (talkinghead.PortraitError, yaml.YAMLError, AttributeError) as error:
            return gr.skip(), fault(f"the keyframes cannot be read: {' '.join(str(error).split())}")

    inputs = [*source.components, *controls.components]
    gr.on(
        [component.change for component in (*source.components, *controls.components)],
        show,
        inputs,
        preview,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
    )
    add.click(set_at, [time, keyframes, *controls.components], [keyframes, problem], queue=False)
    use.click(lambda: _EXAMPLE, None, keyframes, queue=False)

    def prepare(folder: Path, values: Sequence[Any]) -> Call:
        file, face = source.read(values[:2])
        made, model, _ = controls.read(values[3:])
        made["CropOptions"]["face"] = face
        moving, notes = str(mimetypes.guess_type(file.name)[0]).startswith("video"), ()
        if (values[2] or "").strip():
            written, moving, notes = folder / "keyframes.yaml", True, (_NOTE,)
            written.write_text(values[2], encoding="utf-8")
            made["EditOptions"]["keyframes"] = str(written)
        options = options_of(talkinghead.Options, made)
        return Call("edit", (file,), options, "out.mp4" if moving else "out.png", model, notes=notes)

    Result(studio, [*source.components, keyframes, *controls.components], prepare, "Save the edit")


def picture(shown: Any) -> str:
    """Return a picture as part of the page, so that no file is made for it."""
    coded = io.BytesIO()
    Image.fromarray(shown).save(coded, "JPEG", quality=88)
    data = base64.b64encode(coded.getvalue()).decode()
    return f'<img class="preview" alt="The edited face" src="data:image/jpeg;base64,{data}">'


def with_keyframe(text: str, seconds: float, edited: talkinghead.EditOptions) -> str:
    """Add a keyframe to a text of keyframes: the sliders that are moved, or that another keyframe moves."""
    keyframes: dict[Any, Any] = yaml.safe_load(text or "{}") or {}
    others = {name for at, sliders in keyframes.items() if at != seconds for name in (sliders or {})}
    untouched = talkinghead.EditOptions()
    plain = {"silence", "stitching", "keyframes"}
    values = {each.name: getattr(edited, each.name) for each in fields(edited) if each.name not in plain}
    moved = {name: value for name, value in values.items() if name in others or value != getattr(untouched, name)}
    at = int(seconds) if seconds == int(seconds) else round(seconds, 3)
    return yaml.safe_dump({0: {}, **keyframes, at: moved}, default_flow_style=None, width=1000)
