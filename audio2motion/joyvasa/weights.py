"""Read the published motion generator: a checkpoint with its training arguments, and a template of statistics."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE
from audio2motion.joyvasa.config import MAX_FRAMES, MAX_STEPS, MOTION_SIZE, HubertSizes, JoyVASAConfig
from audio2motion.joyvasa.denoiser import sinusoids
from audio2motion.joyvasa.model import JoyVASA
from audio2motion.joyvasa.sampler import cosine_schedule
from audio2motion.joyvasa.template import load_motion_template
from liveportrait import hub
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.imports import meta_device
from liveportrait.weight_files import is_file, read_archive, require_finite

REPOSITORY = "jdh-algo/JoyVASA"
REVISION = "b8f13fe9c23679c56f21b1baafb92ed00dc087c3"
NOTICE = """\
JoyVASA's motion generator (JD Health, jdh-algo/JoyVASA on the Hugging Face hub, revision {revision}) is published
under the MIT licence: https://huggingface.co/jdh-algo/JoyVASA
Fetched once, about 414 MB in {count} files, to {folder}."""
_GENERATOR = "motion_generator/motion_generator_hubert_chinese.pt"
_TEMPLATE = "motion_template/motion_template.pkl"
Release = Literal["v1", "v2"]
# The hash of v2's template is what others who use this revision have published.
RELEASES: dict[Release, tuple[hub.HubFile, ...]] = {
    "v1": (
        hub.HubFile(_GENERATOR, "d7401b53a095eed55f4ed63470ba65a85b6f5c0fb3a1a4f936acb14a6628849c", 414_086_265),
        hub.HubFile(_TEMPLATE, "3afc81dbb69b1cf30008ce0b457a2fdecd85dcc8bc0cd251dae73cda073e08c1", 3_141),
    ),
    "v2": (
        hub.HubFile(_GENERATOR, "9dd869329725caedf5f0c13dd383abec1e385f566d8afe2047b141f604844e80", 414_067_833),
        hub.HubFile(_TEMPLATE, "294ce67350b18031b375361756f654c76d5e14c8f1e319cf9ed07f759ef81a98", None),
    ),
}
_V1_FORMAT = 70, 25
"""Values per frame and previous frames of v1."""
_ENCODERS = ("hubert_zh", "hubert_zh_ori")
_HUBERT = "audio_encoder."
_POSITION = f"{_HUBERT}encoder.pos_conv_embed.conv."
# What other versions of torch call the parts of the weight-normalised convolution.
_OLD_NAMES = {
    f"{_POSITION}weight_g": f"{_POSITION}parametrizations.weight.original0",
    f"{_POSITION}weight_v": f"{_POSITION}parametrizations.weight.original1",
}
# Parameters that only training uses.
_UNUSED = (f"{_HUBERT}masked_spec_embed",)
_MASK = "denoising_net.alignment_mask"
_MOST = {"n_motions": MAX_FRAMES, "n_prev_motions": MAX_FRAMES, "n_diff_steps": MAX_STEPS}
_STEP_TABLE, _POSITION_TABLE = "denoising_net.TE.pe", "denoising_net.PE.pe"


def load(directory: Path, release: Release | None = None) -> JoyVASA:
    """Load the generator from a directory in the layout of its repository, or with both files side by side.

    Args:
        directory: Holds motion_generator/*.pt and motion_template/motion_template.pkl.
        release: Which published files they must be, by SHA-256; None takes any of the same make.

    Returns:
        The model in eval mode on the CPU.

    Raises:
        WeightsNotFoundError: A file is missing.
        WeightsError: A file is not what it should be.
    """
    generator, template = (_find(directory, Path(name)) for name in (_GENERATOR, _TEMPLATE))
    for file in () if release is None else RELEASES[release]:
        hub.check(generator if file.path == _GENERATOR else template, file)
    arguments, tensors = read_generator(generator)
    config = config_of(arguments, tensors, generator)
    config = replace(config, constant_position=_has_constant_position(config, generator))
    _check_tables(tensors, config, generator)
    statistics = load_motion_template(template)
    try:
        with meta_device():
            model = JoyVASA(config, statistics)
    # Sizes that do not go together fail in any way at all.
    except Exception as error:
        raise WeightsError(f"{generator}: its sizes make no network ({str(error)[:120]}); fetch it again") from error
    _fill(model, tensors, generator)
    return model.eval().requires_grad_(False)


def download(announce: Callable[[str], None], progress: Callable[[str, int, int], None] | None = None) -> Path:
    """Make sure that the newest published files are on this machine, whole and unchanged.

    Args:
        announce: Called once with licence, size and place when the hub has answered, before anything is written, and
            not at all when nothing is missing. It may raise to refuse.
        progress: Called with a file's name, its bytes so far and its size while it is fetched.

    Returns:
        The directory for `load`.

    Raises:
        WeightsNotFoundError: A file is missing and cannot be fetched.
        WeightsError: What the hub sent is not the pinned file.
    """

    def say(folder: Path, missing: list[hub.HubFile]) -> None:
        announce(NOTICE.format(revision=REVISION, count=len(missing), folder=folder))

    return hub.complete(REPOSITORY, REVISION, RELEASES["v2"], say, progress)


def is_generator(directory: Path) -> bool:
    """Tell whether a directory holds the published generator, in either layout."""
    return any(is_file(path) for path in _places(directory, Path(_GENERATOR)))


def _places(directory: Path, file: Path) -> tuple[Path, Path]:
    return directory / file, directory / file.name


def _find(directory: Path, file: Path) -> Path:
    for path in _places(directory, file):
        if is_file(path):
            return path
    raise WeightsNotFoundError(
        f"{directory / file} is missing; the published file is {file} of {REPOSITORY} on the Hugging Face hub"
    )


def read_generator(path: Path) -> tuple[argparse.Namespace, dict[str, Tensor]]:
    """Read a checkpoint weights-only: beside tensors it may hold a Namespace and paths, and nothing else.

    Returns:
        Training arguments, and tensors by their names in current versions of torch.

    Raises:
        WeightsError: It is damaged, asks for code, or is laid out in another way.
    """
    # A path becomes a pure one: the file may come from another system.
    admitted = [argparse.Namespace, (PurePosixPath, "pathlib.PosixPath")]
    content = read_archive(path, admitted)
    if not {"args", "model"} <= set(content):
        raise WeightsError(f"{path}: expected a dictionary with 'args' and 'model'; this is no JoyVASA checkpoint")
    arguments, tensors = content["args"], content["model"]
    if not isinstance(arguments, argparse.Namespace) or not isinstance(tensors, dict):
        found = f"{type(arguments).__name__} and {type(tensors).__name__}"
        raise WeightsError(f"{path}: 'args' and 'model' are {found}, expected Namespace and dictionary")
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise WeightsError(f"{path}: key {name!r} is {type(value).__name__}, not a tensor")
        renamed[_OLD_NAMES.get(str(name), str(name))] = value
    return arguments, renamed


def config_of(arguments: argparse.Namespace, tensors: dict[str, Tensor], path: Path) -> JoyVASAConfig:
    """Work out a checkpoint's sizes from its arguments and its tensors, which must agree.

    Raises:
        WeightsError: An argument is missing, or the tensors have other sizes.
    """

    def number(name: str) -> int:
        value, most = vars(arguments).get(name), _MOST.get(name, 8192)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            found = repr(value)[:40] if isinstance(value, int | float | str | None) else type(value).__name__
            raise WeightsError(f"{path}: argument {name!r} is {found}, expected a positive whole number up to {most}")
        return value

    if vars(arguments).get("audio_model") not in _ENCODERS:
        found = vars(arguments).get("audio_model")
        raise WeightsError(f"{path}: argument 'audio_model' is {repr(found)[:40]}; known are {', '.join(_ENCODERS)}")
    if number("fps") != FRAME_RATE:
        raise WeightsError(f"{path}: argument 'fps' is {number('fps')}, expected {FRAME_RATE}")
    if number("motion_feat_dim") < MOTION_SIZE:
        found = number("motion_feat_dim")
        raise WeightsError(f"{path}: argument 'motion_feat_dim' is {found}, expected at least {MOTION_SIZE}")
    layer = "denoising_net.transformer.layers.{}.linear1.weight"
    return JoyVASAConfig(
        motion_size=number("motion_feat_dim"),
        num_frames=number("n_motions"),
        num_previous=number("n_prev_motions"),
        feature_size=number("feature_dim"),
        num_layers=_count(tensors, layer),
        feed_forward_size=_shape(tensors, layer.format(0), 2, path)[0],
        num_steps=number("n_diff_steps"),
        hubert=_hubert_of(tensors, path),
    )


def _has_constant_position(config: JoyVASAConfig, path: Path) -> bool:
    """Tell whether weights were trained with one position encoding for all frames.

    Upstream trained so until a correction of 9 December 2025: all that was published before, and whatever has the
    format of v1. Other weights in the format of v2 are taken for later ones.
    """
    if (config.motion_size, config.num_previous) == _V1_FORMAT:
        return True
    published = (files[0] for files in RELEASES.values())
    return any(path.stat().st_size == file.size and hub.sha256(path) == file.sha256 for file in published)


def _hubert_of(tensors: dict[str, Tensor], path: Path) -> HubertSizes:
    convolution = f"{_HUBERT}feature_extractor.conv_layers.{{}}.conv.weight"
    layer = f"{_HUBERT}encoder.layers.{{}}.feed_forward.intermediate_dense.weight"
    kernels = [_shape(tensors, convolution.format(i), 3, path) for i in range(len(HubertSizes().conv_kernel))]
    width, group, kernel = _shape(tensors, f"{_POSITION}parametrizations.weight.original1", 3, path)
    if width % 64 or width % group:
        raise WeightsError(f"{path}: key {_POSITION!r} has width {width} in groups of {group}; this is no HuBERT base")
    return HubertSizes(
        conv_dim=tuple(shape[0] for shape in kernels),
        conv_kernel=tuple(shape[2] for shape in kernels),
        hidden_size=width,
        num_layers=_count(tensors, layer),
        feed_forward_size=_shape(tensors, layer.format(0), 2, path)[0],
        position_kernel=kernel,
        position_groups=width // group,
    )


def _count(tensors: dict[str, Tensor], name: str) -> int:
    count = 0
    while name.format(count) in tensors:
        count += 1
    return count


def _shape(tensors: dict[str, Tensor], name: str, num_axes: int, path: Path) -> tuple[int, ...]:
    if name not in tensors:
        raise WeightsError(f"{path}: key {name!r} is missing")
    shape = tuple(tensors[name].shape)
    if len(shape) != num_axes or 0 in shape:
        raise WeightsError(f"{path}: key {name!r} has shape {shape}, expected {num_axes} axes")
    return shape


def _check_tables(tensors: dict[str, Tensor], config: JoyVASAConfig, path: Path) -> None:
    """Compare the constants that a checkpoint may hold with ours; other ones mean another training."""
    schedule = cosine_schedule(config.num_steps)
    frames = config.num_previous + config.num_frames
    expected = {f"diffusion_sched.{name}": value for name, value in vars(schedule).items()}
    expected[_MASK] = ~torch.eye(frames, dtype=torch.bool)
    if _POSITION_TABLE in tensors:
        rows = tensors[_POSITION_TABLE].shape[-2] if tensors[_POSITION_TABLE].ndim > 1 else 0
        expected[_POSITION_TABLE] = sinusoids(rows, config.feature_size)[None]
    for name, table in expected.items():
        found = tensors.get(name)
        if found is None:
            continue
        if found.shape != table.shape or not torch.allclose(found.float(), table.float(), rtol=1e-4, atol=1e-5):
            raise WeightsError(f"{path}: key {name!r} is not the table of {config.num_steps} steps and {frames} frames")


def _fill(model: JoyVASA, tensors: dict[str, Tensor], path: Path) -> None:
    """Move the tensors into the model, strictly but for tables and what only training uses."""
    loaded = {}
    for name, own in model.state_dict().items():
        shape = _shape(tensors, name, own.ndim, path)
        if shape != own.shape:
            raise WeightsError(f"{path}: key {name!r} has shape {shape}, expected {tuple(own.shape)}")
        loaded[name] = tensors[name].to(own.dtype)
    tables = ("diffusion_sched.", _MASK, _STEP_TABLE, _POSITION_TABLE, *_UNUSED)
    unknown = [name for name in tensors if name not in loaded and not name.startswith(tables)]
    if unknown:
        raise WeightsError(f"{path}: key {min(unknown)!r} does not belong to this network")
    require_finite(loaded, path)
    model.load_state_dict(loaded, assign=True)
