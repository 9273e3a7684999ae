"""The error-correcting code of the watermark: 64 bits, their checksum, and many more that repeat them.

A convolutional code of rate 1/4 and constraint length 9 (J. G. Proakis, "Digital Communications", table of rate 1/4
codes: generators 463, 535, 733, 745 in octal), decoded by Viterbi's algorithm from soft values.
"""

from __future__ import annotations

import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GENERATORS = (0o463, 0o535, 0o733, 0o745)
_MEMORY = 8
_STATES = 1 << _MEMORY
_PAYLOAD, _CHECK = 64, 16
_MASK = 0x5AC3
"""Added to the checksum, so that a picture without structure does not decode to a payload of zeros."""

_STEPS = _PAYLOAD + _CHECK + _MEMORY
CODED_BITS = _STEPS * len(_GENERATORS)
"""Length of a code word."""


def encode(payload: int) -> NDArray[np.float32]:
    """Return the code word of 64 bits, `CODED_BITS` values of -1 and 1."""
    bits = _bits(payload << _CHECK | _checksum(payload), _PAYLOAD + _CHECK) + [0] * _MEMORY
    state, word = 0, []
    for bit in bits:
        register = bit << _MEMORY | state
        word += [(register & generator).bit_count() & 1 for generator in _GENERATORS]
        state = register >> 1
    return 2 * np.array(word, np.float32) - 1


def decode(soft: NDArray[Any]) -> int | None:
    """Return the payload of the most likely code word, or None if its checksum is wrong.

    Args:
        soft: Shape (`CODED_BITS`,): positive for a 1, and the larger the surer.
    """
    scores = np.full(_STATES, -np.inf)
    scores[0] = 0
    choices = []
    for values in soft.reshape(_STEPS, len(_GENERATORS)):
        candidates = scores[_FROM] + _OUTPUTS @ values  # (state, which of two states it comes from)
        choice = candidates.argmax(1)
        choices.append(choice)
        scores = candidates[_EVERY, choice]
    state, number = 0, 0
    for step in range(_STEPS - 1, -1, -1):
        if step < _PAYLOAD + _CHECK:
            number |= (state >> (_MEMORY - 1)) << (_PAYLOAD + _CHECK - 1 - step)
        state = int(_FROM[state, choices[step][state]])
    payload = number >> _CHECK
    return payload if number & (1 << _CHECK) - 1 == _checksum(payload) else None


def _checksum(payload: int) -> int:
    return binascii.crc_hqx(payload.to_bytes(8, "big"), 0xFFFF) ^ _MASK


def _bits(number: int, count: int) -> list[int]:
    return [number >> place & 1 for place in range(count - 1, -1, -1)]


_EVERY = np.arange(_STATES)
_FROM = np.stack([(_EVERY << 1 | last) & (_STATES - 1) for last in (0, 1)], 1)
"""The two states that each state can come from: those whose last bit has just left the register."""
_REGISTERS = (_EVERY >> (_MEMORY - 1) << _MEMORY)[:, None] | _FROM
_OUTPUTS = np.array(
    [[[2 * ((int(r) & g).bit_count() & 1) - 1 for g in _GENERATORS] for r in pair] for pair in _REGISTERS], np.float64
)
"""What is sent on each transition, -1 or 1, shape (states, 2, generators)."""
