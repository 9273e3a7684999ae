"""Dub a video from translated subtitles: each cue is spoken at its time, over the video's own sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from talkinghead.dubbing import check_no_reference, dub_parts
from talkinghead.errors import OptionError
from talkinghead.inputs.option_values import Trim
from talkinghead.media.formats import MP4
from talkinghead.media.progress import Progress
from talkinghead.media.video import VideoFile
from talkinghead.models import Models
from talkinghead.narration.captions import cues_of, write_captions
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.options import NarrationOptions, SceneOptions
from talkinghead.narration.script import Script
from talkinghead.narration.speech import LEAD, Spoken
from talkinghead.narration.timeline import Shot, late_notes, lay_out, make_soundtrack
from talkinghead.narration.work import WorkFolder
from talkinghead.provenance.marks import Marks
from talkinghead.saving import Summary, save

_SHORTEST_BREAK = Fraction(1, 2)
"""Seconds; in shorter breaks between two cues the video's own sound and mouth do not come back."""


def check_dub(shown: VideoFile, script: Script, file: Path, options: NarrationOptions) -> None:
    """Check that subtitles fit a video, and that nothing is asked that only a portrait can do.

    Raises:
        ScriptError: A cue begins after the video's end.
        OptionError: An option is for portraits, or the format cannot be written.
    """
    name = shown.file
    if file.suffix.lower() != MP4.suffix:
        raise OptionError(f"{file}: a video dubbed from subtitles is an mp4: give a name that ends in {MP4.suffix}")
    if options.scene != SceneOptions() or options.captions.burn:
        raise OptionError(
            f"{name}: a video dubbed from subtitles keeps its pictures: leave out layout, slides, background, alpha"
            " and burn"
        )
    check_no_reference(name, options.motion)
    length = float(shown.num_frames / shown.fps)
    late = next((line for line in script.lines if line.slot and line.slot.start >= length), None)
    if late and late.slot:
        raise ScriptError(
            f"{script.file}: a cue begins at {float(late.slot.start):.1f} s ({late.text[:40]!r}), {name} ends at"
            f" {length:.1f} s: give the subtitles of this video"
        )


def dub_subtitles(
    shown: VideoFile,
    script: Script,
    spoken: Sequence[Spoken],
    work: WorkFolder,
    file: Path,
    models: Models,
    options: NarrationOptions,
    marks: Marks,
    progress: Progress,
) -> Summary:
    """Make the dubbed video, and write its captions beside it.

    Args:
        shown: The video.
        script: Its subtitles.
        spoken: Their sound.
        work: Where the voice is kept.
        file: The file to write.
        models: The loaded networks.
        options: All options.
        marks: How the file is marked.
        progress: Wraps the frames that are read and the pictures that are rendered.
    """
    fps = options.render.fps or shown.fps
    shots = lay_out(script, spoken, fps, options.voice)
    voice = make_soundtrack(shots, fps, work)
    video = dub_parts(
        shown, voice, spoken_parts(shots, fps), options.voice.keep_background, models, options.shared, progress
    )
    summary = save(video, file, options.render, marks, progress)
    if options.captions.captions:
        write_captions(file, list(cues_of(shots, fps)), overwrite=options.render.overwrite)
    work.tidy()
    return replace(summary, notes=(*script.notes, *late_notes(script, shots, fps), *summary.notes))


def spoken_parts(shots: Iterable[Shot], fps: Fraction) -> list[Trim]:
    """Return when the voice is heard, in seconds, with the time in which lips open before and close after it."""
    parts: list[Trim] = []
    for shot in shots:
        if shot.file is None:
            continue
        begin, end = shot.spoken(fps)
        begin, end = max(begin - LEAD, Fraction(0)), end + LEAD
        if parts and begin - (parts[-1].end or 0) < _SHORTEST_BREAK:
            parts[-1] = Trim(parts[-1].start, end)
        else:
            parts.append(Trim(begin, end))
    return parts
