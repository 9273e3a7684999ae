"""S, R_eyes and R_lip: small networks on keypoints for stitching, eye retargeting and lip retargeting."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from liveportrait.config import RetargetingConfig


def _mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (narrow, wide) in enumerate(itertools.pairwise(sizes)):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(narrow, wide)]
    return nn.Sequential(*layers)


class Stitching(nn.Module):
    """S: adjust the driving keypoints so that the crop's border does not move.

    Source: LivePortrait §3.3; upstream `src/modules/stitching_retargeting_network.py`.
    """

    def __init__(self, config: RetargetingConfig):
        super().__init__()
        points = 3 * config.num_keypoints
        self.mlp = _mlp([2 * points, *config.stitching, points + 2])

    def forward(self, x_s: Tensor, x_d: Tensor) -> Tensor:
        """Stitch driving keypoints.

        Args:
            x_s: Source keypoints, shape (1 or T, K, 3).
            x_d: Driving keypoints, shape (T, K, 3).

        Returns:
            x_d plus an offset per keypoint and one common shift in x and y, shape (T, K, 3).
        """
        x_s = x_s.expand_as(x_d)
        offset = self.mlp(torch.cat([x_s.flatten(1), x_d.flatten(1)], 1))
        points, shift = offset[:, :-2].reshape(x_d.shape), offset[:, -2:]
        return x_d + points + nn.functional.pad(shift, (0, 1))[:, None]


class _Retargeting(nn.Module):
    """Predicts keypoint offsets from source keypoints, source openness and target openness."""

    def __init__(self, num_keypoints: int, num_ratios: int, hidden: tuple[int, ...]):
        super().__init__()
        self.mlp = _mlp([3 * num_keypoints + num_ratios, *hidden, 3 * num_keypoints])

    def forward(self, x_s: Tensor, source_ratio: Tensor, target_ratio: Tensor) -> Tensor:
        """Predict keypoint offsets.

        Args:
            x_s: Source keypoints, shape (1 or T, K, 3).
            source_ratio: Openness of the source, (1 or T, 2) for the eyes (left, right), (1 or T, 1) for the lips.
            target_ratio: Target openness, shape (1 or T, 1).

        Returns:
            Offsets to add to keypoints, shape (T, K, 3).
        """
        # The number of frames stays symbolic, so that an exported network accepts any.
        frames = torch.broadcast_tensors(x_s[:, :1, 0], source_ratio[:, :1], target_ratio)[0].shape[0]
        parts = [part.expand(frames, -1) for part in (x_s.flatten(1), source_ratio, target_ratio)]
        return self.mlp(torch.cat(parts, 1)).unflatten(1, (-1, 3))


class EyeRetargeting(_Retargeting):
    """R_eyes: open or close both eyes to a target ratio."""

    def __init__(self, config: RetargetingConfig):
        super().__init__(config.num_keypoints, 3, config.eye)


class LipRetargeting(_Retargeting):
    """R_lip: open or close the lips to a target ratio."""

    def __init__(self, config: RetargetingConfig):
        super().__init__(config.num_keypoints, 2, config.lip)
