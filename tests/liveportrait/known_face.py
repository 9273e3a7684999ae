"""A face whose landmarks are known."""

import torch

from liveportrait.training.faces import POINTS


def face() -> torch.Tensor:
    """Landmarks of a face: eyes 0.2 wide and 0.06 open, lips 0.4 wide and 0.1 open, chin at 0.6."""
    places = {
        33: (-0.4, -0.2), 133: (-0.2, -0.2), 159: (-0.3, -0.23), 145: (-0.3, -0.17),
        362: (0.2, -0.2), 263: (0.4, -0.2), 386: (0.3, -0.23), 374: (0.3, -0.17),
        61: (-0.2, 0.3), 291: (0.2, 0.3), 78: (-0.18, 0.3), 308: (0.18, 0.3),
        0: (0.0, 0.2), 17: (0.0, 0.4), 13: (0.0, 0.25), 14: (0.0, 0.35),
        10: (0.0, -0.6), 152: (0.0, 0.6), 234: (-0.5, 0.0), 454: (0.5, 0.0),
    }  # fmt: skip
    return torch.tensor([[places[point] for point in POINTS]])
