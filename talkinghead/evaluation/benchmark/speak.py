"""`speak` as a user meets it: how long the first second takes, and frames of 20 seconds against coding them alone.

Every figure is printed beside what it is judged by, measured in the same run: the start beside `import torch`, a frame
beside coding the same picture alone, and work on a busy machine beside work on a quiet one. Coding is measured twice:
whole pictures with settings that never change, and as videos are written, where only what changed is converted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from talkinghead import pipeline
from talkinghead.cli.demo import demo_inputs
from talkinghead.evaluation.benchmark.timing import Row, Settings
from talkinghead.evaluation.speed import make_picture, make_voice
from talkinghead.media.audio import probe_sound
from talkinghead.media.image import Picture, read_image
from talkinghead.media.video import VideoWriter
from talkinghead.media.yuv import to_yuv
from talkinghead.models import Models, load_models
from talkinghead.options import CropOptions, Options
from talkinghead.source.image import ImageSource, open_image_source

SECONDS, FPS = 20, 25
_SETTINGS, _THREADS = {"preset": "veryfast", "crf": "18", "x264-params": "mbtree=0"}, 2

BUSY = 2
"""Number of processes that do nothing but compute while `speak` runs beside them."""

_FASTEST = 8
"""How many times faster than real time the long run may be before its voice ends."""

_CALL = "from talkinghead.cli import main; main()"
_SPIN = "while True: pass"


def run(settings: Settings) -> Iterator[Row]:
    """Measure the start, then throughput on a quiet and on a busy machine; or a long run, minute by minute."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture, voice, short = folder / "wide.png", folder / "voice.wav", folder / "short.wav"
        make_picture(picture)
        if settings.minutes:
            make_voice(voice, 60 * _FASTEST * settings.minutes)
            yield from _held(picture, voice, folder / "out.mp4", settings)
            return
        make_voice(voice, SECONDS)
        make_voice(short, 1)
        yield from _start(folder, short, settings)
        models = load_models(settings.model or "mini", settings.device, precision=settings.precision)
        cases = (picture, Options()), (demo_inputs().portrait, Options(crop=CropOptions(face_only=True)))
        for image, options in cases:
            source = open_image_source(read_image(image), str(image), models, options.crop)
            yield from _throughput(source, voice, models, options, folder / "out.mp4", settings.repeats)


def _start(folder: Path, voice: Path, settings: Settings) -> Iterator[Row]:
    portrait, output = str(demo_inputs().portrait), str(folder / "start.mp4")
    given = ["--model", str(settings.model)] if settings.model else []
    calls = {
        "python -c 'import torch'": ["import torch"],
        "talkinghead --help": [_CALL, "--help"],
        "speak, 1 s of voice": [_CALL, "speak", portrait, str(voice), "-o", output, "--overwrite", *given],
    }
    took: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(settings.repeats + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", *call], check=True, capture_output=True)
            if n:  # the first round fills the file cache
                took[name].append(time.perf_counter() - begun)
    torch_seconds = float(np.median(took["python -c 'import torch'"]))
    for name, seconds in took.items():
        middle = float(np.median(seconds))
        yield _row(name, f"{middle / torch_seconds:.2f} x import", middle)


def _throughput(
    source: ImageSource, voice: Path, models: Models, options: Options, output: Path, repeats: int
) -> Iterator[Row]:
    """Measure one source: coding alone, quiet and busy, in turns; medians of the frames' times."""
    height, width = source.size
    video = pipeline.speak(source, probe_sound(voice), models, options)
    pictures = [picture for _, picture in zip(range(4 * FPS), video, strict=False)]
    whole, coding, quiet, busy = [], [], [], []
    for _ in range(max(repeats // 2, 1)):
        whole.append(_code_whole(pictures, source, output) / len(pictures))
        coding.append(_write(pictures, source, output) / len(pictures))
        quiet.append(_write(video, source, output) / len(video))
        with _busy():
            busy.append(_write(video, source, output) / len(video))
    fixed, alone, frame, beside = (float(np.median(seconds)) for seconds in (whole, coding, quiet, busy))
    shown = f"{width}×{height}"
    yield _row(f"coding whole pictures, {shown}", "", fixed)
    yield _row(f"coding as here, {shown}", "", alone)
    yield _row(f"a frame, {shown}", f"{frame / fixed:.2f} x whole", frame)
    yield _row(f"a frame, {shown}", f"{frame / alone:.2f} x as here", frame)
    yield _row(f"real time, {shown}", f"x{1 / (FPS * frame):.2f}", frame)
    yield _row(f"beside {BUSY} busy processes, {shown}", f"{frame / beside:.2f} of quiet", beside)


def _write(pictures: Iterable[Picture], source: ImageSource, output: Path) -> float:
    """Write pictures as `speak` does, without sound; return the seconds that it took."""
    begun = time.perf_counter()
    with VideoWriter(output, Fraction(FPS), source.size, overwrite=True) as writer:
        for picture in pictures:
            writer.write(picture)
    return time.perf_counter() - begun


def _code_whole(pictures: Iterable[Picture], source: ImageSource, output: Path) -> float:
    """Convert and code whole pictures with settings that stay as they are; return the seconds that it took."""
    begun = time.perf_counter()
    with av.open(str(output), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=_SETTINGS)
        stream.height, stream.width = source.size
        stream.codec_context.thread_count = _THREADS
        for picture in pictures:
            container.mux(stream.encode(to_yuv(picture)))
        container.mux(stream.encode(None))
    return time.perf_counter() - begun


def _held(image: Path, voice: Path, output: Path, settings: Settings) -> Iterator[Row]:
    """Render without a pause and measure each minute."""
    models, options = load_models(settings.model or "mini", settings.device, precision=settings.precision), Options()
    source = open_image_source(read_image(image), str(image), models, options.crop)
    minute, count, begun = 1, 0, time.perf_counter()
    with VideoWriter(output, Fraction(FPS), source.size, overwrite=True) as writer:
        for picture in pipeline.speak(source, probe_sound(voice), models, options):
            writer.write(picture)
            count += 1
            took = time.perf_counter() - begun
            if took >= 60:
                yield _row(f"minute {minute}", f"{count / took:.1f} frames/s", took / count)
                minute, count, begun = minute + 1, 0, time.perf_counter()
            if minute > settings.minutes:
                break


@contextmanager
def _busy() -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _row(name: str, setting: str, seconds: float) -> Row:
    return Row(name, 1, setting, 1000 * seconds, 0.0, 0.0, 0.0, 0.0)
