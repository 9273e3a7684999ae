"""Find a script's words in a recording by forced alignment with wav2vec 2.0."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor

from liveportrait.errors import WeightsError, WeightsNotFoundError
from talkinghead.host.isolation import own_settings
from talkinghead.media.audio import MODEL_RATE, Sound, stream_mono_16k
from talkinghead.narration.script import Line

_BUNDLE = "WAV2VEC2_ASR_BASE_960H"
_WEIGHTS = "wav2vec2_fairseq_base_ls960_asr_ls960.pth"
_BLANK, _BETWEEN = 0, 1
"""Indices of the blank label and of the space between two words."""

_STEP = 320
"""Samples per frame of the network."""
_WINDOW_SECONDS, _CONTEXT_SECONDS = 20, 1
_LONGEST_SECONDS = 15 * 60
"""Longest recording that is aligned; the memory needed grows with the square of its length."""

LetterModel = Callable[[Tensor], Tensor]
"""Turns samples (N,) at 16 kHz into log-probabilities of letters, shape (N // 320 or one less, letters)."""


@own_settings()
def align_lines(lines: Sequence[Line], sound: Sound, *, required: bool) -> list[tuple[float, float]] | None:
    """Return start and end of each line in seconds, or None if the lines cannot be aligned.

    Args:
        lines: The lines in order.
        sound: The recording.
        required: Whether to download the weights if they are missing.

    Raises:
        WeightsNotFoundError: The weights are missing and cannot be fetched.
        WeightsError: They are damaged.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS
    if sound.seconds > _LONGEST_SECONDS or not (file.exists() or required):
        return None
    bundle = getattr(torchaudio.pipelines, _BUNDLE)
    model = _load(bundle, file)

    def letter_model(samples: Tensor) -> Tensor:
        with torch.inference_mode():
            return model(samples[None])[0][0].log_softmax(-1)

    return align(lines, letter_probabilities(stream_mono_16k(sound), letter_model), bundle.get_labels())


def _load(bundle: Any, file: Path) -> torch.nn.Module:
    """Load the network's weights from a file, which is fetched if it is missing."""
    try:
        return bundle.get_model().eval()
    except (OSError, HTTPException) as error:
        raise WeightsNotFoundError(
            f"{file}: needed to align words, and cannot be fetched ({getattr(error, 'reason', error)}); put it there,"
            " or say --align proportional"
        ) from error
    except Exception as error:  # a damaged file raises many kinds of errors
        raise WeightsError(f"{file}: cannot be read ({error}); delete it, and it is fetched again") from error


def letter_probabilities(samples: Iterator[Tensor], model: LetterModel) -> Tensor:
    """Run the network on a recording in overlapping windows.

    Returns:
        Log-probabilities of letters every 20 ms, shape (T, letters).
    """
    whole = torch.cat(list(samples))
    window, context = _WINDOW_SECONDS * MODEL_RATE, _CONTEXT_SECONDS * MODEL_RATE
    parts = []
    for start in range(0, len(whole), window):
        before = min(context, start)
        part = model(whole[start - before : start + window + context])
        parts.append(part[before // _STEP :][: window // _STEP])
    return torch.cat(parts)


def align(lines: Sequence[Line], log_probabilities: Tensor, letters: Sequence[str]) -> list[tuple[float, float]] | None:
    """Align the letters of the lines with the network's output.

    Args:
        lines: The lines in order.
        log_probabilities: Log-probabilities of letters, shape (T, letters).
        letters: The letter of each column.

    Returns:
        Start and end of each line in seconds; None if a line has no letter that the network knows, or there are more
        letters than frames.
    """
    spelled = [_spell(line.text, letters) for line in lines]
    targets = [number for word in spelled for number in (*word, _BETWEEN)][:-1]
    repeats = sum(a == b for a, b in pairwise(targets))
    if not all(spelled) or len(targets) + repeats > len(log_probabilities):
        return None
    path, scores = torchaudio.functional.forced_align(log_probabilities[None], torch.tensor([targets]), blank=_BLANK)
    found = torchaudio.functional.merge_tokens(path[0], scores[0].exp())
    spans, first = [], 0
    for word in spelled:
        last = first + len(word) - 1
        spans.append((found[first].start * _STEP / MODEL_RATE, found[last].end * _STEP / MODEL_RATE))
        first = last + 2
    return spans


def _spell(text: str, letters: Sequence[str]) -> list[int]:
    """Return the indices of a text's letters without accents, with spaces between words."""
    plain = unicodedata.normalize("NFKD", text).upper()
    words = ("".join(letter for letter in word if letter in letters[2:]) for word in plain.split())
    numbers: list[int] = []
    for word in filter(None, words):
        numbers += [_BETWEEN] * bool(numbers) + [letters.index(letter) for letter in word]
    return numbers
