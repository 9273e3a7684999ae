"""Which driving frame counts as neutral."""

from dataclasses import replace

import pytest
import torch

from liveportrait import Motion
from liveportrait.driving_rules import neutral_frame
from liveportrait.keypoints import rotation_matrix


@pytest.mark.parametrize(("turn", "neutral"), [(4.0, 0), (20.0, 1)])
def test_a_turned_head_is_weighed_against_parted_lips(turn, neutral):
    """The first frame is turned with shut lips, the second straight with parted lips."""
    motion = replace(
        Motion.still(2, 4),
        rotation=rotation_matrix(torch.zeros(2), torch.tensor([turn, 0.0]), torch.zeros(2)),
        lip_ratio=torch.tensor([[0.0], [0.06]]),
    )
    assert neutral_frame(motion) == neutral
