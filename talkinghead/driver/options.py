"""The options of what a face follows, a driver or sliders; they are part of `talkinghead.options`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from talkinghead.errors import OptionError
from talkinghead.inputs.option_values import Trim, parse_region, parse_trim
from talkinghead.inputs.settings import Checked, accept_former_names, setting

Friendly = Literal["expression", "pose"]
DriverCrop = Literal["first", "average", "none"]


@accept_former_names
@dataclass(frozen=True)
class DriveOptions(Checked):
    """How a portrait follows a driver; `anchor` may be given as a number or "auto", `trim` as "START:END"."""

    region: str = setting(
        "all",
        "What to animate: all, exp, pose, lip, eyes or brows, combined with + and -: lip+eyes, all-lip ...",
    )
    relative: bool = setting(True, "Apply the driver's motion relative to its anchor frame; otherwise copy its pose.")
    strength: float = setting(1.0, "Strength of all motion.", 0.0, 2.0)
    head_strength: float = setting(1.0, "Strength of head motion.", 0.0, 2.0)
    lip_strength: float = setting(1.0, "Strength of mouth motion.", 0.0, 2.0)
    eye_strength: float = setting(1.0, "Strength of eyelid and gaze motion.", 0.0, 2.0)
    brow_strength: float = setting(1.0, "Strength of eyebrow motion.", 0.0, 2.0)
    expression_strength: float = setting(1.0, "Strength of motion in the rest of the face.", 0.0, 2.0)
    retarget_eyes: bool = setting(False, "Open the eyes exactly as far as the driver's, whatever their shape.")
    retarget_lips: bool = setting(False, "Open the lips exactly as far as the driver's.")
    replace: bool = setting(False, "Let retargeting replace all other motion instead of adding to it.")
    normalize_lips: bool = setting(True, "Close open lips of portrait and anchor before relative motion is applied.")
    open_eyes: bool = setting(
        False, "Keep a source video's eyes as open as in its first frame instead of blinking (base only)."
    )
    friendly: Friendly = setting(  # noqa: RUF009
        "expression",
        "expression scales motion to the size of the face; pose keeps it as large as the driver's.",
    )
    dense_residual: bool = setting(
        True,
        "Also transfer how the driver's skin moves and is shaded between the landmarks (mini only).",
        former="skin",
    )
    stitching: bool = setting(True, "Keep the border of the crop still (base and animals; mini always does).")
    anchor: int | None = setting(
        None,
        "Driving frame, counted from 0, that motion is measured against; default, or auto: the most neutral frame.",
        0,
    )
    smooth: float | None = setting(
        None,
        "Smoothing of the driver's motion over time, from 0 (none) to 1; default: 0.3, or none with --source-smooth.",
        0.0,
        1.0,
    )
    source_smooth: float = setting(
        3e-7,
        "Smoothing of a source video's motion where it follows a video, as upstream's observation variance; 0 is none"
        " (base only).",
        0.0,
        1e-5,
    )
    trim: Trim = setting("", "Part of the driver to use: START:END in seconds; either can be left out.")  # noqa: RUF009
    loop: bool = setting(
        False, "Play a driver that is too short forwards and backwards; otherwise its last frame is held."
    )
    driver_crop: DriverCrop = setting(  # noqa: RUF009
        "first",
        "Place of the driver's crop: around its face in the first frame, or in the average of all frames, as upstream;"
        " none takes whole frames.",
    )
    driver_scale: float | None = setting(
        None, "Side of the driver's crop, relative to the size of its face; default: the model's, mostly 2.2.", 1.5, 4.0
    )
    driver_x: float = setting(0.0, "Shift of the driver's crop to the right, as a fraction of its side.", -0.5, 0.5)
    driver_y: float = setting(-0.1, "Shift of the driver's crop downwards, as a fraction of its side.", -0.5, 0.5)
    concat: bool = setting(False, "Show the source, the drivers and the result side by side.")
    audio: str = setting(
        "auto",
        "Sound of the video: driver, source, none, or a file; auto: the source video's, else the driver's.",
        names_file=lambda text: text not in {"", "auto", "driver", "source", "none"},
    )
    save_template: str = setting("", "Also save the driver's motion to this .safetensors template.", names_file=bool)

    def __post_init__(self) -> None:
        if self.anchor == "auto":
            object.__setattr__(self, "anchor", None)
        if not isinstance(self.trim, Trim):
            object.__setattr__(self, "trim", parse_trim(self.trim))
        super().__post_init__()
        parse_region(self.region)
        if self.concat and self.loop:
            raise OptionError("concat shows a driver as it is, loop plays it backwards too: leave one of them out")

    def driver_smooth(self, *, source_is_smoothed: bool) -> float:
        """Return the smoothing of the driver's motion.

        Args:
            source_is_smoothed: Whether the model smooths the composed motion by `source_smooth`.
        """
        if self.smooth is not None:
            return self.smooth
        return 0.0 if source_is_smoothed and self.source_smooth else 0.3


@dataclass(frozen=True)
class EditOptions(Checked):
    """Sliders that change one face; left and right are those of the picture, right and up are positive."""

    smile: float = setting(0.0, "Smile, from -1 (frown) to 1.", -1, 1)
    eyebrow: float = setting(0.0, "Raise (to 1) or lower (to -1) the eyebrows.", -1, 1)
    wink: float = setting(0.0, "Close the eye at the left of the picture, from 0 to 1 (closed).", 0, 1)
    gaze_x: float = setting(0.0, "Turn the eyes to the right of the picture, in degrees.", -30, 30)
    gaze_y: float = setting(0.0, "Turn the eyes up, in degrees.", -31.5, 31.5)
    eyes_open: float | None = setting(None, "Opening of the eyes, height over width; default: unchanged.", 0, 0.8)
    lips_open: float | None = setting(None, "Opening of the lips, height over width; default: unchanged.", 0, 0.8)
    pitch: float = setting(0.0, "Turn the head up, in degrees.", -15, 15)
    yaw: float = setting(0.0, "Turn the head to the right of the picture, in degrees.", -25, 25)
    roll: float = setting(0.0, "Tilt the head to the right of the picture, in degrees.", -15, 15)
    move_x: float = setting(0.0, "Move the head to the right of the picture, from -1 to 1.", -1, 1)
    move_y: float = setting(0.0, "Move the head up, from -1 to 1.", -1, 1)
    zoom: float = setting(1.0, "Scale of the head.", 0.9, 1.2)
    pout: float = setting(0.0, "Move the lower lip to the right, from -1 to 1 (base and animals).", -1, 1)
    purse: float = setting(0.0, "Purse the lips, from -1 to 1 (base and animals).", -1, 1)
    grin: float = setting(0.0, "Grin, from 0 to 1 (base and animals).", 0, 1)
    mouth: float = setting(0.0, "Open (to 1) or close (to -1) the mouth (base and animals).", -1, 1)
    silence: bool = setting(False, "Close the lips of a face that talks; its eyes and head keep moving.")
    stitching: bool = setting(True, "Keep the border of the crop still (base and animals; mini always does).")
    keyframes: str = setting(
        "",
        "YAML file of keyframes, SECONDS: {smile: 0.6, yaw: 10}; makes a video.",
        names_file=bool,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        plain = {"silence", "stitching"}
        changed = [
            each.name for each in fields(self) if each.name not in plain and getattr(self, each.name) != each.default
        ]
        if self.silence and changed:
            raise OptionError(f"silence takes no sliders, {changed[0]} is one: leave one of them out")
