"""The tab Speak: a picture or a video, and a voice from a file, the microphone or a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

import talkinghead
from talkinghead.cli.demo import demo_inputs
from talkinghead.studio.call import Call
from talkinghead.studio.controls import Controls, options_of
from talkinghead.studio.player import sound
from talkinghead.studio.result import Result
from talkinghead.studio.source import SourceInput, given
from talkinghead.studio.studio import Studio

FILE, MICROPHONE, TEXT = "A file", "The microphone", "A text"
_TEXT = "Hello! Write what I should say, and I will say it."
_TEXT_NOTE = "text.txt holds the text; the voice comes with the installation"
_GROUPS = (
    talkinghead.CropOptions,
    talkinghead.MotionOptions,
    talkinghead.DubOptions,
    talkinghead.RenderOptions,
    talkinghead.ProvenanceOptions,
)
_FIRST = ("face_only", "size", "lip_strength", "head_strength", "seed", "label")


class VoiceInput:
    """The voice: a recording, or a text for the voice that comes with the installation."""

    def __init__(self) -> None:
        self.kind = gr.Radio([FILE, MICROPHONE, TEXT], value=FILE, label="Voice")
        with gr.Column(visible=True) as of_file:
            self.file = gr.File(label="Sound, or a video with sound", height=160)
            self.example = gr.Button("Use the example voice", size="sm")
            heard = gr.HTML()
        with gr.Column(visible=False) as of_microphone:
            self.recorded = gr.Audio(label="Record yourself", sources=["microphone"], type="filepath", buttons=[])
        with gr.Column(visible=False) as of_text:
            self.text = gr.Textbox(_TEXT, label="Text, in English", lines=4, max_length=20_000)
        columns = [of_file, of_microphone, of_text]
        kinds = [FILE, MICROPHONE, TEXT]
        self.kind.change(
            lambda kind: [gr.update(visible=kind == each) for each in kinds],
            self.kind,
            columns,
            queue=False,
            show_progress="hidden",
        )
        self.file.change(sound, self.file, heard, queue=False, show_progress="hidden")
        self.example.click(lambda: str(demo_inputs().voice), None, self.file, queue=False)

    @property
    def components(self) -> list[Any]:
        """The components whose values `read` takes."""
        return [self.kind, self.file, self.recorded, self.text]

    def read(self, values: Sequence[Any], folder: Path) -> tuple[Path, bool]:
        """Return the file of the voice, and whether it is a text; that is written into the folder.

        Raises:
            PortraitError: There is none.
        """
        kind, file, recorded, text = values
        if kind != TEXT:
            what = "a voice" if kind == FILE else "a recording from the microphone"
            return given(file if kind == FILE else recorded, what), False
        written = folder / "text.txt"
        written.write_text(text, encoding="utf-8")
        return written, True


def build(studio: Studio, opened: Sequence[Any], kept: gr.BrowserState, queue: gr.State) -> None:
    """Fill the tab."""
    with gr.Row():
        with gr.Column():
            source = SourceInput(studio)
        with gr.Column():
            voice = VoiceInput()
    controls = Controls(*_GROUPS, first=_FIRST, leave={"face"})
    controls.remember(opened, kept)

    def prepare(folder: Path, values: Sequence[Any]) -> Call:
        portrait, face = source.read(values[:2])
        audio, is_text = voice.read(values[2:6], folder)
        made, model, voice_model = controls.read(values[6:])
        made["CropOptions"]["face"] = face
        if is_text:
            made["CaptionOptions"] = {"captions": False}
            options = options_of(talkinghead.NarrationOptions, made)
            return Call("narrate", (portrait, audio), options, "out.mp4", model, voice_model, (_TEXT_NOTE,))
        notes = (f"{audio.name} holds the recording",) if values[2] == MICROPHONE else ()
        options = options_of(talkinghead.Options, made)
        return Call("speak", (portrait, audio), options, "out.mp4", model, voice_model, notes)

    Result(studio, [*source.components, *voice.components, *controls.components], prepare, "Make it speak", queue)
