"""Split a recording into windows for the generator, and blend their motion."""

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
    """The windows of a recording, and the range of frames to keep.

    Attributes:
        num_windows: Number of windows.
        stride: Frames from one window to the next.
        first_frame: First frame to keep.
        end_frame: End of the frames to keep (exclusive).
    """

    num_windows: int
    stride: int
    first_frame: int
    end_frame: int


def plan_windows(num_samples: int, window_frames: int, overlap: int, trim_lead: bool) -> WindowPlan:
    """Plan the windows of a recording.

    Args:
        num_samples: Length of the recording at 16 kHz.
        window_frames: Frames per window.
        overlap: Frames shared by neighbouring windows.
        trim_lead: Whether to keep exactly ⌈samples / 640⌉ frames, frame f for samples 640 f … 640 f + 639.
            Otherwise keep all frames like the published code: two before the sound, and the rest of the silence
            after it.

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
    # The published code rounds in floating point: 201 whole frames count as 200, and the last one is lost.
    num_windows = _count(int(padded / SAMPLE_RATE * FRAME_RATE), window_frames, stride)
    span = (num_windows - 1) * stride + window_frames
    unused = math.ceil((span * FRAME_SAMPLES - padded) / FRAME_SAMPLES)
    return WindowPlan(num_windows, stride, 0, span - max(unused, 0))


def _count(frames: int, window_frames: int, stride: int) -> int:
    return 1 + max(0, math.ceil((frames - window_frames) / stride))


def cut_windows(waveform: Tensor, plan: WindowPlan, window_frames: int) -> Iterator[Tensor]:
    """Cut a recording (N,), padded with silence, into windows, each (1, 640 window_frames).

    The published code can also pad by repeating the last sample, but there that sample is already silence.
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
    """Cut a stream of unknown length into the same windows as `cut_windows` with a trimmed lead.

    Args:
        chunks: 16 kHz mono, each of shape (N,), N ≥ 0.
        window_frames: Frames per window.
        stride: Frames from one window to the next.
        lead_frames: Frames of silence to put before the sound.

    Yields:
        Windows of audio, each (1, 640 window_frames); none for an empty stream.
    """
    size, received = window_frames * FRAME_SAMPLES, False
    kept = torch.zeros(lead_frames * FRAME_SAMPLES, dtype=torch.float32)
    for chunk in chunks:
        received = received or len(chunk) > 0
        kept = torch.cat([kept, chunk])
        while len(kept) > size:
            yield kept[None, :size]
            kept = kept[stride * FRAME_SAMPLES :]
    if received:
        yield F.pad(kept, (0, size - len(kept)))[None]


def fade(old: Tensor, new: Tensor) -> Tensor:
    """Cross-fade from one version of the same frames to another, both (1, overlap, D)."""
    share = old.new_tensor([(i + 1) / (old.shape[1] + 1) for i in range(old.shape[1])])[:, None]
    return old + share * (new - old)
