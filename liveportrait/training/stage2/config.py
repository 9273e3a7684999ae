"""Settings of stage II."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from liveportrait.training.loss_weights import read_numbers

WEIGHTS = Path(__file__).with_name("weights.yaml")
PARTS = {"stitching": "stitching", "eyes": "retarget_eyes", "lips": "retarget_lip"}
"""Network of each part in `OfficialPortrait`."""


@dataclass(frozen=True)
class Stage2Weights:
    """Weight of each loss. Values and their sources are in weights.yaml."""

    stitching_outside: float
    stitching_size: float
    stitching_opening: float
    eyes_outside: float
    eyes_condition: float
    eyes_size: float
    lips_outside: float
    lips_condition: float
    lips_size: float


def read_weights(file: Path = WEIGHTS) -> Stage2Weights:
    """Read the weights of all losses; see `read_numbers` for errors."""
    return read_numbers(Stage2Weights, file)


@dataclass(frozen=True)
class Stage2Config:
    """Every number of a run of stage II; `--set name=value` changes one.

    Attributes:
        part: "reader", "stitching", "eyes" or "lips".
        num_steps: Length of the run.
        known_steps: Steps at the start in which R_eyes and R_lip learn, without pictures, to move the keypoints that
            stage I guided as lids and lips have to move. They are cheap, and pictures alone take many steps to begin
            with. Only for models that were trained with `guide`.
        batch_size: Pictures per step over all processes.
        learning_rate: Peak.
        warmup_steps: Steps of linear warm-up.
        clip_norm: Largest norm of the gradients.
        average: Decay of the weights' exponential moving average.
        most_open: Openness is asked for between 0 and this (0.8 as in upstream's user interface).
        still_share: Share of pictures that are stills.
        contrast_share: Share of driving pictures that are chosen for lids or lips unlike the source's. The reader
            learns from them, and stitching is given their motion.
        preload: Whether all pictures are decoded at the start and kept on the device.
        bfloat16: Run the networks in bfloat16.
        seed: Of everything.
        device: Where to train.
        weights: Of the losses.
    """

    part: str = "stitching"
    num_steps: int = 2_000
    known_steps: int = 0
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    clip_norm: float = 1.0
    average: float = 0.99
    most_open: float = 0.8
    still_share: float = 0.3
    contrast_share: float = 1.0
    preload: bool = True
    bfloat16: bool = False
    seed: int = 0
    device: str = "cpu"
    weights: Stage2Weights = field(default_factory=read_weights)


PRESETS = {
    "cpu": Stage2Config(),
    "gpu": Stage2Config(
        num_steps=50_000,
        batch_size=64,
        learning_rate=2e-4,
        average=0.999,
        preload=False,
        bfloat16=True,
        device="cuda",
    ),
}
