"""Every option of a narration; see `talkinghead.options` for those it shares with a single video."""

from __future__ import annotations

from dataclasses import dataclass, field

from talkinghead.errors import OptionError
from talkinghead.inputs.settings import Checked, setting
from talkinghead.options import CropOptions, MotionOptions, Options, ProvenanceOptions, RenderOptions

LAYOUTS = ("full", "side-by-side", "circle", "portrait")
ALIGNMENTS = ("auto", "words", "proportional")


@dataclass(frozen=True)
class VoiceOptions(Checked):
    """The voice and its pace."""

    voice: str = setting("heart", "Voice: one of hibari's (heart, emma ...), kokoro:NAME or piper:FILE.onnx.")
    tts_command: str = setting("", "Command that speaks instead, such as 'mytts --text {text} --out {wav}'.")
    speed: float = setting(1.0, "Speed of the voice.", 0.5, 2.0)
    sentence_pause: float = setting(0.35, "Seconds of silence after a sentence.", 0, 10)
    paragraph_pause: float = setting(0.7, "Seconds of silence after a paragraph.", 0, 10)
    chapter_pause: float = setting(1.2, "Seconds of silence after a chapter.", 0, 10)
    keep_background: float = setting(
        0.15, "Volume of a video's own sound while its subtitles are spoken, from 0 (silent) to 1.", 0.0, 1.0
    )
    audio: str = setting("", "Recording of the script, to use instead of a synthetic voice.", names_file=bool)
    align: str = setting(
        "auto", f"How to find the words of a recording: {', '.join(ALIGNMENTS)}; auto: words if its model is installed."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _choose("align", self.align, ALIGNMENTS)
        if self.tts_command and not ("{text}" in self.tts_command and "{wav}" in self.tts_command):
            raise OptionError(f"tts_command {self.tts_command!r} must contain {{text}} and {{wav}}: what to say, where")


@dataclass(frozen=True)
class SceneOptions(Checked):
    """What the video shows besides the face."""

    layout: str = setting("", f"Layout: {', '.join(LAYOUTS)} (cut means full); default: the script's, else full.")
    slides: str = setting(
        "", "Folder of slides for circle and portrait: one per chapter, sorted by name.", names_file=bool
    )
    background: str = setting(
        "",
        "Background behind the person: a colour such as #203040, a picture or a video.",
        names_file=lambda text: bool(text) and read_colour(text) is None,
    )
    alpha: bool = setting(False, "Make the background transparent; needs a .webm or .mov output.")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layout", read_layout(self.layout))
        if self.alpha and self.background:
            raise OptionError("alpha leaves the background out, background puts one in: leave one of them out")
        if self.slides and self.layout and self.layout not in {"circle", "portrait"}:
            raise OptionError(f"layout {self.layout!r} has no room for slides: give circle or portrait")


@dataclass(frozen=True)
class CaptionOptions(Checked):
    """Captions, drawn or written next to the video as .srt and .vtt."""

    captions: bool = setting(True, "Write captions next to the video, as .srt and .vtt.")
    burn: bool = setting(False, "Draw the captions into the video.")
    caption_size: float = setting(0.045, "Text height of drawn captions, as a fraction of the shorter side.", 0.01, 0.2)
    caption_font: str = setting(
        "", "Font file for drawn captions in writing systems that DejaVu Sans lacks.", names_file=bool
    )


@dataclass(frozen=True)
class WorkOptions(Checked):
    """Where finished parts are kept."""

    work: str = setting("", "Folder for finished parts; rerun to resume. Default: OUT.work.", names_file=bool)


@dataclass(frozen=True)
class NarrationOptions:
    """All options of a narration together."""

    crop: CropOptions = field(default_factory=CropOptions)
    motion: MotionOptions = field(default_factory=MotionOptions)
    render: RenderOptions = field(default_factory=RenderOptions)
    voice: VoiceOptions = field(default_factory=VoiceOptions)
    scene: SceneOptions = field(default_factory=SceneOptions)
    captions: CaptionOptions = field(default_factory=CaptionOptions)
    work: WorkOptions = field(default_factory=WorkOptions)
    provenance: ProvenanceOptions = field(default_factory=ProvenanceOptions)

    @property
    def shared(self) -> Options:
        """Those that a single video has too."""
        return Options(crop=self.crop, motion=self.motion, render=self.render, provenance=self.provenance)


def read_colour(text: str) -> tuple[int, ...] | None:
    """Return a colour as CSS writes it, (red, green, blue) from 0 to 255; None where it is something else."""
    from PIL import ImageColor

    try:
        colour = ImageColor.getrgb(text)[:3]
    except ValueError:
        return None
    return colour if all(0 <= part < 256 for part in colour) else None


def read_layout(name: str) -> str:
    """Return a layout by its name, or nothing for none; "cut" is another word for "full" where several speak.

    Raises:
        OptionError: There is no such layout.
    """
    if name and name != "cut":
        _choose("layout", name, LAYOUTS)
    return "full" if name == "cut" else name


def _choose(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{name} {value!r} is none of {', '.join(allowed)}")
