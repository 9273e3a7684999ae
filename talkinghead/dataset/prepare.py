"""Turn a folder of talking videos into clips to train on.

Faces are followed, cut into stretches of one shot, cropped to 256×256 at 25 frames a second, and filtered; the offset
between lips and sound is estimated for each file and taken out. Writes train/ and val/ with their manifests and
landmarks, speech_motion.npz, and rejected.csv, which says why each stretch or file was left out. Videos in one
subfolder count as one person, others as one person each, unless their faces say otherwise: a clip with two people is
left out, and one person in two folders is one person. People of val/ are in no training clip.
"""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from audio2motion import AudioToMotion
from liveportrait.errors import PortraitError
from liveportrait.writing import partial_name
from talkinghead.dataset.looks import Looker
from talkinghead.dataset.people import name_people
from talkinghead.dataset.sync import LEAST_SCORE, Sync, find_sync, score_of
from talkinghead.dataset.tracking import (
    FRAME_RATE,
    Array,
    Rejection,
    Stretch,
    crop_of,
    frames_of,
    landmarks_of,
    stretches,
    why_not,
)
from talkinghead.dataset.writing import Clip, ClipWriter, cut_sound, write_landmarks, write_manifest, write_speech
from talkinghead.errors import InputNotFoundError, OutputError, OutputExistsError
from talkinghead.face import cut
from talkinghead.face.recognise import FaceRecogniser
from talkinghead.media.audio import stream_mono_16k
from talkinghead.media.video import VideoFile, probe_video

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"}
UNUSED_SOUND = "no"


@dataclass(frozen=True)
class Video:
    """A video looked through.

    Attributes:
        file: What it says about itself.
        name: Of its subfolder, or of the file.
        good: Stretches to be used.
        sync: How its lips go with its sound; None where there is no sound.
        scores: Each stretch's own agreement of lips and sound.
        people: Who is in each stretch.
    """

    file: VideoFile
    name: str
    good: list[Stretch]
    sync: Sync | None
    scores: list[float]
    people: list[str] = field(default_factory=list)

    def is_synced(self, number: int) -> bool:
        """Whether a stretch's sound is its voice."""
        return self.sync is not None and min(self.sync.score, self.scores[number]) >= LEAST_SCORE


def find_videos(folder: Path) -> list[Path]:
    """List a folder's videos.

    Raises:
        InputNotFoundError: There is no such folder, or no video in it.
    """
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not found:
        raise InputNotFoundError(f"{folder}: no videos here; give a folder with mp4, mov, mkv, webm or avi files")
    return found


def name_of(file: Path, folder: Path) -> str:
    """Name a video by its subfolder, else by the file."""
    inside = file.relative_to(folder)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def predict_lips(file: Path, voice: AudioToMotion) -> Tensor:
    """Predict how open the lips are in every frame of a file from its sound, shape (F,)."""
    parts = [part.lip_ratio[:, 0] for part in voice.stream(stream_mono_16k(file))]
    return torch.cat(parts) if parts else torch.zeros(0)


def inspect_video(file: Path, name: str, voice: AudioToMotion, looker: Looker) -> tuple[Video | None, list[Rejection]]:
    """Find a video's good stretches and its sync; say what was left out."""
    try:
        about, found = probe_video(file), list(stretches(file, looker))
        reasons = [why_not(one) for one in found]
        good = [one for one, reason in zip(found, reasons, strict=True) if reason is None]
        heard = predict_lips(file, voice) if about.has_sound and good else torch.zeros(0)
    except PortraitError as error:
        return None, [Rejection(file, 0, 0, str(error))]
    left = [Rejection(file, one.start, len(one), why) for one, why in zip(found, reasons, strict=True) if why]
    if not found:
        left = [Rejection(file, 0, 0, "no face in any frame")]
    sync = find_sync(good, heard) if len(heard) else None
    scores = [score_of(one, heard, sync) if sync else 0.0 for one in good]
    return Video(about, name, good, sync, scores), left


def name_everybody(videos: list[Video]) -> list[Video]:
    """Say who is in every stretch, by the faces."""
    names = iter(name_people([(video.name, one.looks.person) for video in videos for one in video.good]))
    return [replace(video, people=[next(names) for _ in video.good]) for video in videos]


def choose_validation(videos: list[Video], share: float) -> set[tuple[int, int]]:
    """Choose the stretches that are not trained on, as (video, stretch): whole people, those with a voice first.

    One person with a voice is left for training. Where there is one person, its last stretches are chosen.
    """
    everything = [(v, n) for v, video in enumerate(videos) for n in range(len(video.good))]
    people: dict[str, list[tuple[int, int]]] = {}
    for v, n in everything:
        people.setdefault(videos[v].people[n], []).append((v, n))
    if len(people) < 2:
        return set(everything[len(everything) - math.ceil(share * len(everything)) :]) if len(everything) > 1 else set()

    voiced = {who for who, theirs in people.items() if any(videos[v].is_synced(n) for v, n in theirs)}
    ordered = sorted(people, key=lambda who: (who not in voiced, len(people[who])))
    if voiced:  # the one with most clips stays
        ordered.append(ordered.pop(len(voiced) - 1))
    count = min(math.ceil(share * len(people)), len(people) - 1)
    return set(chain.from_iterable(people[who] for who in ordered[:count]))


def write_clips(video: Video, numbers: list[int], ids: Iterator[int], folder: Path, free: bool) -> Iterator[Clip]:
    """Cut some of a video's stretches into clips, in one pass over its pictures and one over its sound."""
    lag, source = video.sync.lag if video.sync else 0, video.file.file
    synced = [n for n in numbers if video.is_synced(n)]
    spans = [(video.good[n].start - lag, video.good[n].start - lag + len(video.good[n])) for n in synced]
    sounds, frames = cut_sound(source, spans), enumerate(frames_of(source))
    for n in numbers:
        stretch, name = video.good[n], f"{next(ids):04d}"
        crop, scale = crop_of(stretch)  # type: ignore[misc]
        writer = ClipWriter(folder / f"{name}.mp4", next(sounds) if n in synced else None)
        for number, frame in frames:
            if number >= stretch.start:
                writer.write(cut(frame.picture, crop))
            if number + 1 == stretch.start + len(stretch):
                break
        writer.close()
        height, width = stretch.size
        sharpness, blockiness, clipped = stretch.looks.usual
        yield Clip(
            id=name,
            file=f"{name}.mp4",
            identity=video.people[n],
            seconds=len(stretch) / FRAME_RATE,
            fps_original=round(float(video.file.fps), 3),
            has_synced_audio="yes" if n in synced else UNUSED_SOUND,
            audio_shift_ms=lag * 1000 // FRAME_RATE if n in synced else 0,
            sync_score=f"{video.scores[n]:.3f}" if video.sync else "",
            source_path=str(source),
            source_size=f"{width}x{height}",
            source_start_s=stretch.start / FRAME_RATE,
            face_px_source=round(crop.size / crop.zoom / scale),
            crop_scale=round(scale, 2),
            sharpness=round(sharpness, 1),
            blockiness=round(blockiness, 2),
            clipped=round(clipped, 3),
            permissive="yes" if free else "no",
        )


def write_split(folder: Path, name: str, videos: list[Video], chosen: set[tuple[int, int]], free: bool) -> list[Clip]:
    """Write one split: clips, manifest, landmarks; for training, speech too."""
    (folder / name).mkdir()
    ids, rows, landmarks = iter(range(1_000_000)), [], list[Array]()
    for v, video in enumerate(videos):
        numbers = [n for n in range(len(video.good)) if (v, n) in chosen]
        for n, row in zip(numbers, write_clips(video, numbers, ids, folder / name, free), strict=True):
            rows.append(row)
            landmarks.append(landmarks_of(video.good[n], crop_of(video.good[n])[0]))  # type: ignore[index]
    write_manifest(folder / name / "manifest.csv", rows)
    write_landmarks(folder / f"landmarks_{name}.npz", rows, landmarks)
    if name == "train":
        write_speech(folder / "speech_motion.npz", folder / name, rows, landmarks)
    return rows


def prepare(folder: Path, output: Path, share: float, free: bool, *, recognise: bool = True) -> None:
    """Look through a folder and write what is good of it, complete or not at all.

    Args:
        folder: Of the videos.
        output: To write.
        share: Of people that are kept from training.
        free: Whether weights trained on them may be published.
        recognise: Whether to tell people apart by their faces.
    """
    files = find_videos(folder)
    if output.exists():
        raise OutputExistsError(f"{output}: exists; give another folder, or remove it")
    looker = Looker(FaceRecogniser() if recognise else None)
    voice, videos, left = AudioToMotion.from_pretrained(), list[Video](), list[Rejection]()
    for file in files:
        video, reasons = inspect_video(file, name_of(file, folder), voice, looker)
        videos += [video] if video else []
        left += reasons
        typer.echo(f"{file}: {_summary(video, reasons)}")
    videos = name_everybody(videos)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(partial_name(output))
    partial.mkdir()
    try:
        kept = choose_validation(videos, share)
        whole = {(v, n) for v, video in enumerate(videos) for n in range(len(video.good))}
        for name, chosen in (("train", whole - kept), ("val", kept)):
            rows = write_split(partial, name, videos, chosen, free)
            seconds, voiced = (
                sum(row.seconds for row in rows if row.has_synced_audio in kinds) for kinds in (("yes", "no"), ("yes",))
            )
            typer.echo(f"{name}: {len(rows)} clips, {seconds:.1f} s, {voiced:.1f} s of them with their voice")
        _write_rejections(partial / "rejected.csv", left)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _summary(video: Video | None, left: list[Rejection]) -> str:
    reasons = "; ".join(sorted({one.reason for one in left}))
    if video is None or not video.good:
        return f"left out: {reasons}"
    sound = "no sound" if video.sync is None else f"lips {video.sync.lag:+d} frames, agreement {video.sync.score:.2f}"
    return f"{len(video.good)} clips, {sound}" + (f"; left out: {reasons}" if left else "")


def _write_rejections(file: Path, left: list[Rejection]) -> None:
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "start_s", "seconds", "reason"])
        table.writerows([one.file, one.start / FRAME_RATE, one.frames / FRAME_RATE, one.reason] for one in left)


def clips(
    folder: Annotated[Path, typer.Argument(help="Folder of talking videos.")],
    output: Annotated[Path, typer.Option(help="Folder to write; must not exist yet.")],
    validation: Annotated[float, typer.Option(help="Share of people that are kept from training.", min=0, max=1)] = 0.1,
    permissive: Annotated[bool, typer.Option(help="Whether weights trained on them may be published.")] = True,
    recognise: Annotated[
        bool, typer.Option(help="Tell people apart by their faces; otherwise by folders alone.")
    ] = True,
) -> None:
    """Turn a folder of talking videos into clips to train on."""
    try:
        prepare(folder, output, validation, permissive, recognise=recognise)
    except PortraitError:
        raise
    except OSError as error:
        raise OutputError(f"{output}: {error.strerror or error}") from error
