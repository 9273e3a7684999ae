"""Sound in, pictures out: how long the first picture takes, how far pictures are behind, and how fast they are made.

The sound comes in chunks of 40 ms on a clock of its own, as from a microphone; computing moves the clock on, waiting
does not. Every stream lets the portrait that ships speak anew for a few seconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from talkinghead.cli.demo import demo_inputs
from talkinghead.evaluation.benchmark.timing import Row, Settings
from talkinghead.media.audio import MODEL_RATE, stream_mono_16k
from talkinghead.media.image import read_image
from talkinghead.models import load_models
from talkinghead.options import CropOptions, MotionOptions, Options
from talkinghead.realtime.stream import speak_live
from talkinghead.source.image import open_image_source

CHUNK = MODEL_RATE // FRAME_RATE
SECONDS = 3


@dataclass
class Take:
    """One stream.

    Attributes:
        delays: Seconds from the moment that a picture shows begins to be heard until the picture is there.
        busy: Seconds of computing.
        cpu: The same in processor time of all threads.
    """

    delays: list[float] = field(default_factory=list)
    busy: float = 0.0
    cpu: float = 0.0


def run(settings: Settings) -> Iterator[Row]:
    """Measure the whole picture and the face alone."""
    portrait, voice = demo_inputs()
    models = load_models(settings.model or "mini", settings.device, precision=settings.precision)
    sound = torch.cat(list(stream_mono_16k(voice)))[: SECONDS * MODEL_RATE]
    parameters = sum(p.numel() for network in (models.portrait, models.voice) for p in network.parameters()) / 1e6
    for crop in (True, False):
        options = Options(crop=CropOptions(face_only=crop), motion=MotionOptions())
        source = open_image_source(read_image(portrait), str(portrait), models, options.crop)
        height, width = source.size
        takes = [
            listen(sound, lambda voice, source=source, options=options: speak_live(source, voice, models, options))
            for _ in range(settings.repeats + 1)
        ][1:]
        yield from _rows(takes, f"{width}×{height}", parameters)


def listen(sound: Tensor, speak) -> Take:
    """Feed a stream on a simulated clock; `speak` turns an iterator of chunks into one of pictures."""
    take, clock, resumed, resumed_cpu = Take(), 0.0, 0.0, 0.0

    def work_done() -> None:
        nonlocal clock, resumed, resumed_cpu
        now, now_cpu = time.perf_counter(), time.process_time()
        clock += now - resumed
        take.busy += now - resumed
        take.cpu += now_cpu - resumed_cpu
        resumed, resumed_cpu = now, now_cpu

    def chunks() -> Iterator[Tensor]:
        nonlocal clock
        for number, chunk in enumerate(sound.split(CHUNK), 1):
            work_done()
            clock = max(clock, number / FRAME_RATE)  # wait until this chunk was spoken
            yield chunk
        work_done()

    resumed, resumed_cpu = time.perf_counter(), time.process_time()
    for number, _ in enumerate(speak(chunks())):
        work_done()
        take.delays.append(clock - number / FRAME_RATE)
    return take


def _rows(takes: list[Take], shown: str, parameters: float) -> Iterator[Row]:
    firsts = [take.delays[0] for take in takes]
    delays = [delay for take in takes for delay in take.delays]
    frames = sum(len(take.delays) for take in takes)
    busy, cpu = (1000 * sum(getattr(take, name) for take in takes) / frames for name in ("busy", "cpu"))
    for name, seconds in (("first picture", firsts), ("any picture", delays)):
        for share in (50, 95):
            found = (
                statistics.quantiles(seconds, n=100, method="inclusive")[share - 1] if len(seconds) > 1 else seconds[0]
            )
            yield Row(f"{name} after its sound, p{share}", 1, shown, 1000 * found, cpu, 0.0, parameters, 0.0)
    factor = busy * FRAME_RATE / 1000
    yield Row(f"a picture; real-time factor {factor:.2f}", 1, shown, busy, cpu, 0.0, parameters, 0.0)
