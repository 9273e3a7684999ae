"""The tab Reenact: a portrait follows the face in a video, a picture or a motion template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

import talkinghead
from talkinghead.studio.call import Call
from talkinghead.studio.controls import Controls, options_of
from talkinghead.studio.examples import example
from talkinghead.studio.result import Result
from talkinghead.studio.source import SourceInput, given
from talkinghead.studio.studio import Studio

_GROUPS = (
    talkinghead.CropOptions,
    talkinghead.DriveOptions,
    talkinghead.RenderOptions,
    talkinghead.ProvenanceOptions,
)
_FIRST = ("region", "relative", "strength", "trim", "loop", "face_only", "size")
_REGIONS = ("all", "exp", "pose", "lip", "eyes", "brows", "lip+eyes", "all-lip")


def build(studio: Studio, opened: Sequence[Any], kept: gr.BrowserState, queue: gr.State) -> None:
    """Fill the tab."""
    with gr.Row():
        with gr.Column():
            source = SourceInput(studio)
        with gr.Column():
            driver = gr.File(label="Driving video, picture or template", height=160)
            gr.Button("Use the example motion", size="sm").click(
                lambda: str(example("driving.mp4")), None, driver, queue=False
            )
    controls = Controls(*_GROUPS, first=_FIRST, leave={"face"}, choices={"region": _REGIONS})
    controls.remember(opened, kept)

    def prepare(folder: Path, values: Sequence[Any]) -> Call:
        portrait, face = source.read(values[:2])
        followed = given(values[2], "what the face follows")
        made, model, _ = controls.read(values[3:])
        made["CropOptions"]["face"] = face
        return Call("reenact", (portrait, followed), options_of(talkinghead.Options, made), "out.mp4", model)

    Result(studio, [*source.components, driver, *controls.components], prepare, "Reenact", queue)
