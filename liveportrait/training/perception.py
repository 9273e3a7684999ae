"""How different two pictures look: LPIPS over VGG-16, as a metric and as a training loss."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from liveportrait.training.loop import TrainingError

STAGES = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
TINY = 1e-10

Features = list[Tensor]


class Perception(nn.Module):
    """LPIPS: distances of unit-length features, weighted as people's judgements of likeness were.

    Args:
        stages: How many of the five stages of VGG-16 look; later ones see wider and cost more.

    Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018, Eq. 1.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, stages: int = len(STAGES)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(widths)) for widths in STAGES[:stages]
        )
        self.weights = nn.ParameterList(torch.zeros(widths[-1], 1, 1) for widths in STAGES[:stages])
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)

    def features(self, pictures: Tensor) -> Features:
        """Look at pictures (T, 3, H, W) in [0, 1]: one map of unit-length features per stage."""
        return self.unit_length(self.maps(pictures))

    @staticmethod
    def unit_length(maps: Features) -> Features:
        """Scale what was found at each place to a length of one."""
        return [each / (each.square().sum(1, keepdim=True) + TINY).sqrt() for each in maps]

    def maps(self, pictures: Tensor) -> Features:
        """Return what the last convolution of each stage finds in pictures (T, 3, H, W) in [0, 1]."""
        h, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number, stage in enumerate(self.stages):
            h = F.max_pool2d(h, 2) if number else h
            for convolution in stage:  # type: ignore[attr-defined]
                h = F.relu(convolution(h))
            found.append(h.float())
        return found

    def distance(self, shown: Features, real: Features) -> Tensor:
        """Compare what was seen of two batches of pictures: shape (T,), zero where they are the same."""
        pairs = zip(shown, real, self.weights, strict=True)
        return sum(((a - b).square() * weight).sum(1).mean((1, 2)) for a, b, weight in pairs)  # type: ignore[return-value]

    def forward(self, shown: Tensor, real: Tensor) -> Tensor:
        """Compare pictures (T, 3, H, W) in [0, 1]: distances, shape (T,)."""
        return self.distance(self.features(shown), self.features(real))


def load_perception(file: Path, stages: int = len(STAGES)) -> Perception:
    """Load the weights that `talkinghead.dataset.perception` fetched, frozen.

    Raises:
        TrainingError: There is no such file.
    """
    if not file.is_file():
        raise TrainingError(f"{file}: no such file; fetch it with `prepare.py perception`")
    network = Perception(stages)
    known = network.state_dict()
    network.load_state_dict({name: value for name, value in load_file(file).items() if name in known})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
