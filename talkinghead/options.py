"""All options with their meanings, ranges and defaults; defaults are defined nowhere else.

Those of drivers and sliders are in `talkinghead.driver.options`, those of marks in `talkinghead.provenance.options`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from liveportrait.config import PRECISIONS
from liveportrait.numerals import DAY_SECONDS
from talkinghead.driver.options import DriveOptions, EditOptions
from talkinghead.errors import OptionError
from talkinghead.inputs.option_values import FASTEST_FPS, SLOWEST_FPS, PixelBox, parse_box, parse_fps
from talkinghead.inputs.settings import Checked, accept_former_names, setting
from talkinghead.provenance.options import ProvenanceOptions

StrPath = str | os.PathLike[str]

MAX_SIDE = 8192
"""Longest side of a video in pixels: the largest that H.264 players are made for."""

MODEL = "mini"
"""The default renderer; it ships with the package."""

VOICE_MODEL = "mini"
"""The default speech-to-motion model; it ships with the package and works with every renderer."""

MODEL_NAMES = frozenset({MODEL, VOICE_MODEL, "base", "animals", "joyvasa"})
"""Names of models and voice models; anything else is a folder."""

PRECISION = "auto"
"""The default precision of the renderer."""

LANDMARKS = "auto"
"""The default landmarks for crops and openness."""

Landmarks = Literal["auto", "mesh", "insightface"]
Sampler = Literal["fast", "full"]
PositionEncoding = Literal["auto", "constant", "rows"]
Loop = Literal["pingpong", "hold", "cut", "stretch"]


@accept_former_names
@dataclass(frozen=True)
class CropOptions(Checked):
    """Which face, and how much of the picture becomes the video; `box` may be given as "X,Y,WIDTH,HEIGHT"."""

    face: int | None = setting(None, "Face to animate, counted from 0 at the left; default: the largest face.", 0)
    face_only: bool = setting(
        False, "Show only the face, as a square video, instead of the whole picture.", former="crop"
    )
    size: int | None = setting(
        None,
        "Longer side of the video in pixels. A whole picture is only shrunk; with --face-only the crop is resized.",
        64,
        MAX_SIDE,
    )
    box: PixelBox | None = setting(  # noqa: RUF009
        None,
        "Part of the picture with the face: X,Y,WIDTH,HEIGHT in pixels. If no face is found there and the model"
        " needs no landmarks (animals, drawings), the box itself is the crop.",
    )
    whole_picture_as_face: bool = setting(
        False, "Use the whole picture (or the --box) as the face crop, wherever the face in it is.", former="no_crop"
    )
    crop_scale: float | None = setting(
        None, "Side of the animated crop, relative to the size of the face; default: the model's, mostly 2.3.", 1.5, 4.0
    )
    crop_x: float = setting(0.0, "Shift of the crop to the right of the face, as a fraction of its side.", -0.5, 0.5)
    crop_y: float = setting(-0.125, "Shift of the crop below the face, as a fraction of its side.", -0.5, 0.5)
    rotate: bool = setting(True, "Turn the face upright in its crop.")
    still_background: bool = setting(
        True, "Keep what is behind the person in a picture still while the head moves (mini only)."
    )
    teeth: int | None = setting(
        None,
        "Set of teeth that a portrait with closed lips shows when it speaks, counted from 0 (mini only); default: by"
        " the colour of its skin.",
        0,
    )
    detection_threshold: float = setting(
        0.75,
        "Score that a face needs to be found, from 0 to 1; lower values find more drawings, and things that are none.",
        0.1,
        1.0,
    )

    def __post_init__(self) -> None:
        if self.box is not None and not isinstance(self.box, PixelBox):
            object.__setattr__(self, "box", parse_box(self.box))
        super().__post_init__()


@dataclass(frozen=True)
class MotionOptions(Checked):
    """How the portrait moves."""

    seed: int = setting(
        0,
        "Random seed for idle motion (head, brows, blinks and gaze); the same seed gives the same video.",
        0,
        2**63 - 1,
    )
    lip_strength: float = setting(1.0, "Strength of mouth motion.", 0.0, 2.0)
    head_strength: float = setting(1.0, "Strength of head motion.", 0.0, 2.0)
    expression_strength: float = setting(1.0, "Strength of motion in the rest of the face.", 0.0, 2.0)
    blink: bool = setting(True, "Blink now and then.")
    still: bool = setting(False, "Keep the head still and move only the face.")
    lips_only: bool = setting(False, "Move only the mouth.")
    guidance: float | None = setting(
        None, "How closely motion follows the voice (joyvasa: default 2.8; trained generators: 1.5).", 0.0, 10.0
    )
    sampler: Sampler = setting(  # noqa: RUF009
        "fast", "Sampler of joyvasa: fast in few steps, or full, with every step and noise, as upstream."
    )
    sampling_steps: int | None = setting(
        None, "Steps of the fast sampler (joyvasa and trained generators); default: 8.", 1, 500
    )
    position_encoding: PositionEncoding = setting(  # noqa: RUF009
        "auto",
        "Position encoding of joyvasa's frames: constant (as weights published before December 2025 were trained),"
        " rows (one for each frame), or auto, by the weights.",
    )
    reference: str = setting(
        "",
        "Video to take head motion, blinks and the size of mouth movements from; it is played to and fro.",
        names_file=bool,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampler == "full" and self.sampling_steps is not None:
            raise OptionError("the full sampler takes every step, sampling_steps counts the fast one's: leave one out")
        if self.still and self.head_strength not in {0.0, MotionOptions.head_strength}:
            raise OptionError(
                f"still holds the head, head_strength={self.head_strength:g} moves it: leave one of them out"
            )
        if self.lips_only and self.reference:
            raise OptionError("lips_only moves nothing but the mouth, reference moves the head: leave one of them out")

    @property
    def head(self) -> float:
        """The strength of head motion that results from all options."""
        return 0.0 if self.still or self.lips_only else self.head_strength

    @property
    def face(self) -> float:
        """The strength of motion in the rest of the face that results from all options."""
        return 0.0 if self.lips_only else self.expression_strength

    @property
    def eyes(self) -> bool:
        """Whether the eyes blink, by all options."""
        return self.blink and not self.lips_only


@dataclass(frozen=True)
class DubOptions(Checked):
    """How a source video gets a new voice."""

    loop: Loop = setting(  # noqa: RUF009
        "pingpong",
        "Where the voice is longer than the source video: pingpong plays it to and fro, hold repeats its last frame,"
        " stretch plays it as slowly as needed, cut refuses. A shorter voice ends the video, or with stretch plays it"
        " faster.",
    )
    keep_background: float = setting(
        0.0, "Volume of the source video's own sound under the voice, from 0 (silent) to 1.", 0.0, 1.0
    )
    start: float | None = setting(
        None,
        "Second of the source video from which it is dubbed; what comes before stays, and the video keeps its length,"
        " with 0 too.",
        0.0,
        DAY_SECONDS,
        flag="from",
    )
    end: float | None = setting(
        None,
        "Second of the source video up to which it is dubbed; frames and sound after it stay. Default: where the voice"
        " ends.",
        0.0,
        DAY_SECONDS,
        flag="to",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        start = self.start or 0.0
        if self.end is not None and self.end <= start:
            raise OptionError(f"--from {start:g} --to {self.end:g} is no part of a video: give a later --to")
        if self.is_part and self.loop != DubOptions.loop:
            raise OptionError(
                f"--from and --to keep the source video's length, loop={self.loop} changes it: leave one out"
            )

    @property
    def is_part(self) -> bool:
        """Whether only a part of the source video is dubbed."""
        return self.start is not None or self.end is not None


@dataclass(frozen=True)
class IdleOptions(Checked):
    """How long a portrait idles."""

    seconds: float = setting(20.0, "Length of the video in seconds.", 1.0, DAY_SECONDS)
    loop: bool = setting(False, "Let the last frame meet the first, so that the video can be repeated without a jump.")


@dataclass(frozen=True)
class LiveOptions(Checked):
    """How a face in front of a camera is captured."""

    camera: str = setting(
        "0",
        "Number of a camera, a video file to use instead, or - for a video on standard input.",
        names_file=lambda text: text != "-" and not text.isdigit(),
    )
    mirror: bool = setting(False, "Mirror the camera's picture.")
    calibrate: float = setting(
        1.0, "Seconds of calibration at the start; motion is measured against the most neutral moment in them.", 0, 30
    )
    seconds: float | None = setting(
        None, "Stop after this many seconds; Ctrl-C also stops, and keeps the file.", 0.1, DAY_SECONDS
    )


@dataclass(frozen=True)
class RenderOptions(Checked):
    """How the video is computed and coded; `fps` may be given as whatever `parse_fps` reads."""

    fps: Fraction | None = setting(  # noqa: RUF009
        None,
        "Frames per second: 25, 29.97, 30000/1001 ...; default: those of the source or driving video, else 25.",
        SLOWEST_FPS,
        FASTEST_FPS,
    )
    crf: int = setting(18, "Constant rate factor of the video, from 0 (lossless) to 51 (worst quality).", 0, 51)
    device: str = setting("auto", "Device to run the models on: auto, cpu, cuda, cuda:1, mps ...")
    precision: str = setting(
        PRECISION, "Precision of the renderer: fp32, bf16 or fp16; auto chooses for the model and the device."
    )
    landmarks: Landmarks = setting(  # noqa: RUF009
        LANDMARKS,
        "What base crops faces around and measures openness on: auto (upstream's 203 points if landmark.onnx lies with"
        " the weights, else the face mesh), mesh, or insightface (pictures are cropped around its 106 points, as in"
        " upstream; its models are for non-commercial research only, and not fetched).",
    )
    batch_size: int = setting(
        8, "Number of frames rendered at a time; by each thread if several render, at most 8.", 1, 64
    )
    overwrite: bool = setting(False, "Replace the output if it already exists.")

    def __post_init__(self) -> None:
        if self.fps is not None:
            object.__setattr__(self, "fps", parse_fps(self.fps))
        super().__post_init__()
        if self.precision not in (PRECISION, *PRECISIONS):
            raise OptionError(
                f"precision must be {PRECISION} or one of {', '.join(PRECISIONS)}, not {self.precision!r}"
            )


@dataclass(frozen=True)
class Options:
    """All options together."""

    crop: CropOptions = field(default_factory=CropOptions)
    motion: MotionOptions = field(default_factory=MotionOptions)
    drive: DriveOptions = field(default_factory=DriveOptions)
    edit: EditOptions = field(default_factory=EditOptions)
    dub: DubOptions = field(default_factory=DubOptions)
    idle: IdleOptions = field(default_factory=IdleOptions)
    live: LiveOptions = field(default_factory=LiveOptions)
    render: RenderOptions = field(default_factory=RenderOptions)
    provenance: ProvenanceOptions = field(default_factory=ProvenanceOptions)
