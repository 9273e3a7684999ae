"""A portrait and what drives it → pictures, batch by batch. Here tensors become pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from liveportrait import LivePortrait, Motion, Portrait
from talkinghead.driving import Frames
from talkinghead.forks import check_process
from talkinghead.media.image import Picture
from talkinghead.source import Scene

Pose: TypeAlias = Callable[[Portrait, Frames], Tensor]
"""Turns a part of what drives a portrait into its keypoints x_d, shape (T, K, 3)."""


_NOTHING = np.zeros((0, 0, 3), np.uint8)

_renderer = ThreadPoolExecutor(1, "renderer")
"""One thread for all videos of a process: every new one would hold memory of its own."""


def render(
    model: LivePortrait,
    scene: Scene,
    part: Frames,
    pose: Pose[Frames],
    grounds: Iterator[Picture | None] = repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Render what drives a portrait.

    Args:
        model: What encoded the portrait.
        scene: The portrait and where it stands; a scene without one passes as it is.
        part: What drives, rendered at once.
        pose: What that means for the portrait.
        grounds: Pictures in which other faces have moved already, one per frame; None for the source's own.

    Yields:
        Pictures of the video, RGB, uint8, one per frame.
    """
    yield from _placed(scene, _crops(model, scene, part, pose), grounds)


def render_ahead(
    model: LivePortrait,
    parts: Iterable[tuple[Frames, Scene]],
    pose: Pose[Frames],
    grounds: Iterator[Picture | None] = repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Render part after part as `render` does; the next one is rendered while one is pasted and watched."""
    check_process()
    before: tuple[Scene, Future[Sequence[Picture]]] | None = None
    for part, scene in parts:
        now = scene, _renderer.submit(_crops, model, scene, part, pose)
        if before:
            yield from _placed(before[0], before[1].result(), grounds)
        before = now
    if before:
        yield from _placed(before[0], before[1].result(), grounds)


def _crops(model: LivePortrait, scene: Scene, part: Frames, pose: Pose[Frames]) -> Sequence[Picture]:
    """Render the crops of a part; empty ones for a scene without a portrait."""
    if scene.portrait is None:
        return [_NOTHING] * len(part)
    with torch.inference_mode():
        part = part.to(scene.portrait.x_s.device)
        skin = part.skin if isinstance(part, Motion) else None
        return to_pictures(model.render(scene.portrait, pose(scene.portrait, part), skin))  # type: ignore[return-value] — a row of pictures


def _placed(scene: Scene, crops: Sequence[Picture], grounds: Iterator[Picture | None]) -> Iterator[Picture]:
    for crop, ground in zip(crops, grounds, strict=False):
        yield scene.place(crop, ground)


def to_pictures(images: Tensor) -> Picture:
    """Turn (T, 3, H, W) in [0, 1] into (T, H, W, 3), uint8."""
    return images.mul(255).round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
