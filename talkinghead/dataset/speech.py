"""Read prepared speech with its face landmarks for the training of the audio-to-motion model."""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from audio2motion.config import FRAME_SAMPLES
from audio2motion.training.speech_tracks import SpeechTracks, express_tracks
from liveportrait.mini.face_model import FaceModel


def read_training(data: Path, face: FaceModel) -> SpeechTracks:
    """Read speech_motion.npz."""
    with np.load(data / "speech_motion.npz") as z:
        offsets = z["offsets"].tolist()
        delta, keypoints = z["landmarks_delta"], tuple(z["point_index"].tolist())
        waveform = decode_sound(io.BytesIO(z["audio_ogg"].tobytes()), offsets[-1] * FRAME_SAMPLES)
        identities, names = z["identity"].tolist(), z["clip_ids"].tolist()
        permissive = z["permissive"].tolist()
    steps = np.concatenate([np.cumsum(delta[a:b], 0, dtype=np.int32) for a, b in pairwise(offsets)])
    points = steps.astype(np.float32) / 1024  # 2048 steps make the crop, whose edges are -1 and 1
    points[..., :2] -= 1.0
    return express_tracks(waveform, torch.from_numpy(points), keypoints, face, offsets, identities, permissive, names)


def read_validation(data: Path, face: FaceModel) -> SpeechTracks:
    """Read the clips of val/ whose sound is in sync."""
    with np.load(data / "landmarks_val.npz") as z:
        bounds = dict(zip(z["clip_ids"].tolist(), pairwise(z["offsets"].tolist()), strict=True))
        points, keypoints = z["landmarks"].astype(np.float32) / 128.0, tuple(z["point_index"].tolist())
    with (data / "val" / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["has_synced_audio"] == "yes"]
    points[..., :2] -= 1.0
    picked = [points[slice(*bounds[row["id"]])] for row in rows]
    offsets = [0, *np.cumsum([len(p) for p in picked]).tolist()]
    files = [data / "val" / row["file"] for row in rows]
    sounds = [decode_sound(file, len(p) * FRAME_SAMPLES) for file, p in zip(files, picked, strict=True)]
    identities = [row["identity"] for row in rows]
    permissive, names = [row["permissive"] == "yes" for row in rows], [row["id"] for row in rows]
    landmarks = torch.from_numpy(np.concatenate(picked))
    return express_tracks(torch.cat(sounds), landmarks, keypoints, face, offsets, identities, permissive, names)


def decode_sound(file: io.BytesIO | Path, num_samples: int) -> Tensor:
    """Decode a file's first sound track to int16 at 16 kHz, cut or filled to a length."""
    resampler, parts = av.AudioResampler(format="s16", layout="mono", rate=16000), []
    with av.open(file if isinstance(file, io.BytesIO) else str(file), "r") as container:
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    samples = np.concatenate(parts)[:num_samples]
    return torch.from_numpy(np.pad(samples, (0, num_samples - len(samples))))
