"""How far a person opens the mouth in speech, from a clip of it."""

from __future__ import annotations

from torch import Tensor

from audio2motion import FRAME_RATE

USUAL = 0.27
"""Mean lip openness in the widest third of the frames of speech: the median of 144 people, and of generated speech."""
TALKING = 0.015
"""Mean change of the lip openness in 40 ms from which a clip shows speech; real speech has 0.02 to 0.07."""
LONG_ENOUGH = 1.0  # seconds from which the size of mouth movements can be told
SMALLEST, LARGEST = 0.5, 1.3


def lip_gain(lip_ratio: Tensor, fps: float = FRAME_RATE) -> float:
    """Return how far generated speech should open a person's mouth, relative to what the voice alone tells.

    A voice tells a part of it, and a clip shows only some of a person's speech. So the factor is the square root of the
    clip's opening over the usual one; no other power was nearer to the truth over 59 people (docs/experiments.md).

    Args:
        lip_ratio: Lip openness in a clip of the person, inner lip distance over mouth width, shape (T, 1).
        fps: Frames per second of the clip.

    Returns:
        A factor from 0.5 to 1.3; 1 if the clip is shorter than a second or shows no speech.

    Example:
        >>> round(lip_gain(torch.tensor([0.0, 0.1, 0.3]).repeat(25)[:, None]), 2)
        1.05
    """
    if len(lip_ratio) < LONG_ENOUGH * fps or float(lip_ratio.diff(dim=0).abs().mean()) * fps / FRAME_RATE < TALKING:
        return 1.0
    widest = lip_ratio.flatten().sort(descending=True).values[: len(lip_ratio) // 3]
    return min(max((float(widest.mean()) / USUAL) ** 0.5, SMALLEST), LARGEST)
