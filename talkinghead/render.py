"""Render a portrait and its driving motion as pictures, ahead of the caller."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from itertools import repeat
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from liveportrait import Motion, Portrait, PortraitModel, SpeechMotion
from liveportrait.model import PictureRenderer
from talkinghead.driver.sliders import SliderTrack
from talkinghead.face.tone import Tone
from talkinghead.host.forks import check_process
from talkinghead.host.isolation import computing_alone
from talkinghead.host.threads import compute_alone
from talkinghead.media.image import Picture
from talkinghead.source.image import PlaceCrop, SourceFrame

Part = TypeVar("Part", SpeechMotion, Motion, SliderTrack, Tensor)
"""A part of the driving motion, or its keypoints."""

ToKeypoints: TypeAlias = Callable[[Portrait, Part], Tensor]
"""Turns a part of the driving motion into the portrait's keypoints x_d, shape (T, K, 3)."""

_NO_CROP = np.zeros((1, 0, 0, 3), np.uint8)

_MOST_THREADS = 8
_LARGEST = 8
"""Largest number of pictures that one thread renders together."""

_batches = ThreadPoolExecutor(1, "batch renderer")
"""One thread for the batches of all videos: a network divides each among the cores."""


@cache
def _single_threads() -> tuple[ThreadPoolExecutor, int]:
    """Return a pool of threads that compute alone, one for each core, and their number."""
    count = min(torch.get_num_threads(), _MOST_THREADS)
    return ThreadPoolExecutor(count, "renderer", initializer=compute_alone), count


def render_ahead(
    model: PortraitModel,
    parts: Iterable[tuple[Part, SourceFrame]],
    to_keypoints: ToKeypoints[Part],
    backgrounds: Iterator[Picture | None] = repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Render parts of the driving motion in other threads while the caller uses the pictures before.

    Args:
        model: The model that encoded the portraits.
        parts: Driving motion, and the portrait that follows it with its place in the picture. A frame without a
            portrait is passed on unchanged.
        to_keypoints: Turns driving motion into keypoints.
        backgrounds: Pictures in which other faces are animated already, one per frame; None for the source's own.

    Yields:
        Pictures of the video, RGB, uint8, one per frame.
    """
    check_process()
    waiting: deque[tuple[PlaceCrop, Future[Picture]]] = deque()
    ahead = _single_threads()[1] if model.single_threaded else 1

    def finished(most_waiting: int) -> Iterator[Picture]:
        while len(waiting) > most_waiting:
            place, crops = waiting.popleft()
            for crop, background in zip(crops.result(), backgrounds, strict=False):
                yield place(crop, background)

    try:
        renderer: tuple[Portrait, PictureRenderer] | None = None
        for part, frame in parts:
            if frame.portrait is None:
                waiting.extend((frame.place, _done(_NO_CROP)) for _ in range(len(part)))
            else:
                if renderer is None or renderer[0] is not frame.portrait:
                    renderer = frame.portrait, toned(model.picture_renderer(frame.portrait), frame.tone)
                waiting.extend((frame.place, crops) for crops in _submit(model, renderer, part, to_keypoints))
            yield from finished(ahead)
        yield from finished(0)
    finally:
        for _, crops in waiting:
            crops.cancel()


def render(model: PortraitModel, frame: SourceFrame, part: Part, to_keypoints: ToKeypoints[Part]) -> Iterator[Picture]:
    """Render one part of the driving motion like `render_ahead`."""
    return render_ahead(model, [(part, frame)], to_keypoints)


def rendered_at_once(model: PortraitModel, batch_size: int) -> int:
    """Return the number of frames that are rendered at a time: a batch, or one for each of several threads."""
    return batch_size * _single_threads()[1] if model.single_threaded else batch_size


def toned(renderer: PictureRenderer, tone: Tone | None) -> PictureRenderer:
    """Return a renderer of pictures in a tone; None changes nothing."""
    return renderer if tone is None else lambda x_d, dense_residual: tone.apply(renderer(x_d, dense_residual))


def _submit(
    model: PortraitModel, renderer: tuple[Portrait, PictureRenderer], part: Part, to_keypoints: ToKeypoints[Part]
) -> Iterator[Future[Picture]]:
    """Have a part rendered, divided among single threads or in one batch."""
    portrait, to_pictures = renderer
    with torch.inference_mode(), computing_alone() if model.single_threaded else nullcontext():
        part = part.to(portrait.x_s.device)  # type: ignore[assignment] — keeps its type
        x_d = to_keypoints(portrait, part)
    pool, size = _batches, len(x_d)
    if model.single_threaded:
        pool, count = _single_threads()
        size = min(math.ceil(size / count), _LARGEST)
    dense_residual = part.dense_residual if isinstance(part, Motion) else None
    for start in range(0, len(x_d), size):
        some = slice(start, start + size)
        yield pool.submit(to_pictures, x_d[some], None if dense_residual is None else dense_residual[some])


def _done(crops: Picture) -> Future[Picture]:
    future: Future[Picture] = Future()
    future.set_result(crops)
    return future
