"""Speech whose sounds are known: hibari-tts speaks, tells how long each phoneme lasts, and hama hears whether it does.

A voice is one of hibari's that is on the machine, slower, faster, larger or smaller: sounds are found in all of them
alike, because the times come from the synthesis itself. In recordings of people only hama tells what sounds when, and
only roughly: a reference to lay beside, not labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

RATE = 16_000
BILABIALS = "pbm"
OPEN_VOWELS = "ɑæaʌɔɛAIW"  # hibari writes the diphthongs of day, my and how as A, I and W
ELSEWHERE = "tdkɡnŋsz"  # consonants that are made inside the mouth
MARKED_LATE = 0.065
"""Seconds by which hibari's times come after the sounds. Measured between vowels, where the band from 1 to 4 kHz falls
and rises again: p, b and m are shut from 75 to 15 ms before the beginning of their mark, which lasts 50 ms."""
MARK_STEP = 0.025  # seconds; durations are whole multiples
HEARD_NEAR = 0.06  # seconds around a mark in which a recogniser must hear the sound, which names it at the release
HEARD = 0.5
NAMED_LATE, NAMED_LATE_VOWEL = 0.075, 0.035
"""Seconds after a sound's beginning at which hama names it: medians over what hibari says."""
NAMED_LENGTH = 0.05
NAMES = {name: name for name in ("p", "b", "m", "t", "d", "k", "ɡ", "n", "ŋ", "s", "z", "ɑ", "a", "æ", "ʌ", "ɔ", "ɛ")}
NAMES |= {"pʰ": "p", "tʰ": "t", "kʰ": "k", "g": "ɡ", "aɪ": "I", "aʊ": "W", "eɪ": "A"}
"""hama's names of sounds in hibari's alphabet; the others are left out."""
STRESS = "ˈˌː"  # marks in hibari's alphabet that are no sounds
STATE = 0.02  # seconds of a state of the recogniser
HEARD_AS = {
    "p": ("p", "pʰ", "p͈", "b", "ɓ"),  # a recogniser of many languages does not part p from b where English does
    "b": ("b", "ɓ", "p", "pʰ", "p͈", "β"),
    "m": ("m", "ɱ"),
}


@dataclass(frozen=True)
class Sound:
    """One phoneme that is spoken.

    Attributes:
        phoneme: In hibari's alphabet.
        start: When it begins, seconds.
        end: When it ends, seconds.
        sure: Whether a recogniser hears it there; asked for bilabials only, true for the others.
    """

    phoneme: str
    start: float
    end: float
    sure: bool = True


@dataclass(frozen=True)
class Utterance:
    """Speech and what is said in it.

    Attributes:
        samples: 16 kHz mono, float32, shape (N,).
        sounds: Its phonemes in order; pauses are left out.
    """

    samples: Tensor
    sounds: list[Sound]


@dataclass(frozen=True)
class Manner:
    """How a voice speaks.

    Attributes:
        name: Voice of hibari.
        speed: Tempo, 1 as it is trained.
        size: Factor on the speaker's size: pitch and resonances are divided by it, the tempo stays.
    """

    name: str = "heart"
    speed: float = 1.0
    size: float = 1.0


HEARTS = {
    "heart": Manner(),
    "heart, slow": Manner(speed=0.8),
    "heart, fast": Manner(speed=1.25),
    "heart, large": Manner(size=1.25),
    "heart, small": Manner(size=0.85),
}


def voices_at_hand() -> dict[str, Manner]:
    """Return the voice that comes with hibari in five manners, and every other voice that was fetched before."""
    from hibari.voices import VOICES, cache_dir

    fetched = [name for name, voice in VOICES.items() if (Path(cache_dir()) / voice["file"]).exists()]
    return HEARTS | {name: Manner(name) for name in fetched}


class LabelledVoice:
    """A voice of hibari that tells when it says what.

    Args:
        manner: How it speaks.
    """

    def __init__(self, manner: Manner) -> None:
        from hibari import Hibari

        self.manner = manner
        self._hibari = Hibari(voice=manner.name)
        self._session = _with_times(self._hibari.model_path)
        self._letters = {number: letter for letter, number in self._hibari.vocab.items()}

    def say(self, text: str) -> Utterance:
        """Speak one sentence; the same every time."""
        from hibari import dsp

        numbers = [number for part in self._hibari.phonemize(text) for number in self._hibari.ids(part)]
        feeds = {
            "ids": np.asarray([numbers], np.int64),
            "speed": np.asarray([self.manner.speed * self.manner.size], np.float32),
        }
        *spectrum, ends = self._session.run(None, feeds)
        sound = dsp.synth(*(part[0] for part in spectrum), np.random.default_rng(0))  # type: ignore[call-arg]
        rate = round(dsp.SR / self.manner.size)
        samples = torchaudio.functional.resample(torch.from_numpy(sound), rate, RATE)
        times = [MARK_STEP * self.manner.size * steps for steps in (0.0, *ends.ravel().tolist())]
        letters = [self._letters[number] if number else " " for number in numbers]
        return Utterance(samples, confirmed(samples, _sounds(letters, times, self.manner.size)))


def _sounds(letters: list[str], times: list[float], size: float) -> list[Sound]:
    late = MARKED_LATE * size
    return [
        Sound(letter, start - late, end - late)
        for letter, (start, end) in zip(letters, pairwise(times), strict=True)
        if letter.isalpha() and letter not in STRESS
    ]


@lru_cache(maxsize=1)
def _with_times(model: str) -> Any:
    """Open a voice with one more output: the running sum of the phonemes' durations, the only one in the graph."""
    import onnx
    import onnxruntime

    network = onnx.load(model)
    (sums,) = [node for node in network.graph.node if node.op_type == "CumSum"]
    network.graph.output.append(onnx.helper.make_empty_tensor_value_info(sums.output[0]))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(network.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def confirmed(samples: Tensor, sounds: list[Sound]) -> list[Sound]:
    """Mark the bilabials that hama hears where they should be."""
    probabilities, tokens = _recognised(samples)
    kinds = {phoneme: [tokens.index(token) for token in names] for phoneme, names in HEARD_AS.items()}

    def is_heard(sound: Sound) -> bool:
        first, last = (round((at + MARKED_LATE) / STATE) for at in (sound.start - HEARD_NEAR, sound.end + HEARD_NEAR))
        near = probabilities[max(first, 0) : last + 1, kinds[sound.phoneme]]
        return bool(near.sum(1).max(initial=0.0) >= HEARD)

    return [replace(sound, sure=sound.phoneme not in kinds or is_heard(sound)) for sound in sounds]


def heard(samples: Tensor) -> list[Sound]:
    """Find the sounds that hama is sure of in a recording, 16 kHz mono (N,)."""
    probabilities, tokens = _recognised(samples)
    best = probabilities.argmax(1)
    sounds = []
    for state in np.flatnonzero(np.diff(best, prepend=-1)):
        name = NAMES.get(tokens[best[state]])
        if name and probabilities[state, best[state]] >= HEARD:
            vowel = name in OPEN_VOWELS
            start = (state + 0.5) * STATE - (NAMED_LATE_VOWEL if vowel else NAMED_LATE)
            sounds.append(Sound(name, start, start + NAMED_LENGTH))
    return sounds


def _recognised(samples: Tensor) -> tuple[NDArray[np.float32], list[str]]:
    """Let hama listen: probabilities for every 20 ms, shape (states, tokens), and the tokens."""
    recogniser = _recogniser()
    feeds = {"waveform": samples.numpy()[None], "waveform_lengths": np.array([len(samples)])}
    (scores,) = recogniser.session.run(["log_probs"], feeds)
    return np.exp(scores[0]), recogniser.decoder_tokens


@lru_cache(maxsize=1)
def _recogniser() -> Any:
    from hama import ASRModel

    return ASRModel()
