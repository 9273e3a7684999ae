"""How true the lips of an audio-to-motion model are, measured on the coefficients of the face model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE
from audio2motion.model import AudioToMotion
from audio2motion.network import MIDDLE, SpeechToMouth
from audio2motion.training.augmentation import hiss
from audio2motion.training.metrics import LipScore, pearson, score_lips, summarise
from audio2motion.training.speech_tracks import SpeechTracks
from audio2motion.windows import through_windows
from liveportrait.training.face_model_fit import load_face_model
from talkinghead.dataset.speech import read_training, read_validation
from talkinghead.evaluation.closures import compare_with_real, opening_of
from talkinghead.evaluation.idle_motion import describe_idle_motion, drawn_idle_motion, real_idle_motion

ROOM_DB = -65.0  # noise of a quiet room
SETTLED = 4  # frames after the voice stops, and before it starts, in which the lips may still move
CLOSED_RATIO = 0.02
LONG_ENOUGH = 50  # frames a clip must have to be scored
PER_PERSON = 1  # clips of one person that are scored


def unseen_speakers(tracks: SpeechTracks) -> list[int]:
    """Pick clips of people who are in no training clip."""
    known = {who for who, free in zip(tracks.identities, tracks.permissive, strict=True) if free}
    picked: dict[str, list[int]] = {}
    for n, who in enumerate(tracks.identities):
        if who not in known and tracks.offsets[n + 1] - tracks.offsets[n] >= LONG_ENOUGH:
            picked.setdefault(who, []).append(n)
    return [n for clips in picked.values() for n in clips[:PER_PERSON]]


def sound_of(tracks: SpeechTracks, clip: int) -> Tensor:
    """Return a clip's samples, float32."""
    start, end = tracks.offsets[clip] * FRAME_SAMPLES, tracks.offsets[clip + 1] * FRAME_SAMPLES
    return tracks.waveform[start:end].float() / 32768


@torch.inference_mode()
def predict(network: SpeechToMouth, tracks: SpeechTracks, clip: int) -> Tensor:
    """Predict one clip's coefficients, before calibration."""
    sound = sound_of(tracks, clip)
    return torch.cat(list(through_windows([sound], lambda part: network(part[None])[0])))


def score(
    network: SpeechToMouth, tracks: SpeechTracks, clips: list[int], mouth_of: Callable[[int], Tensor] | None = None
) -> list[LipScore]:
    """Score clips with a network in eval mode, or with the mouths that a function gives."""
    scores = []
    for clip in clips:
        measures = (mouth_of(clip) if mouth_of else predict(network, tracks, clip)) @ network.readout
        frames = slice(tracks.offsets[clip], tracks.offsets[clip + 1])
        scores.append(score_lips(measures[:, MIDDLE], tracks.opening[frames], measures[:, -1], tracks.width[frames]))
    return scores


def describe_lips(weights: str, data: Path, face: Path) -> Iterator[str]:
    """Measure an audio-to-motion model on people it never met.

    Args:
        weights: "mini" or a folder.
        data: Folder with speech_motion.npz, landmarks_val.npz and val/.
        face: Face model written by `train.py face-model`.

    Yields:
        Lines of a report: lips clip by clip, live lips, silence, closures, and idle motion.
    """
    model, shape = AudioToMotion.from_pretrained(weights), load_face_model(face)
    tracks, val = read_training(data, shape), read_validation(data, shape)
    for title, source, clips in (("unseen", tracks, unseen_speakers(tracks)), ("val", val, list(range(len(val))))):
        if not clips:
            continue
        scores = score(model.mouth, source, clips, partial(_performed, model, source))
        for clip, one in zip(clips, scores, strict=True):
            yield _row(f"{source.names[clip]} {source.identities[clip]}", one)
        yield _row(f"median of {len(clips)} {title}", summarise(scores))
    everyone = list(range(len(val)))
    yield _row(
        f"median of {len(val)} val, live", summarise(score(model.mouth, val, everyone, partial(_live, model, val)))
    )
    yield describe_live(model, val)
    yield f"closed in silence: {closed_in_silence(model, val):.1%} of frames"
    if others := unseen_speakers(tracks):
        yield from describe_closures(model, tracks, others)
    drawn = list(drawn_idle_motion(model, torch.cat([sound_of(val, clip) for clip in range(len(val))])))
    yield from describe_idle_motion(drawn, [*real_idle_motion(tracks, shape), *real_idle_motion(val, shape)])


def closed_in_silence(model: AudioToMotion, tracks: SpeechTracks) -> float:
    """Put a quiet second between every two clips and return the share of its frames whose lips are closed."""
    pause = hiss(SAMPLE_RATE, ROOM_DB, torch.Generator().manual_seed(0))
    closed = []
    for clip in range(len(tracks)):
        sound = sound_of(tracks, clip)
        ratio = model.generate(torch.cat([sound, pause, sound])).lip_ratio[:, 0]
        first = len(sound) // FRAME_SAMPLES
        closed.append(ratio[first + SETTLED : first + FRAME_RATE - SETTLED] < CLOSED_RATIO)
    return float(torch.cat(closed).float().mean())


def describe_closures(model: AudioToMotion, tracks: SpeechTracks, clips: list[int]) -> list[str]:
    """Compare how lips close on p, b and m with how the speakers' own do; eyes are one unit apart in the head frame."""
    sounds = [sound_of(tracks, clip) for clip in clips]
    real = [tracks.opening[tracks.offsets[clip] : tracks.offsets[clip + 1]].numpy() for clip in clips]
    return compare_with_real(sounds, real, [opening_of(model.generate(sound)) for sound in sounds])


def _performed(model: AudioToMotion, tracks: SpeechTracks, clip: int) -> Tensor:
    return model.generate(sound_of(tracks, clip)).expression[:, : model.config.num_mouth]


def _live(model: AudioToMotion, tracks: SpeechTracks, clip: int) -> Tensor:
    """Perform a clip as if it were just spoken."""
    stream = model.streaming()
    parts = stream.push(sound_of(tracks, clip)) + stream.finish()
    return torch.cat([part.expression[:, : model.config.num_mouth] for part in parts])


@torch.inference_mode()
def describe_live(model: AudioToMotion, tracks: SpeechTracks) -> str:
    """Compare the lips of live performances with those of offline ones, in one line."""
    agreements, differences = [], []
    for clip in range(len(tracks)):
        live, offline = (model.mouth.lip_ratio(mouth(model, tracks, clip))[:, 0] for mouth in (_live, _performed))
        agreements.append(pearson(live, offline))
        differences.append(float((live - offline).abs().mean()))
    return (
        f"live against offline lips: r {median(agreements):.2f}, worst {min(agreements):.2f}; "
        f"difference {median(differences):.3f}, worst {max(differences):.3f}"
    )


def _row(name: str, one: LipScore) -> str:
    figures = f"r {one.correlation:5.2f}  best {one.best:5.2f} at {one.lag:+d}  amplitude {one.amplitude:4.2f}"
    return f"{name:38} {figures}  width r {one.width:5.2f}"
