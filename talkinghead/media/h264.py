"""Read what copying needs to know of an H.264 stream in MP4: its parameter sets, and where decoding can begin anew.

A stream may switch between parameter sets wherever decoding begins anew, if they have numbers of their own. So parts of
two encoders fit into one stream.

Source: ITU-T H.264, 7.3 and 7.4; ISO/IEC 14496-15, 5.3.3.1 (the header, "avcC").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

IDR, SPS, PPS = 5, 7, 8
"""Types of NAL units: a slice of a picture at which decoding begins anew, and the two kinds of parameter sets."""

LENGTH_BYTES = 4
"""Bytes before each NAL unit of a packet that state its length; almost all files have four."""

PROFILES = {66: "baseline", 77: "main", 100: "high"}
"""x264's names of the profiles with 8 bits and halved colour resolution, by their numbers."""

_MOST_IDS = 32


@dataclass(frozen=True)
class Header:
    """A stream's header.

    Attributes:
        profile: Number of the profile.
        constraints: Further limits that the stream keeps to, as bits.
        level: Number of the level, which grows with size and rate.
        length_bytes: Bytes before each NAL unit of a packet.
        sps: Sequence parameter sets, as NAL units.
        pps: Picture parameter sets, as NAL units.
        extension: What follows for some profiles.
    """

    profile: int
    constraints: int
    level: int
    length_bytes: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    extension: bytes

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read an avcC.

        Raises:
            ValueError: It is none.
        """
        if len(data) < 6 or data[0] != 1:
            raise ValueError("no avcC header")
        sps, at = _sets(data, 5, 31)
        pps, at = _sets(data, at, 255)
        return cls(data[1], data[2], data[3], (data[4] & 3) + 1, sps, pps, data[at:])

    def free_id(self) -> int | None:
        """Return a number that no parameter set has, or None."""
        taken = {_first_number(unit[4:]) for unit in self.sps} | {_first_number(unit[1:]) for unit in self.pps}
        return next((number for number in range(_MOST_IDS) if number not in taken), None)

    def joined(self, other: Header) -> Header:
        """Return a header for a stream that switches between two headers' parameter sets."""
        return replace(
            self,
            constraints=self.constraints & other.constraints,
            level=max(self.level, other.level),
            sps=self.sps + other.sps,
            pps=self.pps + other.pps,
        )

    def __bytes__(self) -> bytes:
        start = bytes((1, self.profile, self.constraints, self.level, 0xFC | (self.length_bytes - 1)))
        counted = (
            bytes([0xE0 | len(self.sps)]),
            *map(_sized, self.sps),
            bytes([len(self.pps)]),
            *map(_sized, self.pps),
        )
        return start + b"".join(counted) + self.extension


def nal_units(packet: bytes) -> Iterator[bytes]:
    """Yield the beginning of each NAL unit of a packet; parameter sets are yielded whole.

    Raises:
        ValueError: The packet is damaged.
    """
    at = 0
    while at < len(packet):
        size = int.from_bytes(packet[at : at + LENGTH_BYTES], "big")
        at += LENGTH_BYTES
        if not 0 < size <= len(packet) - at:
            raise ValueError("damaged packet")
        yield packet[at : at + size] if packet[at] & 31 in {SPS, PPS} else packet[at : at + 1]
        at += size


def _sets(data: bytes, at: int, mask: int) -> tuple[tuple[bytes, ...], int]:
    """Read a count and as many parameter sets, each after two bytes for its length; also return where they end."""
    found, count = [], data[at] & mask if at < len(data) else 0
    at += 1
    for _ in range(count):
        size = int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    if at > len(data) or not all(found) or not found:
        raise ValueError("damaged avcC header")
    return tuple(found), at


def _sized(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def _first_number(data: bytes) -> int:
    """Read an Exp-Golomb number from the start of a few bytes (9.1)."""
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = bits.index("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1
