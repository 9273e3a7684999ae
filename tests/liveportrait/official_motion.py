"""The reference's motions and small networks, as this package's values."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import torch
from official_reference import Golden, checkpoint, golden
from official_tiny import tiny_official
from torch import Tensor

from liveportrait.config import RetargetingConfig
from liveportrait.driving_rules import DrivingRules
from liveportrait.keypoints import rotation_matrix, transform_keypoints
from liveportrait.modules.stitching import EyeRetargeting, LipRetargeting, Stitching
from liveportrait.motion import Crop, Motion, Portrait
from liveportrait.official import OfficialPortrait
from liveportrait.regions import LANDMARKS_203
from liveportrait.retarget import eye_ratio, lip_ratio
from talkinghead.driver.driver import driving_rules
from talkinghead.options import DriveOptions


@cache
def small_networks() -> SimpleNamespace:
    """S, R_eyes and R_lip with the reference's weights."""
    state = checkpoint("stitching_retargeting_module.pth")
    kinds = {
        "stitching": (Stitching, "retarget_shoulder"),
        "retarget_eyes": (EyeRetargeting, "retarget_eye"),
        "retarget_lip": (LipRetargeting, "retarget_mouth"),
    }
    networks = SimpleNamespace()
    for name, (kind, part) in kinds.items():
        network = kind(RetargetingConfig()).eval().requires_grad_(False)
        network.load_state_dict({key.removeprefix("module."): value for key, value in state[part].items()})
        setattr(networks, name, network)
    return networks


@cache
def official_with_small_networks(needs_landmarks: bool = True) -> OfficialPortrait:
    """An official model of toy size, but with the reference's S, R_eyes and R_lip."""
    model, networks = tiny_official(needs_landmarks), small_networks()
    model.stitching, model.retarget_eyes = networks.stitching, networks.retarget_eyes
    model.retarget_lip = networks.retarget_lip
    return model


def face(name: str, data: Golden) -> tuple[Tensor, Motion]:
    """Canonical keypoints and motion from a motion extractor's outputs."""
    kp, exp, scale, t = (data.input(f"{name}/{part}") for part in ("kp", "exp", "scale", "t"))
    angles = (data.input(f"{name}/{part}") for part in ("pitch", "yaw", "roll"))
    return kp, Motion(rotation_matrix(*angles), exp, scale, t)


def measured(motion: Motion, landmarks: Tensor) -> Motion:
    """Add the openness ratios of 203-point landmarks, shape (203, 2) or (T, 203, 2)."""
    points = landmarks.reshape(-1, 203, 2)
    return replace(motion, eye_ratio=eye_ratio(points, LANDMARKS_203), lip_ratio=lip_ratio(points, LANDMARKS_203))


def source_picture(landmarks: str = "open") -> tuple[Tensor, Motion]:
    x_c, motion = face("motion/source", golden())
    return x_c, measured(motion, golden().input(f"motion/source_lmk_{landmarks}"))


def source_video(landmarks: str = "open") -> tuple[Tensor, Motion]:
    x_c, motion = face("motion/source_video", golden())
    suffix = "_shut" if landmarks == "shut" else ""
    return x_c, measured(motion, golden().input(f"motion/source_video_lmk{suffix}"))


def encoded(x_c: Tensor, motion: Motion) -> Portrait:
    """Return a portrait of known keypoints and motion."""
    nothing = torch.zeros(len(motion), 1)
    return Portrait(x_c, motion, transform_keypoints(x_c, motion), nothing, Crop(nothing))


def driver() -> Motion:
    _, motion = face("motion/driving", golden())
    eyes, lips = golden().input("motion/driving_c_eyes"), golden().input("motion/driving_c_lip")
    return replace(motion, eye_ratio=eyes[:, 0], lip_ratio=lips[:, 0])


def rules(options: dict) -> DrivingRules:
    """Translate upstream's options to those of the program, and these to rules."""
    return driving_rules(
        DriveOptions(
            region=options["animation_region"],
            relative=options["flag_relative_motion"],
            friendly=options["driving_option"].removesuffix("-friendly"),
            stitching=options["flag_stitching"],
            normalize_lips=options["flag_normalize_lip"],
            retarget_eyes=options.get("flag_eye_retargeting", False),
            retarget_lips=options.get("flag_lip_retargeting", False),
            replace=True,
            open_eyes=options.get("flag_source_video_eye_retargeting", False),
            strength=options["driving_multiplier"],
            source_smooth=options.get("driving_smooth_observation_variance", 3e-7),
        )
    )
