"""Cut a recording into windows of the generator, and join what they generate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE

# The published code puts two frames of silence before the sound and one behind it.
LEAD_FRAMES, TAIL_FRAMES = 2, 1


@dataclass(frozen=True)
class WindowPlan:
    """Which windows a recording needs and which of their frames are its motion.

    Attributes:
        num_windows: Windows of the generator.
        stride: Frames from one window to the next.
        first_frame: The first frame that is kept.
        end_frame: The first frame that is not kept any more.
    """

    num_windows: int
    stride: int
    first_frame: int
    end_frame: int


def plan_windows(num_samples: int, window_frames: int, overlap: int, trim_lead: bool) -> WindowPlan:
    """Plan the windows of a recording.

    Args:
        num_samples: Its length at 16 kHz.
        window_frames: Frames of a window.
        overlap: Frames that neighbouring windows share.
        trim_lead: Whether frame f belongs to samples 640 f … 640 f + 639 and ⌈samples / 640⌉ frames are kept.
            Otherwise all is kept as the published code does: two frames before the sound, and after it what is left
            of the silence behind it.

    Raises:
        ValueError: The recording is empty.
    """
    if num_samples < 1:
        raise ValueError("an empty recording has no motion")
    stride = window_frames - overlap
    if trim_lead:
        end = LEAD_FRAMES + math.ceil(num_samples / FRAME_SAMPLES)
        return WindowPlan(_count(end, window_frames, stride), stride, LEAD_FRAMES, end)
    padded = num_samples + (LEAD_FRAMES + TAIL_FRAMES) * FRAME_SAMPLES
    # The published code counts in floating point: 201 whole frames count as 200, and the last one is lost.
    num_windows = _count(int(padded / SAMPLE_RATE * FRAME_RATE), window_frames, stride)
    span = (num_windows - 1) * stride + window_frames
    unused = math.ceil((span * FRAME_SAMPLES - padded) / FRAME_SAMPLES)
    return WindowPlan(num_windows, stride, 0, span - max(unused, 0))


def _count(frames: int, window_frames: int, stride: int) -> int:
    return 1 + max(0, math.ceil((frames - window_frames) / stride))


def cut_windows(waveform: Tensor, plan: WindowPlan, window_frames: int) -> Iterator[Tensor]:
    """Cut a recording (N,) into its windows of sound, each (1, 640 window_frames), silence around it.

    The published code can also repeat the last sample behind the recording; that sample is already silence there.
    """
    span = ((plan.num_windows - 1) * plan.stride + window_frames) * FRAME_SAMPLES
    lead = LEAD_FRAMES * FRAME_SAMPLES
    for index in range(plan.num_windows):
        start = index * plan.stride * FRAME_SAMPLES - lead
        end = min(start + window_frames * FRAME_SAMPLES, span - lead)
        part = waveform[max(start, 0) : end]
        missing = window_frames * FRAME_SAMPLES - len(part)
        before = max(0, -start)
        yield F.pad(part, (before, missing - before))[None]


def stream_windows(
    chunks: Iterable[Tensor], window_frames: int, stride: int, lead_frames: int = LEAD_FRAMES
) -> Iterator[Tensor]:
    """Cut a stream of unknown length into the windows that `cut_windows` makes of it whole, the lead not kept.

    Args:
        chunks: 16 kHz mono, each of shape (N,), N ≥ 0.
        window_frames: Frames of a window.
        stride: Frames from one window to the next.
        lead_frames: Frames of silence before the sound.

    Yields:
        Windows of sound, each (1, 640 window_frames); none for an empty stream.
    """
    size, heard = window_frames * FRAME_SAMPLES, False
    kept = torch.zeros(lead_frames * FRAME_SAMPLES, dtype=torch.float32)
    for chunk in chunks:
        heard = heard or len(chunk) > 0
        kept = torch.cat([kept, chunk])
        while len(kept) > size:
            yield kept[None, :size]
            kept = kept[stride * FRAME_SAMPLES :]
    if heard:
        yield F.pad(kept, (0, size - len(kept)))[None]


def fade(old: Tensor, new: Tensor) -> Tensor:
    """Fade from one generation of the same frames to another, both (1, overlap, D)."""
    share = old.new_tensor([(i + 1) / (old.shape[1] + 1) for i in range(old.shape[1])])[:, None]
    return old + share * (new - old)
