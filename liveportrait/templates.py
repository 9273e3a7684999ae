"""Motion templates: a driving motion in a file. Ours is safetensors; upstream's pickles are read, never run."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from liveportrait import safe_pickle
from liveportrait.errors import TemplateError
from liveportrait.motion import Motion

_FORMAT = "talkinghead-motion"
_VERSION = "1"
# Per frame of an upstream template: our name, its key, an older key, and the shape that it has there.
_FRAME_KEYS = (
    ("rotation", "R", "R_d", (3, 3)),
    ("expression", "exp", "exp", (21, 3)),
    ("scale", "scale", "scale", (1,)),
    ("translation", "t", "t", (3,)),
)
_RATIO_KEYS = (
    ("eye_ratio", "c_eyes_lst", "c_d_eyes_lst", (2,)),
    ("lip_ratio", "c_lip_lst", "c_d_lip_lst", (1,)),
)


@dataclass(frozen=True)
class Template:
    """A driving motion at its frame rate; one frame stands for a driving picture.

    Attributes:
        motion: T frames.
        fps: Frames per second.
    """

    motion: Motion
    fps: Fraction


def load_template(path: Path, num_keypoints: int | None = None) -> Template:
    """Read a template: our `.safetensors`, or upstream's `.pkl`.

    Args:
        path: The file.
        num_keypoints: K of the model it is meant for; None accepts any.

    Returns:
        Its motion and frame rate.

    Raises:
        TemplateError: The file is missing, damaged, hostile, of another kind, or of another model.
    """
    if not path.is_file():
        raise TemplateError(f"{path}: no such file; give a .safetensors or an upstream .pkl template")
    readers = {".safetensors": _read_ours, ".pkl": _read_upstream}
    if path.suffix.lower() not in readers:
        raise TemplateError(f"{path}: a motion template ends in .safetensors or .pkl, not {path.suffix or 'nothing'}")
    template = readers[path.suffix.lower()](path)
    found = template.motion.num_keypoints
    if num_keypoints is not None and found != num_keypoints:
        raise TemplateError(f"{path}: made for a model with {found} keypoints, this one has {num_keypoints}")
    return template


def save_template(template: Template, path: Path) -> None:
    """Write a template as safetensors.

    Raises:
        ValueError: The name does not end in .safetensors.
    """
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"a template is written as .safetensors, got {path.name!r}")
    values = {field.name: getattr(template.motion, field.name) for field in fields(Motion)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in values.items() if value is not None}
    metadata = {"format": _FORMAT, "version": _VERSION, "fps": str(template.fps)}
    save_file(tensors, path, metadata)


def _read_ours(path: Path) -> Template:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise TemplateError(f"{path}: not readable as safetensors ({error})") from error
    if metadata.get("format") != _FORMAT:
        raise TemplateError(f"{path}: not a motion template of this program (format {metadata.get('format')!r})")
    if metadata.get("version") != _VERSION:
        found = metadata.get("version")
        raise TemplateError(f"{path}: a template of version {found!r}, known is {_VERSION}: update the program")
    names = {field.name for field in fields(Motion)}
    missing = names - {"eye_ratio", "lip_ratio", "skin"} - set(tensors)
    if missing or set(tensors) - names:
        raise TemplateError(f"{path}: entries {sorted(tensors)} do not make a motion")
    try:
        fps = Fraction(metadata.get("fps", ""))
    except (ValueError, ZeroDivisionError) as error:
        raise TemplateError(f"{path}: frame rate {metadata.get('fps')!r} is not a number") from error
    return _checked(Motion(**tensors), fps, path)


def _read_upstream(path: Path) -> Template:
    try:
        content = safe_pickle.loads(path.read_bytes())
    except (OSError, pickle.UnpicklingError) as error:
        raise TemplateError(f"{path}: refused as a template: {error}") from error
    try:
        frames = content["motion"]
        tensors = {
            name: torch.cat([_value(frame, key, older, shape) for frame in frames])
            for name, key, older, shape in _FRAME_KEYS
        }
        for name, key, older, shape in _RATIO_KEYS:
            # Frames may outnumber what is listed in files of upstream's first version: then there are no ratios.
            listed = content.get(key, content.get(older)) or []
            if len(listed) == len(frames):
                tensors[name] = torch.cat([_shaped(value, key, shape) for value in listed])
        # Upstream writes 25 where it did not know.
        fps = Fraction(float(safe_pickle.as_tensor(content.get("output_fps", 25)))).limit_denominator(1001)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        raise TemplateError(f"{path}: not an upstream motion template ({error})") from error
    return _checked(Motion(**tensors), fps, path)


def _value(frame: dict[str, Any], key: str, older: str, shape: tuple[int, ...]) -> Tensor:
    return _shaped(frame[key] if key in frame else frame[older], key, shape)


def _shaped(value: object, key: str, shape: tuple[int, ...]) -> Tensor:
    tensor = safe_pickle.as_tensor(value).float()
    if tensor.numel() != torch.Size(shape).numel():
        raise ValueError(f"{key} has shape {tuple(tensor.shape)}, expected (1, {', '.join(map(str, shape))})")
    return tensor.reshape(1, *shape)


def _checked(motion: Motion, fps: Fraction, path: Path) -> Template:
    """Check what a file claims to be a motion."""
    frames, keypoints = motion.rotation.shape[0], motion.expression.shape[1] if motion.expression.ndim == 3 else 0
    shapes = {
        "rotation": (frames, 3, 3),
        "expression": (frames, keypoints, 3),
        "scale": (frames, 1),
        "translation": (frames, 3),
        "eye_ratio": (frames, 2),
        "lip_ratio": (frames, 1),
        "skin": (frames, 3, *(() if motion.skin is None else motion.skin.shape[2:])),
    }
    if frames == 0 or keypoints == 0:
        raise TemplateError(f"{path}: holds no frames")
    if not 0 < fps <= 1000:
        raise TemplateError(f"{path}: frame rate {fps} is not between 0 and 1000")
    for name, shape in shapes.items():
        value = getattr(motion, name)
        if value is None:
            continue
        if tuple(value.shape) != shape:
            raise TemplateError(f"{path}: {name} has shape {tuple(value.shape)}, expected {shape}")
        if not value.is_floating_point() or not bool(value.isfinite().all()):
            raise TemplateError(f"{path}: {name} holds values that are not finite numbers")
    return Template(motion, fps)
