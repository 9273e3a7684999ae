"""Read speech with its face landmarks and express it in the face model: what the audio-to-motion model learns from."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from liveportrait.mini import regions
from liveportrait.mini.face_model import FaceModel

FRAME_SAMPLES = 640
POINT_NOISE = 0.01  # deviation of a landmark in the head frame, against which coefficients of deviation one are fitted
SHORT_CLIP = 60  # frames; a shorter clip takes the rest face of its person's other short clips
MOUTH = regions.LIPS + regions.JAW
BROWS = regions.LEFT_BROW + regions.RIGHT_BROW


@dataclass(frozen=True)
class SpeechTracks:
    """Clips of one voice and one face, one after the other.

    Attributes:
        waveform: int16, 16 kHz mono, shape (640 · frames,).
        offsets: Frames of clip n are offsets[n]:offsets[n + 1].
        mouth: Mouth coefficients, shape (frames, 16).
        brows: Brow coefficients, shape (frames, 6).
        opening: Inner lip distance in the head frame, shape (frames,).
        width: Mouth width in the head frame, shape (frames,).
        eyes: Eye openness, lid distance over eye width, mean of both, shape (frames,).
        gaze: Where the irises stand between the eyes' corners, right and down in the head frame, shape (frames, 2).
        rotation: Head rotation, shape (frames, 3, 3).
        translation: Head position in units of half the crop, shape (frames, 3).
        scale: Head size, shape (frames, 1).
        identities: Who speaks in each clip.
        permissive: Whether a clip may train weights that ship.
        names: Each clip's name.
    """

    waveform: Tensor
    offsets: list[int]
    mouth: Tensor
    brows: Tensor
    opening: Tensor
    width: Tensor
    eyes: Tensor
    gaze: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    identities: list[str]
    permissive: list[bool]
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)


def read_training(data: Path, face: FaceModel) -> SpeechTracks:
    """Read speech_motion.npz."""
    with np.load(data / "speech_motion.npz") as z:
        offsets = z["offsets"].tolist()
        delta, keypoints = z["landmarks_delta"], tuple(z["point_index"].tolist())
        waveform = decode_sound(io.BytesIO(z["audio_ogg"].tobytes()), offsets[-1] * FRAME_SAMPLES)
        identities, names = z["identity"].tolist(), z["clip_ids"].tolist()
        permissive = z["permissive"].tolist()
    steps = np.concatenate([np.cumsum(delta[a:b], 0, dtype=np.int32) for a, b in _bounds(offsets)])
    points = steps.astype(np.float32) / 1024  # 2048 steps make the crop, whose edges are -1 and 1
    points[..., :2] -= 1.0
    motion = _express(torch.from_numpy(points), keypoints, face, offsets, identities)
    return SpeechTracks(waveform, offsets, *motion, identities, permissive, names)


def read_validation(data: Path, face: FaceModel) -> SpeechTracks:
    """Read the clips of val/ whose sound is in sync."""
    with np.load(data / "landmarks_val.npz") as z:
        bounds = dict(zip(z["clip_ids"].tolist(), _bounds(z["offsets"].tolist()), strict=True))
        points, keypoints = z["landmarks"].astype(np.float32) / 128.0, tuple(z["point_index"].tolist())
    with (data / "val" / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["has_synced_audio"] == "yes"]
    points[..., :2] -= 1.0
    picked = [points[slice(*bounds[row["id"]])] for row in rows]
    offsets = [0, *np.cumsum([len(p) for p in picked]).tolist()]
    files = [data / "val" / row["file"] for row in rows]
    sounds = [decode_sound(file, len(p) * FRAME_SAMPLES) for file, p in zip(files, picked, strict=True)]
    identities = [row["identity"] for row in rows]
    motion = _express(torch.from_numpy(np.concatenate(picked)), keypoints, face, offsets, identities)
    permissive = [row["permissive"] == "yes" for row in rows]
    return SpeechTracks(torch.cat(sounds), offsets, *motion, identities, permissive, [row["id"] for row in rows])


def _bounds(offsets: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(offsets))


def decode_sound(file: io.BytesIO | Path, num_samples: int) -> Tensor:
    """Decode a file's first sound track to int16 at 16 kHz, cut or filled to a length."""
    resampler, parts = av.AudioResampler(format="s16", layout="mono", rate=16000), []
    with av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    samples = np.concatenate(parts)[:num_samples]
    return torch.from_numpy(np.pad(samples, (0, num_samples - len(samples))))


def _express(
    points: Tensor, keypoints: tuple[int, ...], face: FaceModel, offsets: list[int], identities: list[str]
) -> tuple[Tensor, ...]:
    """Turn landmarks (frames, N, 3) into what `SpeechTracks` holds, mouth to scale."""
    pose = face.pose(points, keypoints)
    head = face.to_head(points, pose)
    ratio, eyes = _openness(head, keypoints)
    shift = head - _rest_faces(head, ratio, eyes, offsets, identities)
    mouth, brows = (
        _project(shift, keypoints, face.expression_basis[part], tuple(p for p in group if p in keypoints))
        for part, group in ((slice(0, face.num_mouth), MOUTH), (slice(face.num_mouth, None), BROWS))
    )
    gap, width = _distance(head, keypoints, 13, 14), _distance(head, keypoints, *regions.MOUTH_CORNERS)
    return mouth, brows, gap, width, eyes, _gaze(head, keypoints), pose.rotation, pose.translation, pose.scale


def _distance(head: Tensor, keypoints: tuple[int, ...], first: int, second: int) -> Tensor:
    a, b = regions.rows((first, second), keypoints)
    return (head[:, a, :2] - head[:, b, :2]).norm(dim=-1)


def _openness(head: Tensor, keypoints: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Measure lip and eye openness, each (frames,)."""
    lips = _distance(head, keypoints, 13, 14) / _distance(head, keypoints, *regions.MOUTH_CORNERS)
    left = _distance(head, keypoints, 159, 145) / _distance(head, keypoints, *regions.LEFT_EYE_CORNERS)
    right = _distance(head, keypoints, 386, 374) / _distance(head, keypoints, *regions.RIGHT_EYE_CORNERS)
    return lips, 0.5 * (left + right)


def _gaze(head: Tensor, keypoints: tuple[int, ...]) -> Tensor:
    """Measure where the irises' centres stand against the middles of the eyes' corners, mean of both, (frames, 2)."""
    irises = head[:, regions.rows((regions.LEFT_IRIS[0], regions.RIGHT_IRIS[0]), keypoints), :2]
    corners = head[:, regions.rows(regions.LEFT_EYE_CORNERS + regions.RIGHT_EYE_CORNERS, keypoints), :2]
    return (irises.mean(1) - corners.mean(1)).contiguous()


def _rest_faces(head: Tensor, lips: Tensor, eyes: Tensor, offsets: list[int], identities: list[str]) -> Tensor:
    """Find the neutral face, lips closed and eyes open, of every frame's clip or person, (frames, N, 3)."""
    rest, short = torch.empty_like(head), {}
    for (a, b), who in zip(_bounds(offsets), identities, strict=True):
        frames = torch.arange(a, b)
        if b - a < SHORT_CLIP:
            short.setdefault(who, []).append(frames)
        else:
            rest[frames] = _at_rest(head[frames], lips[frames], eyes[frames])
    for parts in short.values():
        frames = torch.cat(parts)
        rest[frames] = _at_rest(head[frames], lips[frames], eyes[frames])
    return rest


def _at_rest(head: Tensor, lips: Tensor, eyes: Tensor) -> Tensor:
    closed = lips <= lips.quantile(0.2)
    return head[closed & (eyes >= eyes[closed].quantile(0.4))].mean(0)


def _project(shift: Tensor, keypoints: tuple[int, ...], basis: Tensor, points: tuple[int, ...]) -> Tensor:
    """Fit coefficients of deviation one to displacements by regularised least squares, (frames, C)."""
    flat_basis = basis[:, regions.rows(points)].flatten(1)
    flat = shift[:, regions.rows(points, keypoints)].flatten(1)
    gram = flat_basis @ flat_basis.T + POINT_NOISE**2 * torch.eye(len(basis))
    return torch.linalg.solve(gram, flat_basis @ flat.T).T.contiguous()
