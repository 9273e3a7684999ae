"""Closures: p, b and m must close the lips, open vowels must not. The speech is made here, so its sounds are known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

import talkinghead
from audio2motion import AudioToMotion
from audio2motion.config import FRAME_RATE
from liveportrait import LivePortrait
from liveportrait.mini import MiniLivePortrait
from liveportrait.mini.regions import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, rows
from liveportrait.motion import Crop, Motion, Portrait, SpeechMotion
from talkinghead.cli.demo import demo_inputs
from talkinghead.evaluation import metrics
from talkinghead.evaluation.labelled_speech import (
    BILABIALS,
    ELSEWHERE,
    OPEN_VOWELS,
    RATE,
    LabelledVoice,
    Manner,
    Sound,
    Utterance,
    heard,
    voices_at_hand,
)
from talkinghead.evaluation.speak import CLOSED, tracked

SENTENCES = Path(__file__).with_name("closure_sentences.txt")
FAR = 0.12  # seconds that these must be from a bilabial, to tell what a closure means
PAUSE = 0.4  # seconds before, between and after sentences
AROUND = 5
"""Frames before and after a closure that its course shows."""

Curve = NDArray[np.float32]
Figures = dict[str, float]


def closure_figures(
    sentences: int | None = None, weights: str | Path = "mini"
) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Judge every voice on keypoints of the neutral face.

    Args:
        sentences: How many sentences are said, half of them from each end of the list; None for all.
        weights: The audio-to-motion model.

    Returns:
        For each voice its figures, and the mean lip opening from 5 frames before to 5 after a closure's middle.
    """
    model = AudioToMotion.from_pretrained(weights)
    figures, courses = {}, {}
    for name, manner in voices_at_hand().items():
        speech = say_sentences(manner, picked(sentences))
        opening = opening_of(model.generate(speech.samples))
        figures[name], courses[name] = judge(opening, speech.sounds), course(opening, speech.sounds)
    return figures, courses


def rendered_figures(sentences: int, model: str) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Judge the example portrait's rendered lips, found anew in every picture; see `closure_figures`."""
    speech = say_sentences(Manner(), picked(sentences))
    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        soundfile.write(voice, speech.samples.numpy(), RATE)
        portrait = demo_inputs().portrait
        found = list(tracked(iter(talkinghead.speak(portrait, voice, model=model))))
    opening = np.array([np.nan if points is None else metrics.lip_opening(points[None])[0] for points in found])
    return {"portrait": judge(opening, speech.sounds)}, {"portrait": course(opening, speech.sounds)}


def compare_with_real(sounds: Iterable[Tensor], real: Iterable[Curve], performed: Iterable[Curve]) -> list[str]:
    """Lay performed lips beside those of the people who speak, in two lines; hama tells what they say.

    Args:
        sounds: Recordings, 16 kHz mono, shape (N,) each.
        real: Their lip openings over the inter-ocular distance, shape (T,) each.
        performed: The same of the performances.
    """
    said: list[Sound] = []
    frames = 0
    real, performed = list(real), list(performed)
    for samples, opening in zip(sounds, real, strict=True):
        begin = frames / FRAME_RATE
        said += [replace(s, start=s.start + begin, end=s.end + begin) for s in heard(samples) if s.start >= 0]
        frames += len(opening)
    lines = []
    for name, curves in (("real lips", real), ("performed", performed)):
        figures = judge(np.concatenate(curves), said)
        shown = ("recall", "others closed", "vowels closed", "vowel opening")
        lines.append(f"{name}: " + ", ".join(f"{key} {figures[key]:.2f}" for key in shown))
    return [f"closures, {figures['counted']:.0f} bilabials that are heard:", *lines]


def picked(count: int | None) -> list[str]:
    """Return the sentences, or so many of them, rich in bilabials and poor in them by turns."""
    lines = [line for line in SENTENCES.read_text().splitlines() if line and not line.startswith("#")]
    if count is None:
        return lines
    return [line for pair in zip(lines, reversed(lines), strict=True) for line in pair][:count]


def say_sentences(manner: Manner, sentences: Iterable[str]) -> Utterance:
    """Say sentences one after the other with pauses between them."""
    voice, pause = LabelledVoice(manner), torch.zeros(round(PAUSE * RATE))
    samples, sounds = [pause], []
    for sentence in sentences:
        said = voice.say(sentence)
        begin = sum(map(len, samples)) / RATE
        sounds += [replace(sound, start=sound.start + begin, end=sound.end + begin) for sound in said.sounds]
        samples += [said.samples, pause]
    return Utterance(torch.cat(samples), sounds)


def opening_of(speech_motion: SpeechMotion) -> Curve:
    """Return the lip opening that a neutral face shows, over the inter-ocular distance, shape (T,); its head rests."""
    model = cast(MiniLivePortrait, LivePortrait.from_pretrained("mini"))
    face, unused = model.renderer.face.mean[None], torch.zeros(1)
    still = Motion.still(1, face.shape[1])
    neutral = Portrait(x_c=face, motion=still, x_s=face, f_s=unused, crop=Crop(torch.zeros(1, 3, 1, 1)))
    resting = replace(
        speech_motion,
        rotation=torch.eye(3).expand(len(speech_motion), 3, 3),
        translation=torch.zeros_like(speech_motion.translation),
    )
    points = model.speech_keypoints(neutral, resting)[..., :2]
    upper, lower = points[:, rows((13, 14))].unbind(1)
    left, right = (points[:, rows(corners)].mean(1) for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS))
    return ((upper - lower).norm(dim=-1) / (left - right).norm(dim=-1)).numpy()


def judge(opening: Curve, sounds: list[Sound]) -> Figures:
    """Tell how truly lips close.

    Args:
        opening: Lip opening over the inter-ocular distance, shape (T,), at 25 frames a second; NaN where not seen.
        sounds: What is said.

    Returns:
        Counted bilabials and the share of those spoken that are; recall: the share whose lips are closed in a frame
        of the closure widened by one frame at either side, and the same for each; the share of other consonants of
        which that is true, far from any bilabial; the share of open vowels' frames that are closed, and their mean
        opening.
    """
    closures = [sound for sound in sounds if sound.phoneme in BILABIALS]
    counted = [sound for sound in closures if sound.sure]
    shut = {kind: [_shut(opening, s) for s in counted if s.phoneme == kind] for kind in BILABIALS}
    others = [s for s in sounds if s.phoneme in ELSEWHERE and _distance(s, closures) > FAR]
    vowels = np.concatenate([np.zeros(0), *(opening[_inside(s)] for s in sounds if s.phoneme in OPEN_VOWELS)])
    return {
        "counted": len(counted),
        "of spoken": len(counted) / max(len(closures), 1),
        "recall": _mean([one for kind in shut.values() for one in kind]),
        **{f"recall {kind}": _mean(shut[kind]) for kind in BILABIALS},
        "others closed": _mean([_shut(opening, s) for s in others]),
        "vowels closed": _mean(vowels < CLOSED),
        "vowel opening": _mean(vowels),
    }


def course(opening: Curve, sounds: list[Sound]) -> Figures:
    """Return the mean lip opening around the middles of the closures, frame by frame."""
    middles = [int((s.start + s.end) / 2 * FRAME_RATE) for s in sounds if s.phoneme in BILABIALS and s.sure]
    inside = [middle for middle in middles if AROUND <= middle < len(opening) - AROUND]
    rows_of = {step: opening[[middle + step for middle in inside]] for step in range(-AROUND, AROUND + 1)}
    return {f"{step:+d}": float(np.nanmean(values)) for step, values in rows_of.items()}


def _shut(opening: Curve, sound: Sound) -> bool:
    first = max(int(sound.start * FRAME_RATE) - 1, 0)
    return bool((opening[first : int(sound.end * FRAME_RATE) + 2] < CLOSED).any())


def _inside(sound: Sound) -> slice:
    """Return the frames whose middles lie in a sound."""
    return slice(*(max(round(at * FRAME_RATE), 0) for at in (sound.start, sound.end)))


def _distance(sound: Sound, others: list[Sound]) -> float:
    return min((max(o.start - sound.end, sound.start - o.end) for o in others), default=FAR + 1)


def _mean(values: Sequence[bool] | NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
