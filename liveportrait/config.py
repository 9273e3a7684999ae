"""Sizes of the official networks, one frozen config per network; tests use smaller ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

CROP_SCALE = 2.3
"""Side of the pictures that the official networks were trained on, over the size of the face in them."""


def check_precision(name: str) -> None:
    """Raise ValueError unless `name` is one of PRECISIONS."""
    if name not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")


@dataclass(frozen=True)
class AppearanceConfig:
    """Sizes of the appearance extractor F.

    Attributes:
        width: Channels after the first convolution; each down block doubles them.
        num_down: Number of down blocks, each halving the picture.
        volume_channels: Channels of the feature volume.
        volume_depth: Depth of the feature volume.
        num_residual: Number of residual blocks on the volume.
    """

    width: int = 64
    num_down: int = 2
    volume_channels: int = 32
    volume_depth: int = 16
    num_residual: int = 6


@dataclass(frozen=True)
class MotionConfig:
    """Sizes of the motion extractor M, a ConvNeXt V2.

    Attributes:
        depths: Blocks per stage.
        widths: Channels per stage.
        num_keypoints: K.
        num_bins: Angle bins per head rotation.
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    num_keypoints: int = 21
    num_bins: int = 66


@dataclass(frozen=True)
class WarpingConfig:
    """Sizes of the warping network W.

    Attributes:
        volume_channels: Channels of the feature volume.
        volume_depth: Depth of the feature volume.
        compressed_channels: Channels of the compressed volume that is warped by each keypoint's motion.
        width: Channels of the hourglass before its first doubling.
        max_width: Largest number of channels in the hourglass.
        num_blocks: Down and up blocks of the hourglass.
        num_keypoints: K.
        out_channels: Channels of the warped feature map.
        mask_kernel: Side of the last kernels, which weigh the motions and find what is hidden; odd.
    """

    volume_channels: int = 32
    volume_depth: int = 16
    compressed_channels: int = 4
    width: int = 32
    max_width: int = 1024
    num_blocks: int = 5
    num_keypoints: int = 21
    out_channels: int = 256
    mask_kernel: int = 7


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of the decoder G.

    Attributes:
        feature_channels: Channels of the feature map, which is both input and condition.
        width: Channels of the middle blocks.
        num_middle: Number of middle blocks.
        hidden: Channels inside the modulation.
        last_width: Channels before the output layer.
        num_up: Number of up blocks, at least 1; each doubles the sides of the picture.
        upscale: How much the output layer enlarges, 1 or 2; upstream's name.
    """

    feature_channels: int = 256
    width: int = 512
    num_middle: int = 6
    hidden: int = 128
    last_width: int = 64
    num_up: int = 2
    upscale: int = 2


@dataclass(frozen=True)
class RetargetingConfig:
    """Hidden sizes of the three small networks S, R_lip and R_eyes.

    Attributes:
        num_keypoints: K.
        stitching: Hidden sizes of S.
        lip: Hidden sizes of R_lip.
        eye: Hidden sizes of R_eyes.
    """

    num_keypoints: int = 21
    stitching: tuple[int, ...] = (128, 128, 64)
    lip: tuple[int, ...] = (128, 128, 64)
    eye: tuple[int, ...] = (256, 256, 128, 128, 64)


@dataclass(frozen=True)
class OfficialConfig:
    """All sizes of one official model; the defaults are upstream's.

    Attributes:
        input_size: Side in pixels of the pictures that F and M read; G returns `output_size`.
        crop_scale: Side of these pictures over the size of the face in them, as the networks were trained.
        guided: Whether keypoints were trained to follow lips and lids, see `liveportrait.regions.GUIDE`.
    """

    input_size: int = 256
    crop_scale: float = CROP_SCALE
    guided: bool = False
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    warping: WarpingConfig = field(default_factory=WarpingConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    retargeting: RetargetingConfig = field(default_factory=RetargetingConfig)

    @property
    def output_size(self) -> int:
        """Side in pixels of the pictures that G returns."""
        enlarged = self.generator.upscale * 2**self.generator.num_up
        return enlarged * self.input_size // 2**self.appearance.num_down
