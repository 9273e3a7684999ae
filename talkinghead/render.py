"""Render a portrait and its driving motion as pictures, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from liveportrait import Motion, Portrait, PortraitModel, SpeechMotion
from talkinghead.driver.sliders import SliderTrack
from talkinghead.host.forks import check_process
from talkinghead.media.image import Picture
from talkinghead.source.image import SourceFrame

Part = TypeVar("Part", SpeechMotion, Motion, SliderTrack, Tensor)
"""A part of the driving motion, or its keypoints."""

ToKeypoints: TypeAlias = Callable[[Portrait, Part], Tensor]
"""Turns a part of the driving motion into the portrait's keypoints x_d, shape (T, K, 3)."""


_NO_CROP = np.zeros((0, 0, 3), np.uint8)

_renderer = ThreadPoolExecutor(1, "renderer")
"""One thread for all videos of a process, because every thread keeps its own memory."""


def render(
    model: PortraitModel,
    frame: SourceFrame,
    part: Part,
    to_keypoints: ToKeypoints[Part],
    backgrounds: Iterator[Picture | None] = repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Render one part of the driving motion.

    Args:
        model: The model that encoded the portrait.
        frame: The portrait and its place in the picture; a frame without a portrait is passed on unchanged.
        part: The driving motion, rendered in one batch.
        to_keypoints: Turns driving motion into keypoints.
        backgrounds: Pictures in which other faces are animated already, one per frame; None for the source's own.

    Yields:
        Pictures of the video, RGB, uint8, one per frame.
    """
    yield from _placed(frame, _crops(model, frame, part, to_keypoints), backgrounds)


def render_ahead(
    model: PortraitModel,
    parts: Iterable[tuple[Part, SourceFrame]],
    to_keypoints: ToKeypoints[Part],
    backgrounds: Iterator[Picture | None] = repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Render parts like `render`, each in another thread while the caller uses the one before."""
    check_process()
    previous: tuple[SourceFrame, Future[Sequence[Picture]]] | None = None
    for part, frame in parts:
        current = frame, _renderer.submit(_crops, model, frame, part, to_keypoints)
        if previous:
            yield from _placed(previous[0], previous[1].result(), backgrounds)
        previous = current
    if previous:
        yield from _placed(previous[0], previous[1].result(), backgrounds)


def _crops(model: PortraitModel, frame: SourceFrame, part: Part, to_keypoints: ToKeypoints[Part]) -> Sequence[Picture]:
    """Render the crops of a part; they are empty for a frame without a portrait."""
    if frame.portrait is None:
        return [_NO_CROP] * len(part)
    with torch.inference_mode():
        part = part.to(frame.portrait.x_s.device)  # type: ignore[assignment] — keeps its type
        dense_residual = part.dense_residual if isinstance(part, Motion) else None
        return to_pictures(model.render(frame.portrait, to_keypoints(frame.portrait, part), dense_residual))  # type: ignore[return-value] — a row of pictures


def _placed(frame: SourceFrame, crops: Sequence[Picture], backgrounds: Iterator[Picture | None]) -> Iterator[Picture]:
    for crop, background in zip(crops, backgrounds, strict=False):
        yield frame.place(crop, background)


def to_pictures(images: Tensor) -> Picture:
    """Turn (T, 3, H, W) in [0, 1] into (T, H, W, 3), uint8."""
    return images.mul(255).round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
