"""Place the lines of a narration on the video's timeline."""

from __future__ import annotations

import math
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from talkinghead.media.audio import Sound, probe_sound
from talkinghead.narration.options import VoiceOptions
from talkinghead.narration.script import Chapter, Line, Script
from talkinghead.narration.speech import LEAD, RATE, Spoken
from talkinghead.narration.work import WorkFolder, key_of

NOTICED_SECONDS = 0.1
"""Delay of a line above which it is reported."""


@dataclass(frozen=True)
class Shot:
    """A line and its frames, rendered and kept as one part.

    Attributes:
        line: The line, or a silence.
        start: Index of its first frame.
        frames: The number of frames.
        file: Its sound, mono at `RATE`; None for a silence.
        lead: Seconds before the sound begins.
        seconds: Duration of the sound.
        words: When the line begins and ends within the shot, if its sound is longer than the line.
    """

    line: Line
    start: int
    frames: int
    file: Path | None = None
    lead: Fraction = Fraction(0)
    seconds: Fraction = Fraction(0)
    words: tuple[Fraction, Fraction] | None = None

    @property
    def end(self) -> int:
        """Index of the frame after its last one."""
        return self.start + self.frames

    def spoken(self, fps: Fraction) -> tuple[Fraction, Fraction]:
        """Return when, in seconds of the video, the line begins and ends."""
        begins, ends = self.words or (self.lead, self.lead + self.seconds)
        return self.start / fps + begins, self.start / fps + ends


def lay_out(script: Script, spoken: Sequence[Spoken], fps: Fraction, options: VoiceOptions) -> list[Shot]:
    """Return the shots of all lines, one after the other without a gap."""
    return _timed(spoken, fps) if script.timed else list(_in_turn(spoken, fps, options))


def _in_turn(spoken: Sequence[Spoken], fps: Fraction, options: VoiceOptions) -> Iterator[Shot]:
    """Yield the shots of lines without times; silences are shots too."""
    start = 0
    following = [part.line for part in spoken[1:]]
    for part, after in zip(spoken, [*following, None], strict=True):
        pause = Fraction(pause_after(part.line, after, options)).limit_denominator(1000)
        lead = LEAD if part.file else Fraction(0)
        frames = max(math.ceil((lead + part.seconds + pause) * fps), 1)
        yield Shot(part.line, start, frames, part.file, lead, part.seconds)
        start += frames


def _timed(spoken: Sequence[Spoken], fps: Fraction) -> list[Shot]:
    """Return the shots of lines with times, and a silence before the first one.

    A line that is too long for its time delays the next one.
    """
    starts: list[int] = []
    spoken_until = Fraction(0)
    for part in spoken:
        earliest = max(starts[-1] + 1, math.floor(spoken_until * fps)) if starts else 0
        starts.append(max(math.floor((_start(part) - LEAD) * fps), earliest))
        spoken_until = max(_start(part), starts[-1] / fps) + part.seconds
    ends = [*starts[1:], math.ceil((spoken_until + LEAD * 2) * fps)]
    shots = [Shot(Line(""), 0, starts[0])] if starts[0] else []
    for part, start, end in zip(spoken, starts, ends, strict=True):
        lead = max(_start(part) - start / fps, Fraction(0))
        shots.append(Shot(part.line, start, max(end - start, 1), part.file, lead, part.seconds))
    return shots


def late_notes(script: Script, shots: Iterable[Shot], fps: Fraction) -> tuple[str, ...]:
    """Report cues that are late because the cues before them have too many words."""
    starts = [(shot.line.slot.start, float(shot.spoken(fps)[0])) for shot in shots if shot.line.slot]
    late = [(wanted, actual - wanted) for wanted, actual in starts if actual > wanted + NOTICED_SECONDS]
    if not late:
        return ()
    clock = timedelta(seconds=round(late[0][0]))
    return (
        f"{script.file}: {len(late)} of {len(starts)} cues are up to {max(by for _, by in late):.1f} s late, "
        f"first the one at {clock}: the words before them do not fit even at twice the speed",
    )


def pause_after(line: Line, after: Line | None, options: VoiceOptions) -> float:
    """Return the pause after a line, in seconds."""
    if line.pause is not None:
        return line.pause
    if after is not None and not after.text:
        return 0.0  # the silence has its own duration
    if after is not None and after.chapter != line.chapter:
        return options.chapter_pause
    return options.paragraph_pause if line.ends_paragraph or after is None else options.sentence_pause


def _start(part: Spoken) -> Fraction:
    return Fraction(part.line.slot.start if part.line.slot else 0).limit_denominator(1000)


def chapter_bounds(shots: Iterable[Shot], chapters: Sequence[Chapter]) -> list[tuple[str, int, int]]:
    """Return title, first frame and end frame (exclusive) of every chapter that has a title."""
    bounds: dict[int, tuple[int, int]] = {}
    for shot in shots:
        first, _ = bounds.get(shot.line.chapter, (shot.start, 0))
        bounds[shot.line.chapter] = (first, shot.end)
    return [(chapters[n].title, first, end) for n, (first, end) in sorted(bounds.items()) if chapters[n].title]


def make_soundtrack(shots: Sequence[Shot], fps: Fraction, work: WorkFolder) -> Sound:
    """Return the sound of all shots as one, which the work folder keeps."""
    parts = [(shot.file.name if shot.file else None, shot.start, str(shot.lead)) for shot in shots]
    key = key_of(part="soundtrack", shots=parts, end=shots[-1].end, fps=str(fps))
    return probe_sound(work.made(key, ".wav", lambda file: write_soundtrack(file, shots, fps)))


def write_soundtrack(file: Path, shots: Sequence[Shot], fps: Fraction) -> None:
    """Write the sound of all shots, mono at `RATE`, in constant memory."""
    import soundfile

    with wave.open(str(file), "wb") as track:
        track.setparams((1, 2, RATE, 0, "NONE", ""))

        def silence(until: int) -> None:
            while (left := until - track.tell()) > 0:
                track.writeframes(bytes(2 * min(left, RATE)))

        for shot in shots:
            if shot.file:
                silence(round((shot.start / fps + shot.lead) * RATE))
                track.writeframes(soundfile.read(shot.file, dtype="int16")[0].astype("<i2").tobytes())
        silence(round(shots[-1].end / fps * RATE))
