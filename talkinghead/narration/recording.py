"""Use a recorded voice: find the part of the recording that belongs to each line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead.media.audio import MODEL_RATE, Sound, stream_mono, stream_mono_16k
from talkinghead.media.files import new_output
from talkinghead.media.video import probe_placed_sound
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.options import VoiceOptions
from talkinghead.narration.script import Line, Script
from talkinghead.narration.speech import RATE, write_speech
from talkinghead.narration.timeline import Shot
from talkinghead.narration.work import WorkFolder, hash_files, key_of

STEP = Fraction(1, 100)
"""Seconds between two measurements of loudness."""

_QUIET_DB = 32.0
"""Decibels below its loud passages at which a recording counts as silent."""
_SNAP_SECONDS = 0.8
"""Largest distance by which a border between two lines is moved into a silence."""

Span = tuple[float, float]
"""Start and end of a line in seconds."""


@dataclass(frozen=True)
class Recording:
    """A recorded voice.

    Attributes:
        sound: The sound file.
        align: How to find the lines, see `VoiceOptions`.
    """

    sound: Sound
    align: str


def open_recording(options: VoiceOptions) -> Recording:
    """Open a recording.

    Raises:
        InputNotFoundError: The file does not exist.
        AudioError: The file has no usable sound.
    """
    return Recording(probe_placed_sound(options.audio), options.align)


def shots_from_recording(script: Script, recording: Recording, fps: Fraction, work: WorkFolder) -> list[Shot]:
    """Cut a recording into one shot per line, in the silences between lines.

    Raises:
        ScriptError: The recording is too short for the script, or its times lie beyond its end.
    """
    lines = [line for line in script.lines if line.text]
    spans = find_lines(lines, recording, script.file)
    ends = [round((end + start) / 2 * fps) for (_, end), (start, _) in pairwise(spans)]
    borders = [0, *ends, math.ceil(recording.sound.seconds * fps)]
    if any(after <= before for before, after in pairwise(borders)):
        raise ScriptError(f"{recording.sound.file}: too short for {len(lines)} sentences; is it the right recording?")
    shots = []
    for line, (start, end), (first, last) in zip(lines, spans, pairwise(borders), strict=True):
        begins = Fraction(start).limit_denominator(1000) - first / fps
        seconds = Fraction(end - start).limit_denominator(1000)
        shots.append(Shot(line, first, last - first, None, begins, seconds))
    return _with_sounds(shots, recording, fps, work)


def find_lines(lines: Sequence[Line], recording: Recording, script: Path) -> list[Span]:
    """Return start and end of each line: from the script, by its words, or in proportion to its length."""
    slots = [(line.slot.start, line.slot.end) for line in lines if line.slot]
    if slots:
        if slots[-1][0] >= recording.sound.seconds:
            raise ScriptError(f"{script}: has times after the end of {recording.sound.file}; correct them")
        return slots
    if recording.align != "proportional":
        from talkinghead.narration.align import align_lines

        spans = align_lines(lines, recording.sound, required=recording.align == "words")
        if spans:
            return spans
    return share_out([line.text for line in lines], voiced(loudness(recording.sound)))


def loudness(sound: Sound) -> NDArray[np.float64]:
    """Return a sound's loudness in decibels, one value every `STEP`."""
    size = int(MODEL_RATE * STEP)
    values, kept = [], np.zeros(0, np.float32)
    for part in stream_mono_16k(sound):
        kept = np.concatenate([kept, part.numpy()])
        whole = len(kept) // size * size
        values.append(np.square(kept[:whole].reshape(-1, size)).mean(axis=1))
        kept = kept[whole:]
    power = np.concatenate([np.zeros(0), *values]).astype(np.float64)
    return (10 * np.log10(power + 1e-10)).astype(np.float64)


def voiced(decibels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where there is speech; gaps shorter than 120 ms count as speech."""
    speech = decibels > np.percentile(decibels, 95) - _QUIET_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[1], speech.astype(np.int8), [1]])))
    for start, end in edges.reshape(-1, 2):
        if end - start < 12:
            speech[start:end] = True
    return speech


def share_out(texts: Sequence[str], speech: NDArray[np.bool_]) -> list[Span]:
    """Divide the time with speech by the number of letters of each text, and move borders into silences.

    Args:
        texts: The texts in order.
        speech: Whether there is speech, one value every `STEP`.

    Returns:
        Start and end of each text in seconds.
    """
    weights = np.array([max(sum(letter.isalnum() for letter in text), 1) for text in texts], float)
    spoken = np.flatnonzero(speech) if speech.any() else np.arange(len(speech))
    shares = np.cumsum(weights)[:-1] / weights.sum() * (len(spoken) - 1)
    borders = [0, *(_into_silence(int(spoken[int(share)]), speech) for share in shares), len(speech)]
    spans = []
    for first, last in pairwise(borders):
        inside = np.flatnonzero(speech[first:last])
        start, end = (first + inside[0], first + inside[-1] + 1) if inside.size else (first, last)
        spans.append((float(start * STEP), float(end * STEP)))
    return spans


def _into_silence(border: int, speech: NDArray[np.bool_]) -> int:
    """Return the middle of the longest silence near a border, or the border itself if there is none."""
    reach = int(_SNAP_SECONDS / float(STEP))
    first = max(border - reach, 0)
    near = speech[first : border + reach]
    edges = np.flatnonzero(np.diff(np.concatenate([[1], near.astype(np.int8), [1]]))).reshape(-1, 2)
    if not len(edges):
        return border
    start, end = max(edges, key=lambda edge: edge[1] - edge[0])
    return int(first + (start + end) // 2)


def _with_sounds(shots: Sequence[Shot], recording: Recording, fps: Fraction, work: WorkFolder) -> list[Shot]:
    """Write the part of the recording that belongs to each shot to a file, and return the shots with their files."""
    identity = hash_files([recording.sound.file])
    files = []
    for shot in shots:
        key = key_of(part="recording", file=identity, start=shot.start, end=shot.end, fps=str(fps))
        files.append(work.file(key, ".wav"))
    if not all(map(work.has, files)):
        ends = (round(shot.end / fps * RATE) for shot in shots)
        _cut(recording.sound, zip(files, ends, strict=True), work)
    # Each file begins with its shot, so the lead is zero; only captions use the times in `words`.
    return [
        replace(
            shot, file=file, lead=Fraction(0), words=(shot.lead, shot.lead + shot.seconds), seconds=shot.frames / fps
        )
        for shot, file in zip(shots, files, strict=True)
    ]


def _cut(sound: Sound, parts: Iterable[tuple[Path, int]], work: WorkFolder) -> None:
    """Write consecutive parts of a sound, mono at `RATE`, each up to a number of samples."""
    parts_of_sound = stream_mono(sound, RATE)
    kept, done = np.zeros(0, np.float32), 0
    for file, end in parts:
        while len(kept) < end - done and (part := next(parts_of_sound, None)) is not None:
            kept = np.concatenate([kept, part])
        with work.making(file), new_output(file, overwrite=True) as partial:
            write_speech(partial, kept[: end - done], RATE)
        kept, done = kept[end - done :], end
