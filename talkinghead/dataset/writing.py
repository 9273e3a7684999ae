"""Write clips, their landmarks and their speech as the training scripts read them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from audio2motion import FRAME_RATE, SAMPLE_RATE
from audio2motion.config import FRAME_SAMPLES
from liveportrait.mini.regions import KEYPOINTS
from talkinghead.dataset.tracking import SIDE, Array
from talkinghead.media.audio import stream_mono_16k
from talkinghead.media.image import Picture

CRF = "20"
SOUND_BITS = 64_000
STEPS = 2048  # of landmarks in one side of the crop
Sound = NDArray[np.int16]


@dataclass(frozen=True)
class Clip:
    """A row of the manifest; names are its columns."""

    id: str
    file: str
    identity: str
    seconds: float
    fps_original: float
    has_synced_audio: str
    audio_shift_ms: int
    sync_score: str
    source_path: str
    source_size: str
    source_start_s: float
    face_px_source: int
    crop_scale: float
    sharpness: float
    blockiness: float
    clipped: float
    permissive: str


class ClipWriter:
    """One clip in the making: H.264 with a keyframe a second, and AAC where there is sound."""

    def __init__(self, file: Path, sound: Sound | None) -> None:
        self._container = av.open(f"file:{file}", "w", format="mp4")
        self._video = self._container.add_stream("libx264", FRAME_RATE, {"crf": CRF, "g": "25", "bf": "0"})
        self._video.width = self._video.height = SIDE
        self._video.pix_fmt = "yuv420p"
        self._sound, self._count = sound, 0
        self._audio = None if sound is None else self._container.add_stream("aac", SAMPLE_RATE, layout="mono")
        if self._audio is not None:
            self._audio.bit_rate = SOUND_BITS

    def write(self, picture: Picture) -> None:
        """Add a picture, RGB, (256, 256, 3)."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, FRAME_RATE)
        self._count += 1
        self._container.mux(self._video.encode(frame))

    def close(self) -> None:
        """Add the sound and complete the file."""
        self._container.mux(self._video.encode(None))
        if self._audio is not None and self._sound is not None:
            for packet in encode_sound(self._audio, [self._sound]):
                self._container.mux(packet)
        self._container.close()


def encode_sound(stream: av.AudioStream, sounds: Iterator[Sound] | list[Sound]) -> Iterator[av.Packet]:
    """Code sounds one after the other."""
    resampler = av.AudioResampler(stream.codec_context.format, "mono", SAMPLE_RATE, stream.codec_context.frame_size)
    done = 0

    def packets(frame: av.AudioFrame | None) -> Iterator[av.Packet]:
        nonlocal done
        for part in resampler.resample(frame):
            part.pts, part.time_base = done, Fraction(1, SAMPLE_RATE)
            done += part.samples
            yield from stream.encode(part)

    for sound in sounds:
        frame = av.AudioFrame.from_ndarray(sound[None], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE
        yield from packets(frame)
    yield from packets(None)
    yield from stream.encode(None)


def cut_sound(file: Path, spans: list[tuple[int, int]]) -> Iterator[Sound]:
    """Yield the sound of frames first … last - 1 of a file for every span, in order; silence where there is none.

    Spans may begin before the file and overlap; only what the next one may need is kept.
    """
    chunks, kept, start = stream_mono_16k(file), np.zeros(0, np.float32), 0
    for first, last in spans:
        low, high = first * FRAME_SAMPLES, last * FRAME_SAMPLES
        while start + len(kept) < high and (chunk := next(chunks, None)) is not None:
            kept = np.concatenate([kept, chunk.numpy()])
            dropped = min(max(low - start, 0), len(kept))
            kept, start = kept[dropped:], start + dropped
        part = kept[max(low - start, 0) : max(high - start, 0)]
        before = min(max(start - low, 0), high - low)
        padded = np.pad(part, (before, max(high - low - before - len(part), 0)))[: high - low]
        yield (padded.clip(-1, 1) * 32767).round().astype(np.int16)


def write_manifest(file: Path, rows: Sequence[Any], kind: type = Clip) -> None:
    """Write a table of clips, or of another kind of row; its columns are the dataclass's fields."""
    names = [field.name for field in fields(kind)]
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(names)
        table.writerows([getattr(row, name) for name in names] for row in rows)


def write_landmarks(file: Path, rows: list[Clip], landmarks: list[Array]) -> None:
    """Write the landmarks of one split: pixels of the crop, float16."""
    np.savez_compressed(
        file,
        clip_ids=np.array([row.id for row in rows]),
        offsets=_offsets(landmarks),
        landmarks=np.concatenate([*landmarks, np.zeros((0, len(KEYPOINTS), 3))]).astype(np.float16),
        valid=np.ones(sum(map(len, landmarks)), bool),
        point_index=np.array(KEYPOINTS, np.int16),
    )


def write_speech(file: Path, folder: Path, rows: list[Clip], landmarks: list[Array]) -> None:
    """Write sound and landmarks of the clips whose voice is heard, for the audio-to-motion model."""
    chosen = [n for n, row in enumerate(rows) if row.has_synced_audio == "yes"]
    points = [landmarks[n] / SIDE for n in chosen]
    steps = [np.diff(np.round(part * STEPS), axis=0, prepend=0).astype(np.int16) for part in points]
    sound = file.with_suffix(".sound.ogg")
    with av.open(f"file:{sound}", "w", format="ogg") as container:
        stream = container.add_stream("flac", SAMPLE_RATE, layout="mono")
        heard = (
            next(cut_sound(folder / rows[n].file, [(0, len(part))])) for n, part in zip(chosen, points, strict=True)
        )
        for packet in encode_sound(stream, heard):
            container.mux(packet)
    np.savez(
        file,
        clip_ids=np.array([f"t{rows[n].id}" for n in chosen]),
        identity=np.array([rows[n].identity for n in chosen]),
        permissive=np.array([rows[n].permissive == "yes" for n in chosen]),
        offsets=_offsets(points),
        landmarks_delta=np.concatenate([*steps, np.zeros((0, len(KEYPOINTS), 3), np.int16)]),
        point_index=np.array(KEYPOINTS, np.int16),
        audio_ogg=np.frombuffer(sound.read_bytes(), np.uint8),
    )
    sound.unlink()


def _offsets(parts: list[Array]) -> NDArray[np.int32]:
    return np.cumsum([0, *map(len, parts)]).astype(np.int32)
