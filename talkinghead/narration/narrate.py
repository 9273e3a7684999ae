"""Make a narrated video from a script. Start reading here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from talkinghead.errors import OptionError
from talkinghead.inputs.files import files_read
from talkinghead.media.files import check_output, new_output, require_file
from talkinghead.media.formats import choose_format
from talkinghead.media.image import Picture
from talkinghead.media.progress import RENDERING, Progress, no_progress
from talkinghead.media.splice import Mark, Splice, write_splice
from talkinghead.media.video import VideoFile, VideoWriter, read_picture_or_video
from talkinghead.models import Models, load_models_for
from talkinghead.narration.assembly import assemble, check_files, find_slides
from talkinghead.narration.captions import SUFFIXES, cues_of, write_captions
from talkinghead.narration.dubbed import check_dub, dub_subtitles
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.options import NarrationOptions, VoiceOptions
from talkinghead.narration.read import read_script
from talkinghead.narration.recording import Recording, open_recording, shots_from_recording
from talkinghead.narration.script import Script
from talkinghead.narration.shot_renderer import ShotRenderer, fingerprint_of
from talkinghead.narration.speech import open_voices, speak_lines
from talkinghead.narration.timeline import Shot, chapter_bounds, late_notes, lay_out, make_soundtrack
from talkinghead.narration.work import WorkFolder
from talkinghead.narration.writing_systems import fit_to_voices
from talkinghead.options import MODEL, VOICE_MODEL, StrPath
from talkinghead.provenance.check import check_marks
from talkinghead.provenance.manifest import open_signer
from talkinghead.provenance.marks import Marks
from talkinghead.saving import Summary
from talkinghead.source.video import first_faces


def narrate(
    source: StrPath,
    script: StrPath,
    output: StrPath,
    *,
    options: NarrationOptions | None = None,
    model: str | Path | Models = MODEL,
    voice_model: str | Path = VOICE_MODEL,
    progress: Progress = no_progress,
) -> Summary:
    """Make a narrated video from a script.

    Args:
        source: The portrait of all speakers for whom the script names none; or a video whose mouth speaks. With SRT and
            VTT the video is dubbed, each cue at its time; otherwise it is played to and fro.
        script: Text, Markdown, SRT, VTT or YAML.
        output: The .mp4 or .webm to write, with alpha .webm or .mov; captions are written beside it.
        options: All other options.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`.
        voice_model: "mini", "joyvasa" (for the official models) or a directory; not used with the result of
            `load_models`, which contains one.
        progress: Wraps the pictures that have to be rendered, to report progress.

    Returns:
        A summary of the written file.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import talkinghead
        >>> summary = talkinghead.narrate("portrait.png", "script.md", "out.mp4")
    """
    options = options or NarrationOptions()
    file, read = Path(output), read_script(script)
    slides = find_slides(read, options.scene)
    inputs = files_read(options, source, *read.files(), *slides)
    outputs = _check_outputs(file, inputs, options)
    check_marks(options.provenance, file)
    portrait = require_file(source, ScriptError)
    check_files(portrait, read, options)
    dubbed = _dubbed_video(portrait, read, options)
    if options.voice.keep_background not in {0, VoiceOptions.keep_background} and not (dubbed and dubbed.has_sound):
        raise OptionError(
            f"{portrait}: --keep-background is for subtitles of a video with sound, without --audio: leave it out"
        )
    if dubbed:
        check_dub(dubbed, read, file, options)
    work = WorkFolder(Path(options.work.work or f"{file}.work"), [*outputs, *filter(os.path.exists, inputs)])
    kind = choose_format(file, alpha=options.scene.alpha)
    recording = open_recording(options.voice) if options.voice.audio else None
    voices = {} if recording else open_voices(read, options.voice)
    read = read if recording else fit_to_voices(read, voices)
    models = load_models_for(options.render, model, voice_model)
    marks = Marks(options.provenance, source, tuple(inputs))
    if dubbed:
        first_faces(dubbed, models, options.shared.crop)  # nothing is spoken for a video without a face
        with work:
            spoken = list(speak_lines(read, voices, options.voice.speed, work))
            return dub_subtitles(dubbed, read, spoken, work, file, models, options, marks, progress)
    renderer = assemble(portrait, read, models, options, kind)
    with work:
        if recording:
            shots = shots_from_recording(read, recording, renderer.fps, work)
        else:
            spoken = list(speak_lines(read, voices, options.voice.speed, work))
            shots = lay_out(read, spoken, renderer.fps, options.voice)
        return _produce(renderer, shots, recording, work, file, marks, progress)


def _dubbed_video(source: Path, script: Script, options: NarrationOptions) -> VideoFile | None:
    """Return the video whose subtitles the script is; None if the source only lends its face."""
    shown = read_picture_or_video(source) if script.timed and not options.voice.audio else None
    return shown if isinstance(shown, VideoFile) else None


def _produce(
    renderer: ShotRenderer,
    shots: Sequence[Shot],
    recording: Recording | None,
    work: WorkFolder,
    file: Path,
    marks: Marks,
    progress: Progress,
) -> Summary:
    """Render the shots that are missing, and join all shots."""
    signer = open_signer(marks, file.suffix)
    started = time.perf_counter()
    clips = _clips(renderer, shots, work, marks)
    missing = {clip: shot for clip, shot in zip(clips, shots, strict=True) if not work.has(clip)}
    for _ in progress(
        _render(renderer, missing, work, marks), sum(shot.frames for shot in missing.values()), RENDERING
    ):
        pass  # `_render` writes each picture to its clip before yielding it
    splice = Splice(
        clips=[(clip, shot.frames) for clip, shot in zip(clips, shots, strict=True)],
        sound=recording.sound if recording else make_soundtrack(shots, renderer.fps, work),
        fps=renderer.fps,
        kind=renderer.kind,
        chapters=[Mark(*bounds) for bounds in chapter_bounds(shots, renderer.script.chapters)],
        title=renderer.script.title,
    )
    overwrite = renderer.options.render.overwrite
    with new_output(file, overwrite=overwrite) as partial:
        write_splice(partial, splice, marks)
        if signer:
            signer.sign(partial, file)
        if renderer.options.captions.captions:
            write_captions(file, list(cues_of(shots, renderer.fps)), overwrite=overwrite)
    work.tidy()
    frames, (height, width) = shots[-1].end, renderer.layout.size
    took, kept = time.perf_counter() - started, len(set(clips)) - len(missing)
    script = renderer.script
    notes = [*script.notes, *([] if recording else late_notes(script, shots, renderer.fps))]
    notes += [f"{kept} of {len(set(clips))} parts were reused from an earlier run"] if kept else []
    return Summary(file, frames, float(frames / renderer.fps), renderer.fps, width, height, took, tuple(notes))


def _render(renderer: ShotRenderer, missing: dict[Path, Shot], work: WorkFolder, marks: Marks) -> Iterator[Picture]:
    """Render clips and yield their pictures; a clip appears under its name only when it is complete."""
    fps, size, crf, kind = renderer.fps, renderer.layout.size, renderer.options.render.crf, renderer.kind
    unsigned = replace(marks, options=replace(marks.options, c2pa=False, sign_cert="", sign_key=""))
    for clip, shot in missing.items():
        writer = VideoWriter(clip, fps, size, None, crf, kind, overwrite=True, marks=unsigned)
        with work.making(clip), writer:
            for picture in renderer.render(shot):
                writer.write(picture)
                yield picture


def _clips(renderer: ShotRenderer, shots: Sequence[Shot], work: WorkFolder, marks: Marks) -> list[Path]:
    fingerprint = f"{fingerprint_of(renderer.models)} {marks.in_pictures}"
    return [work.file(renderer.key(shot, fingerprint), renderer.kind.suffix) for shot in shots]


def _check_outputs(file: Path, inputs: list[Path], options: NarrationOptions) -> list[Path]:
    """Check that the outputs can be written, and return their paths."""
    kind = choose_format(file, alpha=options.scene.alpha)
    captions = [file.with_suffix(suffix) for suffix in SUFFIXES] if options.captions.captions else []
    for path in (file, *captions):
        check_output(path, inputs, overwrite=options.render.overwrite, suffixes=(kind.suffix, *SUFFIXES))
    return [file, *captions]
