"""Settings of stage I."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from liveportrait.config import CROP_SCALE
from liveportrait.training.loss_weights import read_numbers

WEIGHTS = Path(__file__).with_name("weights.yaml")


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss; zero switches it off. Values and their sources are in weights.yaml."""

    equivariance: float
    keypoint_prior: float
    head_pose: float
    deformation_prior: float
    motion_balance: float
    guide: float
    openness: float
    landmark_flow: float
    perceptual: float
    perceptual_face: float
    perceptual_lips: float
    perceptual_eyes: float
    reconstruction: float
    identity: float
    adversarial: float
    feature_matching: float


def read_weights(file: Path = WEIGHTS) -> LossWeights:
    """Read the weights of all losses; see `read_numbers` for errors."""
    return read_numbers(LossWeights, file)


@dataclass(frozen=True)
class Stage1Config:
    """Every number of a run of stage I; `--set name=value` changes one.

    Attributes:
        size: Name of the networks' sizes in `liveportrait.training.sizes`.
        num_steps: Length of the run.
        batch_size: Pairs per step over all processes.
        accumulate: Parts in which a step's pairs are computed one after the other, to need less memory.
        learning_rate: Peak (2e-4 in the paper).
        motion_steps: Steps at the start in which M learns alone, from poses and landmarks. They are cheap, since no
            pictures are made, and the other networks then begin with keypoints that follow the head.
        motion_batch: Pairs per step meanwhile.
        motion_peak: Peak learning rate meanwhile.
        motion_rate: Learning rate of M over that of the other networks.
        mask_rate: Learning rate of the layers that choose between the keypoints' motions, likewise. They have many
            thousand inputs, and without `landmark_flow` Adam decides in a few steps for two keypoints.
        known_share: Share of pairs in which W is given the landmarks in place of the guided keypoints that M found.
        beta1: Of Adam (0.5 in the paper).
        beta2: Of Adam (0.999 in the paper).
        warmup_steps: Steps of linear warm-up.
        clip_norm: Largest norm of the gradients.
        average: Decay of the weights' exponential moving average.
        adversarial_start: First step with discriminators.
        discriminator_widths: Channels of a discriminator's first layer; each further one has twice as many.
        discriminator_layers: Layers that halve the picture.
        still_share: Share of pairs that come from stills.
        contrast_share: Share of pairs whose driving picture is chosen for lids or lips unlike the source's.
        frozen: Networks that keep their weights, some of the letters FMWG.
        stages: Stages of VGG-16 that compare pictures.
        scales: How many scales of whole picture and face they compare, each half the size of the one before.
        finest: Scale of the first of them.
        preload: Whether all pictures are decoded at the start and kept on the device.
        bfloat16: Run the networks in bfloat16.
        seed: Of everything.
        device: Where to train.
        crop_scale: Side of the pictures over the size of the face; the command takes it from the faces.
        weights: Of the losses.
    """

    size: str = "toy"
    num_steps: int = 20_000
    batch_size: int = 8
    accumulate: int = 1
    learning_rate: float = 2e-4
    motion_steps: int = 0
    motion_batch: int = 24
    motion_peak: float = 6e-4
    motion_rate: float = 1.0
    mask_rate: float = 0.5
    known_share: float = 0.7
    beta1: float = 0.5
    beta2: float = 0.999
    warmup_steps: int = 100
    clip_norm: float = 10.0
    average: float = 0.999
    adversarial_start: int = 2_000
    discriminator_widths: int = 32
    discriminator_layers: int = 3
    still_share: float = 0.4
    contrast_share: float = 0.7
    frozen: str = ""
    stages: int = 3
    scales: int = 3
    finest: float = 1.0
    preload: bool = True
    bfloat16: bool = False
    seed: int = 0
    device: str = "cpu"
    crop_scale: float = CROP_SCALE
    weights: LossWeights = field(default_factory=read_weights)


PRESETS = {
    "cpu": Stage1Config(scales=1, finest=0.5),
    "gpu": Stage1Config(
        size="official",
        num_steps=1_000_000,
        batch_size=104,
        average=0.9999,
        adversarial_start=20_000,
        discriminator_widths=64,
        discriminator_layers=4,
        stages=5,
        scales=4,
        preload=False,
        bfloat16=True,
        device="cuda",
    ),
}
"""gpu: the paper's batch of 104 on eight GPUs; its number of steps is not published."""
