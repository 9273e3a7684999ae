"""Names and directories to models: what the official files are, where they lie, and how they are read and checked."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from liveportrait import hub
from liveportrait.config import OfficialConfig, Precision
from liveportrait.errors import PortraitError, WeightsError, WeightsNotFoundError
from liveportrait.imports import meta_device
from liveportrait.model import PortraitModel
from liveportrait.modules.generator import fold_spectral_norm
from liveportrait.modules.motion_extractor import official_name
from liveportrait.official import OfficialPortrait
from liveportrait.weight_files import is_file, read_archive, read_settings, read_sizes, require_finite, shapes_of

logger = logging.getLogger(__name__)

REPOSITORY, FORMER_REPOSITORY = "KlingTeam/LivePortrait", "KwaiVGI/LivePortrait"
REVISION = "82a4fa6735ca58432b6ce39301b4b9ee066dea47"
NOTICE = """\
The official LivePortrait weights (Kuaishou Technology, KlingTeam/LivePortrait on the Hugging Face hub, revision
{revision}) are published under the MIT licence: https://huggingface.co/KlingTeam/LivePortrait
Fetched once, {size} in {count}, to {folder}.
Upstream's face detector (InsightFace) and animal detector (X-Pose) are for non-commercial use and are not fetched.
Use portraits of people only with their consent."""

_HUMAN = "liveportrait/base_models"
_ANIMAL = "liveportrait_animals/base_models_v1.1"
_STITCHING = hub.HubFile(
    "liveportrait/retargeting_models/stitching_retargeting_module.pth",
    "3652d5a3f95099141a56986aaddec92fadf0a73c87a20fac9a2c07c32b28b611",
    2_393_098,
)
# The hashes of the human files are those of the repository's own pointers; those of the animal files are what others
# who use this revision have published.
RELEASES: dict[str, tuple[hub.HubFile, ...]] = {
    "base": (
        hub.HubFile(
            f"{_HUMAN}/appearance_feature_extractor.pth",
            "5279bb8654293dbdf327030b397f107237dd9212fb11dd75b83dfb635211ceb5",
            3_387_959,
        ),
        hub.HubFile(
            f"{_HUMAN}/motion_extractor.pth",
            "251e6a94ad667a1d0c69526d292677165110ef7f0cf0f6d199f0e414e8aa0ca5",
            112_545_506,
        ),
        hub.HubFile(
            f"{_HUMAN}/warping_module.pth",
            "2f61a6f265fe344f14132364859a78bdbbc2068577170693da57fb96d636e282",
            182_180_086,
        ),
        hub.HubFile(
            f"{_HUMAN}/spade_generator.pth",
            "4780afc7909a9f84e24c01d73b31a555ef651521a1fe3b2429bd04534d992aee",
            221_813_590,
        ),
        _STITCHING,
    ),
    "animals": (
        hub.HubFile(
            f"{_ANIMAL}/appearance_feature_extractor.pth",
            "7e320d545579caa83c7b094cef8b7b43fe92a2e410c219ffa97b08be549f45bf",
            None,
        ),
        hub.HubFile(
            f"{_ANIMAL}/motion_extractor.pth",
            "827d0ea4c56ff252dba50feece3bc62ced365ecae5edb86db07eb71b2f39a696",
            None,
        ),
        hub.HubFile(
            f"{_ANIMAL}/warping_module.pth",
            "7dfd251dc6b3a1baefebfc658f5bb2a2c565649cdb9aa75032591e824a0bfcee",
            None,
        ),
        hub.HubFile(
            f"{_ANIMAL}/spade_generator.pth",
            "6ac31a9b608f3920ec41a402b1c4e29d22007dafd79a855f204aae9307039445",
            None,
        ),
        _STITCHING,
    ),
}
MODEL_NAMES = ("mini", *RELEASES)

LANDMARKS = hub.HubFile(
    "liveportrait/landmark.onnx", "31d22a5041326c31f19b78886939a634a5aedcaa5ab8b9b951a1167595d147db", 114_666_491
)
"""Upstream's network of 203 landmarks, which `base` uses if it lies beside its weights."""


class OfficialFiles(NamedTuple):
    """Where the five files of an official model lie."""

    appearance: Path
    motion: Path
    warping: Path
    generator: Path
    stitching: Path


_BASE_NAMES = ("appearance_feature_extractor", "motion_extractor", "warping_module", "spade_generator")
_SMALL_NETWORKS = {
    "stitching": "retarget_shoulder",
    "retarget_lip": "retarget_mouth",
    "retarget_eyes": "retarget_eye",
}


def load(name_or_directory: str | Path, precision: Precision = "fp32") -> PortraitModel:
    """Load a model by name or from a directory.

    Args:
        name_or_directory: "mini", "base", "animals", or a directory that holds either kind of checkpoint.
        precision: In what the official networks compute.

    Returns:
        The model in eval mode on the CPU.

    Raises:
        WeightsNotFoundError: The name is unknown, or files are missing and cannot be fetched.
        WeightsError: A file is not what its name says.
    """
    if name_or_directory == "mini":
        return _load_mini(Path(__file__).parent / "mini" / "weights")
    if isinstance(name_or_directory, str) and name_or_directory in RELEASES:
        root = download(name_or_directory, logger.warning)
        files = OfficialFiles._make(root / file.path for file in RELEASES[name_or_directory])
        model = load_official(files, OfficialConfig(), name_or_directory != "animals", precision)
        model.folder = root
        return model
    try:
        return _load_directory(Path(name_or_directory), precision)
    except PortraitError:
        raise
    except OSError as error:
        raise WeightsError(f"{name_or_directory}: cannot be read ({error.strerror or error})") from error


def download(
    name: str, announce: Callable[[str], None], progress: Callable[[str, int, int], None] | None = None
) -> Path:
    """Make sure that an official model's files are on this machine, whole and unchanged.

    Args:
        name: "base", "animals" or "landmarks".
        announce: Called once with licence, size and place when the hub has answered, before anything is written, and
            not at all when nothing is missing. It may raise to refuse.
        progress: Called with a file's name, its bytes so far and its size while it is fetched.

    Returns:
        The folder that holds the files in the layout of the upstream repository.

    Raises:
        WeightsNotFoundError: The name is unknown, or a file is missing and cannot be fetched.
        WeightsError: What the hub sent is not the pinned file.
    """
    files = downloads()
    if name not in files:
        raise WeightsNotFoundError(f"nothing to download for {name!r}; choose from {', '.join(files)}")

    def say(folder: Path, missing: list[hub.HubFile]) -> None:
        count = "1 file" if len(missing) == 1 else f"{len(missing)} files"
        announce(NOTICE.format(revision=REVISION, size=_size(missing), count=count, folder=folder))

    return hub.complete(REPOSITORY, REVISION, files[name], say, progress, FORMER_REPOSITORY)


def downloads() -> dict[str, tuple[hub.HubFile, ...]]:
    """Return the files that can be fetched, by the name that `download` takes."""
    return {**RELEASES, "landmarks": (LANDMARKS,)}


def _size(files: list[hub.HubFile]) -> str:
    known = sum(file.size or 0 for file in files)
    return f"{known / 1e6:.0f} MB" if all(file.size for file in files) else "about 520 MB"


def _load_mini(directory: Path) -> PortraitModel:
    from liveportrait import mini

    return mini.load(directory)


def _load_directory(directory: Path, precision: Precision) -> PortraitModel:
    if not os.path.isdir(directory):  # Path.is_dir raises where the name is too long
        names = ", ".join(MODEL_NAMES)
        raise WeightsNotFoundError(f"no model {str(directory)!r}: give {names}, or a directory with a checkpoint")
    config_file = directory / "config.json"
    settings = read_settings(config_file) if is_file(config_file) else {}
    kind = settings.get("model")
    if kind == "mini":
        return _load_mini(directory)
    if kind not in (None, *RELEASES):
        raise WeightsError(f'{config_file}: "model" is {repr(kind)[:40]}; known are {", ".join(MODEL_NAMES)}')
    files, is_animal = _find_official(directory)
    config = _read_config(config_file, settings.get("networks", {}))
    model = load_official(files, config, not (is_animal or kind == "animals"), precision)
    model.folder = directory
    return model


def _find_official(directory: Path) -> tuple[OfficialFiles, bool]:
    """Find the upstream layout in a directory or one level below; say whether it is the animals'."""
    candidates = (
        (directory / "base_models", directory, False),
        (directory / "liveportrait" / "base_models", directory / "liveportrait", False),
        (directory / "base_models_v1.1", directory, True),
        (directory / "liveportrait_animals" / "base_models_v1.1", directory / "liveportrait", True),
    )
    for base, home, is_animal in candidates:
        if base.is_dir():
            stitching = home / "retargeting_models" / "stitching_retargeting_module.pth"
            if not stitching.is_file() and home.parent.joinpath("liveportrait").is_dir():
                # The animal model uses the human stitching file, which upstream keeps next door.
                stitching = home.parent / "liveportrait" / "retargeting_models" / stitching.name
            networks = [base / f"{name}.pth" for name in _BASE_NAMES]
            return OfficialFiles._make([*networks, stitching]), is_animal
    raise WeightsNotFoundError(
        f"{directory} holds no model: expected config.json of the embedded kind, or base_models/*.pth and "
        "retargeting_models/*.pth as upstream lays them out"
    )


def _read_config(path: Path, networks: object) -> OfficialConfig:
    """Build the networks' sizes from config.json; what it leaves out is upstream's."""
    config = read_sizes(OfficialConfig, networks, path)
    alike = (
        {config.motion.num_keypoints, config.warping.num_keypoints, config.retargeting.num_keypoints},
        {config.appearance.volume_channels, config.warping.volume_channels},
        {config.appearance.volume_depth, config.warping.volume_depth},
        {config.warping.out_channels, config.generator.feature_channels},
    )
    if any(len(sizes) > 1 for sizes in alike):
        raise WeightsError(f"{path}: keypoints, volumes or features differ between its networks; fetch it again")
    if config.warping.mask_kernel % 2 == 0:
        raise WeightsError(f"{path}: mask_kernel is {config.warping.mask_kernel}, expected an odd number")
    step = 1 << (config.appearance.num_down + config.warping.num_blocks)
    if config.input_size % step:
        raise WeightsError(
            f"{path}: input_size {config.input_size} cannot be halved so often; expected a multiple of {step}"
        )
    shapes_of(lambda: OfficialPortrait(config, needs_landmarks=True), path)
    return config


def load_official(
    files: OfficialFiles, config: OfficialConfig, needs_landmarks: bool, precision: Precision
) -> OfficialPortrait:
    """Build an official model and read its five files into it.

    Args:
        files: Where they lie.
        config: Sizes of the networks.
        needs_landmarks: Whether crops come with face-mesh landmarks (not for animals).
        precision: In what the networks compute.

    Raises:
        WeightsNotFoundError: A file is missing.
        WeightsError: A file cannot be read, lacks a key, has one too many or one of another shape.
    """
    with meta_device():
        model = OfficialPortrait(config, needs_landmarks)
    _fill(model.appearance_extractor, read_checkpoint(files.appearance), files.appearance)
    _fill(model.motion_extractor, read_checkpoint(files.motion), files.motion, official_name)
    _fill(model.warping, read_checkpoint(files.warping), files.warping)
    folded = _folded(read_checkpoint(files.generator), files.generator)
    _fill(model.generator, folded, files.generator, _spectral_name)
    small = read_checkpoint(files.stitching)
    for attribute, part in _SMALL_NETWORKS.items():
        # The file holds more than these three; upstream reads no more of it either.
        state = small.get(part)
        if not isinstance(state, dict):
            raise WeightsError(f"{files.stitching}: key {part!r} is missing")
        plain = {name.replace("module.", ""): value for name, value in state.items()}
        _fill(model.get_submodule(attribute), plain, files.stitching, prefix=f"{part}.")
    model.set_precision(precision)
    return model.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a `.pth` file weights-only: tensors and plain containers, never code.

    Raises:
        WeightsNotFoundError: There is no such file.
        WeightsError: It is damaged, or holds something else.
    """
    if not is_file(path):
        raise WeightsNotFoundError(f"{path} is missing; `talkinghead download base` fetches the official files")
    return read_archive(path)


def _folded(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    try:
        return fold_spectral_norm(state)
    except KeyError as error:
        raise WeightsError(f"{path}: key {error.args[0]!r} is missing") from error
    except (RuntimeError, AttributeError) as error:
        raise WeightsError(f"{path}: spectral norm vectors do not fit their weights ({str(error)[:120]})") from error


def _fill(
    module: nn.Module,
    state: dict[str, Any],
    path: Path,
    file_name: Callable[[str], str] = str,
    prefix: str = "",
) -> None:
    """Move a file's tensors into a module, strictly; `file_name` maps the module's names to the file's."""
    wanted = module.state_dict()
    loaded = {}
    unused = set(state)
    for name, own in wanted.items():
        # A checkpoint saved from this program has our names already.
        key = name if name in state else file_name(name)
        if key not in state:
            raise WeightsError(f"{path}: key {prefix + key!r} is missing")
        value = state[key]
        unused.discard(key)
        if not isinstance(value, Tensor):
            raise WeightsError(f"{path}: key {prefix + key!r} is {type(value).__name__}, not a tensor")
        if value.shape != own.shape and value.squeeze().shape != own.shape:
            found, expected = tuple(value.shape), tuple(own.shape)
            raise WeightsError(f"{path}: key {prefix + key!r} has shape {found}, expected {expected}")
        loaded[name] = value.reshape(own.shape).to(own.dtype)
    if unused:
        raise WeightsError(f"{path}: key {prefix + min(unused)!r} does not belong to this network")
    require_finite(loaded, path)
    module.load_state_dict(loaded, assign=True)


def _spectral_name(name: str) -> str:
    """Name a generator weight as the official file does before its spectral norm is folded."""
    return re.sub(r"(conv_[01s]\.weight)$", r"\1_orig", name)


def save_official(model: OfficialPortrait, directory: Path) -> None:
    """Write a model in upstream's layout, with its sizes in config.json; `load(directory)` reads it back."""
    base, small = directory / "base_models", directory / "retargeting_models"
    base.mkdir(parents=True, exist_ok=True)
    small.mkdir(exist_ok=True)
    networks = (model.appearance_extractor, model.motion_extractor, model.warping, model.generator)
    for name, network in zip(_BASE_NAMES, networks, strict=True):
        torch.save(network.state_dict(), base / f"{name}.pth")
    parts = {part: model.get_submodule(name).state_dict() for name, part in _SMALL_NETWORKS.items()}
    torch.save(parts, small / "stitching_retargeting_module.pth")
    kind = "base" if model.needs_landmarks else "animals"
    settings = {"model": kind, "networks": dataclasses.asdict(model.config)}
    (directory / "config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
