"""Fuzzing: whatever a file holds, a reader returns a good value or raises a PortraitError, in little time and memory.

A usual run of the tests takes `conftest.SECONDS` for all readers together, with the same examples every time. To look
for longer:

    python -m pytest tests/fuzz --fuzz-seconds 3600                 # an hour; -k pictures: one reader
    python -m pytest tests/fuzz --fuzz-seconds 3600 --fuzz-seed 500 # other examples

A failure shows the damage in its shortest form: the sample's name and what was done to it.
"""

from __future__ import annotations

import itertools
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from samples import all_samples

from liveportrait.errors import PortraitError
from liveportrait.mini.renderer import MiniConfig
from liveportrait.motion import Motion
from liveportrait.templates import load_template
from liveportrait.weight_files import read_settings, read_sizes
from talkinghead.batch.jobs import read_jobs
from talkinghead.driver.keyframes import read_keyframes
from talkinghead.driver.sliders import interpolate_keyframes
from talkinghead.media.audio import probe_sound, stream_mono_16k
from talkinghead.media.image import read_image
from talkinghead.media.video import probe_video, read_frames
from talkinghead.narration.read import read_script
from talkinghead.options import EditOptions

LONGEST = 30.0
"""Seconds that one file may take; far more than any does on a machine that has nothing else to do."""

MOST_MEMORY = 1 << 20
"""Kilobytes by which the process may grow while one reader is tried."""

ROUND = 50
"""Examples with one seed."""

BYTES = [b"\0", b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x80", b"\1\0\0\0", b"\0\0\0\1"]
TEXTS = [
    *("\0", "\ud7ff", "²", "٣", "1e999999999", "-1", "nan", "99:99:99,999", " --> ", "<v ", "<", "&#0;", "&amp"),
    *("&a ", "*a", "!!python/none ", "[" * 300, "{a: ", "- ", ": ", "\n", "\t", "'", '"', "|", "#", "---\n", "~"),
    *("9" * 400, "1/0", "true", "2024-02-30", "pause: ", "chapter: ", "reference: ", "\r", "\ufeff", "\u2028"),
]


class Reader(NamedTuple):
    """How to read a file of one kind, and what to insert into one; raises AssertionError over a value that is bad."""

    read: Callable[[Path], object]
    tokens: list[bytes]
    share: float


def read_picture(file: Path) -> None:
    picture = read_image(file)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.size


def read_sound(file: Path) -> None:
    sound = probe_sound(file)
    assert sound.num_samples > 0 and sound.rate > 0
    for part in stream_mono_16k(sound):
        assert part.ndim == 1 and bool(part.isfinite().all())


def read_video(file: Path) -> None:
    assert probe_video(file).fps > 0
    for frame in itertools.islice(read_frames(file), 100):
        assert frame.picture.dtype == np.uint8 and frame.picture.ndim == 3


def read_words(file: Path) -> None:
    script = read_script(file)
    slots = [line.slot for line in script.lines if line.slot]
    assert any(line.text for line in script.lines)
    assert all(0 <= slot.start <= slot.end < 1e6 for slot in slots)
    assert all(a.start <= b.start for a, b in itertools.pairwise(slots))


def read_sliders(file: Path) -> None:
    keyframes = read_keyframes(file)
    if max(keyframes) < 100:
        source = replace(Motion.still(1, 21), eye_ratio=torch.full((1, 2), 0.3), lip_ratio=torch.zeros(1, 1))
        track = interpolate_keyframes(keyframes, EditOptions(), source, Fraction(25))
        assert len(track) >= 1 and all(track.sliders())


def read_all_jobs(file: Path) -> None:
    for job in read_jobs(file):
        job.options()


def read_motion(file: Path) -> None:
    template = load_template(file)
    assert len(template.motion) and 0 < template.fps <= 1000
    assert bool(torch.isfinite(template.motion.expression).all())


READERS = {
    "pictures": Reader(read_picture, BYTES, 0.2),
    "sounds": Reader(read_sound, BYTES, 0.16),
    "videos": Reader(read_video, BYTES, 0.2),
    "texts": Reader(read_words, [text.encode() for text in TEXTS], 0.12),
    "scripts": Reader(read_words, [text.encode() for text in TEXTS], 0.08),
    "keyframes": Reader(read_sliders, [text.encode() for text in TEXTS], 0.06),
    "jobs": Reader(read_all_jobs, [text.encode() for text in TEXTS], 0.06),
    "templates": Reader(read_motion, BYTES, 0.1),
    "settings": Reader(lambda file: read_sizes(MiniConfig, read_settings(file), file), BYTES, 0.02),
}


class Damage(NamedTuple):
    """One change of a file.

    Attributes:
        kind: What is done.
        place: Where, as a share of the file.
        length: Of how many bytes.
        token: What is put there.
    """

    kind: str
    place: float
    length: int
    token: bytes


def damaged(content: bytes, damages: Iterable[Damage]) -> bytes:
    for kind, place, length, token in damages:
        start = int(place * len(content))
        before, part, after = content[:start], content[start : start + length], content[start + length :]
        if kind == "flip":
            part = bytes([part[0] ^ 1 << length % 8]) + part[1:] if part else part
        elif kind == "insert":
            part = token + part
        elif kind == "overwrite":
            after = (part + after)[len(token) :]
            part = token
        elif kind == "repeat":
            part = part * (1 + len(token))
        elif kind == "leave out":
            part = b""
        elif kind == "cut":
            after = b""
        content = before + part + after
    return content


def damages(tokens: list[bytes]) -> st.SearchStrategy[list[Damage]]:
    one = st.builds(
        Damage,
        st.sampled_from(["flip", "insert", "overwrite", "repeat", "leave out", "cut"]),
        st.floats(0, 1, exclude_max=True, width=32),
        st.integers(0, 64),
        st.sampled_from(tokens) | st.binary(max_size=8),
    )
    return st.lists(one, min_size=1, max_size=6)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise in the main thread when something takes too long."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_reader(reader: Reader, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        with alarm(LONGEST):
            reader.read(file)
    except PortraitError as error:
        assert str(error).strip()
    finally:
        file.unlink()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", READERS)
def test_any_file_is_read_or_refused(kind: str, tmp_path: Path, fuzz_seconds: float, fuzz_seed: int):
    reader, samples = READERS[kind], all_samples(kind, tmp_path)
    for name, content in samples.items():
        (tmp_path / name).write_bytes(content)
        reader.read(tmp_path / name)  # the undamaged one is good
    end = time.monotonic() + reader.share * fuzz_seconds
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in itertools.count(fuzz_seed):

        @seed(number)
        @settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(name=st.sampled_from(sorted(samples)), changes=damages(reader.tokens))
        def property_holds(name: str, changes: list[Damage]) -> None:
            if time.monotonic() < end:
                try_reader(reader, tmp_path / f"damaged-{name}", damaged(samples[name], changes))

        property_holds()
        if time.monotonic() >= end:
            break
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
