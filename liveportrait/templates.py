"""Motion templates: files of driving motion, as safetensors or as upstream's pickles, which are read safely."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from liveportrait import safe_pickle
from liveportrait.errors import TemplateError
from liveportrait.motion import Motion
from liveportrait.numerals import read_number
from liveportrait.tensor_files import Entry, read_tensors
from liveportrait.writing import save_tensors

Value = TypeVar("Value")

_FORMAT = "talkinghead-motion"
_VERSION = "1"
_OPTIONAL = {"eye_ratio", "lip_ratio", "dense_residual"}
_FORMER_NAMES = {"skin": "dense_residual"}
"""Tensor names in files of earlier versions."""
_MOST_BYTES, _MOST_PICKLED_BYTES = 2 << 30, 128 << 20
_MOST_FRAMES = 500_000
"""More than five hours at 25 frames a second."""
_MOST_PICKLED_FRAMES = 50_000
_MOST_KEYPOINTS, _MOST_RESIDUAL_SIDE = 1000, 64
_LEAST_FPS, _MOST_FPS = 0.1, 1000
_MOST = 1000.0
"""Largest plausible value; keypoints are in units of heads or crops."""
_MOST_RATIO = 1e6
"""Largest openness ratio; in profile views the width can be close to zero."""
# Per frame of an upstream template: our name, its key, an older key, and its shape there.
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
    """Driving motion with its frame rate; a single frame represents a driving picture.

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
        num_keypoints: K of the model it must fit; None accepts any.

    Returns:
        Its motion and frame rate.

    Raises:
        TemplateError: The file is missing, damaged, malicious, of another type, or for another model.
    """
    if not os.path.isfile(path):  # Path.is_file raises if the path is too long or not accessible
        found = "not a file" if os.path.exists(path) else "no such file"
        raise TemplateError(f"{path}: {found}; give a .safetensors or an upstream .pkl template")
    readers = {".safetensors": _read_ours, ".pkl": _read_upstream}
    if path.suffix.lower() not in readers:
        raise TemplateError(f"{path}: a motion template ends in .safetensors or .pkl, not {path.suffix or 'nothing'}")
    template = readers[path.suffix.lower()](path)
    found = template.motion.num_keypoints
    if num_keypoints is not None and found != num_keypoints:
        raise TemplateError(f"{path}: made for a model with {found} keypoints, this one has {num_keypoints}")
    return template


def save_template(template: Template, path: Path, *, replace: bool = False) -> None:
    """Write a template as safetensors, atomically.

    Args:
        template: The motion.
        path: Path of the file.
        replace: Whether to overwrite an existing file.

    Raises:
        ValueError: The name does not end in .safetensors.
        OSError: The file cannot be written.
    """
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"a template is written as .safetensors, got {path.name!r}")
    values = {field.name: getattr(template.motion, field.name) for field in fields(Motion)}
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in values.items() if value is not None}
    metadata = {"format": _FORMAT, "version": _VERSION, "fps": str(template.fps)}
    save_tensors(tensors, path, metadata, replace=replace)


def _read_ours(path: Path) -> Template:
    def check(metadata: Mapping[str, str], entries: Mapping[str, Entry]) -> None:
        _check_header(metadata, _renamed(entries), path)

    try:
        metadata, tensors = read_tensors(path, check, _MOST_BYTES)
    except (OSError, SafetensorError) as error:
        raise TemplateError(f"{path}: not readable as safetensors ({str(error)[:120]})") from error
    return _checked(Motion(**_renamed(tensors)), metadata.get("fps", ""), path)


def _renamed(values: Mapping[str, Value]) -> dict[str, Value]:
    """Rename entries of earlier versions to their current names."""
    return {_FORMER_NAMES.get(name, name): value for name, value in values.items()}


def _check_header(metadata: Mapping[str, str], entries: Mapping[str, Entry], path: Path) -> None:
    """Validate metadata and entries before tensors are read."""
    found = metadata.get("format", "none")
    if found != _FORMAT:
        raise TemplateError(f"{path}: not a motion template of this program (format {found[:40]!r})")
    version = metadata.get("version", "none")
    if version != _VERSION:
        raise TemplateError(f"{path}: a template of version {version[:40]!r}, known is {_VERSION}: update the program")
    names = {field.name for field in fields(Motion)}
    if names - _OPTIONAL - set(entries) or set(entries) - names:
        held = ", ".join(sorted(entries))
        raise TemplateError(f"{path}: entries {held[:100]!r} do not make a motion; make the template anew")
    for name, entry in entries.items():
        if entry.dtype != "F32":
            raise TemplateError(f"{path}: {name} is of type {entry.dtype}, expected F32; make the template anew")
    _check_shapes({name: entry.shape for name, entry in entries.items()}, path)


def _read_upstream(path: Path) -> Template:
    try:
        if path.stat().st_size > _MOST_PICKLED_BYTES:
            raise TemplateError(f"{path}: an upstream template has at most {_MOST_PICKLED_BYTES >> 20} MB")
        content = safe_pickle.loads(path.read_bytes())
    except (OSError, pickle.UnpicklingError) as error:
        raise TemplateError(f"{path}: refused as a template: {error}") from error
    try:
        frames = content["motion"]
        if len(frames) > _MOST_PICKLED_FRAMES:
            raise ValueError(f"it has {len(frames)} frames, at most {_MOST_PICKLED_FRAMES} are read")
        tensors = {
            name: torch.cat([_value(frame, key, older, shape) for frame in frames])
            for name, key, older, shape in _FRAME_KEYS
        }
        for name, key, older, shape in _RATIO_KEYS:
            # Files of upstream's first version may list fewer ratios than frames; ignore the ratios then.
            listed = content.get(key, content.get(older)) or []
            if len(listed) == len(frames):
                tensors[name] = torch.cat([_shaped(value, key, shape) for value in listed])
        # Upstream writes 25 if the frame rate is unknown.
        fps = float(safe_pickle.as_tensor(content.get("output_fps", 25)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        raise TemplateError(f"{path}: not an upstream motion template ({str(error)[:120]})") from error
    motion = Motion(**tensors)
    _check_shapes({name: tuple(value.shape) for name, value in tensors.items()}, path)
    template = _checked(motion, fps, path)
    return replace(template, fps=template.fps.limit_denominator(1001))


def _value(frame: dict[str, Any], key: str, older: str, shape: tuple[int, ...]) -> Tensor:
    return _shaped(frame[key] if key in frame else frame[older], key, shape)


def _shaped(value: object, key: str, shape: tuple[int, ...]) -> Tensor:
    tensor = safe_pickle.as_tensor(value)
    if tensor.numel() != torch.Size(shape).numel():
        raise ValueError(f"{key} has shape {tuple(tensor.shape)}, expected (1, {', '.join(map(str, shape))})")
    return tensor.float().reshape(1, *shape)


def _check_shapes(found: dict[str, tuple[int, ...]], path: Path) -> None:
    """Validate the shapes of a motion; the expression defines T and K, the dense residual G."""
    frames, keypoints, _ = found["expression"] if len(found["expression"]) == 3 else (0, 0, 0)
    side = found["dense_residual"][-1] if len(found.get("dense_residual", ())) == 4 else 0
    shapes = {
        "expression": (frames, keypoints, 3),
        "rotation": (frames, 3, 3),
        "scale": (frames, 1),
        "translation": (frames, 3),
        "eye_ratio": (frames, 2),
        "lip_ratio": (frames, 1),
        "dense_residual": (frames, 3, side, side),
    }
    for name, shape in shapes.items():
        if found.get(name, shape) != shape:
            raise TemplateError(f"{path}: {name} has shape {str(found[name])[:60]}, expected {shape}")
    if frames == 0 or keypoints == 0:
        raise TemplateError(f"{path}: holds no frames")
    if "dense_residual" in found and not 2 <= side <= _MOST_RESIDUAL_SIDE:
        raise TemplateError(
            f"{path}: dense_residual has shape {found['dense_residual']}; sides of 2 to {_MOST_RESIDUAL_SIDE} are read"
        )
    if frames > _MOST_FRAMES or keypoints > _MOST_KEYPOINTS:
        raise TemplateError(
            f"{path}: {frames} frames of {keypoints} keypoints are too many; "
            f"at most {_MOST_FRAMES} of {_MOST_KEYPOINTS} are read"
        )


def _checked(motion: Motion, fps: str | float, path: Path) -> Template:
    """Validate that the values are plausible for a face."""
    try:
        rate = read_number(fps[:40] if isinstance(fps, str) else fps, "frame rate", _LEAST_FPS, _MOST_FPS)
    except ValueError as error:
        raise TemplateError(f"{path}: {error}; make the template anew") from None
    for name in (field.name for field in fields(Motion)):
        value = getattr(motion, name)
        if value is None:
            continue
        if not bool(value.isfinite().all()):
            raise TemplateError(f"{path}: {name} holds values that are not finite numbers")
        if value.abs().max() > (_MOST_RATIO if name.endswith("ratio") else _MOST):
            raise TemplateError(f"{path}: {name} has values up to {float(value.abs().max()):.3g}, which no face has")
    if motion.scale.min() < 1 / _MOST:
        raise TemplateError(f"{path}: scale is {float(motion.scale.min()):.3g} in some frame; it lies above zero")
    product = motion.rotation @ motion.rotation.transpose(1, 2)
    if (product - torch.eye(3).to(product)).abs().max() > 0.1:
        raise TemplateError(f"{path}: rotation is not made of rotation matrices; make the template anew")
    return Template(motion, rate)
