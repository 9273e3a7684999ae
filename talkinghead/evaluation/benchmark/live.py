"""Live sessions: the delay from sound in to picture out, what a second costs, and how many sessions a core can run.

For the delay, the voice that ships is pushed in chunks of 20 ms in real time, as from a microphone, and frames come on
the session's clock. For the cost, a session speaks and idles as fast as it can.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from talkinghead.cli.demo import demo_inputs
from talkinghead.evaluation.benchmark.timing import Row, Settings
from talkinghead.media.audio import MODEL_RATE, stream_mono_16k
from talkinghead.models import Models, load_models
from talkinghead.options import CropOptions, Options
from talkinghead.realtime.avatar import AvatarSession

CHUNK = MODEL_RATE // 50
SECONDS = 5
WARM_UP = 10


def run(settings: Settings) -> Iterator[Row]:
    """Measure the whole picture, and the face alone."""
    portrait, voice = demo_inputs()
    models = load_models(settings.model or "mini", settings.device, precision=settings.precision)
    sound = torch.cat(list(stream_mono_16k(voice)))[: SECONDS * MODEL_RATE].numpy()
    parameters = sum(p.numel() for network in (models.portrait, models.voice) for p in network.parameters()) / 1e6
    for crop in (CropOptions(), CropOptions(face_only=True, size=256)):
        with AvatarSession(portrait, options=Options(crop=crop), model=models, sample_rate=MODEL_RATE) as session:
            shown = f"{session.size[1]}×{session.size[0]}"
            busy, cpu = _cost(session, sound)
        for name, milliseconds in _delays(portrait, crop, models, sound, settings.repeats):
            yield Row(f"sound in to picture out, {name}", 1, shown, milliseconds, 0.0, 0.0, parameters, 0.0)
        factor, sessions = busy * session.fps, 1 / (cpu * session.fps)
        name = f"a picture; real-time factor {factor:.2f}"
        yield Row(name, 1, shown, 1000 * busy, 1000 * cpu, 0.0, parameters, 0.0)
        yield Row(f"sessions per core: {sessions:.2f}", 1, shown, 1000 * busy, 1000 * cpu, 0.0, parameters, 0.0)


def _cost(session: AvatarSession, sound: NDArray[np.float32]) -> tuple[float, float]:
    """Return the seconds per frame, and the same in processor time of all threads: a second of speech, one idle."""
    frames = iter(session.frames(real_time=False))
    session.push_audio(sound[: WARM_UP * MODEL_RATE // 25 + MODEL_RATE], MODEL_RATE)
    session.flush()
    next(itertools.islice(frames, WARM_UP, None))
    count, begun, begun_cpu = 2 * int(session.fps), time.perf_counter(), time.process_time()
    next(itertools.islice(frames, count - 1, None))
    return (time.perf_counter() - begun) / count, (time.process_time() - begun_cpu) / count


def _delays(
    portrait: object, crop: CropOptions, models: Models, sound: NDArray[np.float32], repeats: int
) -> list[tuple[str, float]]:
    """Return milliseconds from the moment that a frame's first sample is pushed to the frame, p50 and p95, and more."""
    delays: list[float] = []
    repeated = 0
    for _ in range(repeats):
        with AvatarSession(portrait, options=Options(crop=crop), model=models, sample_rate=MODEL_RATE) as session:  # type: ignore[arg-type]
            pushed: list[float] = []
            frames = iter(session.frames())
            next(itertools.islice(frames, WARM_UP, None))
            microphone = threading.Thread(target=_speak, args=(session, sound, pushed))
            microphone.start()
            spoken = 0
            for frame in frames:
                if frame.speaks:
                    delays.append(time.perf_counter() - pushed[min(2 * spoken, len(pushed) - 1)])
                    spoken, repeated = spoken + 1, repeated + frame.repeated
                if any(mark.kind == "turn_ended" for mark in frame.marks):
                    break
            microphone.join()
    shares = statistics.quantiles(delays, n=100, method="inclusive")
    fresh = 100 * (1 - repeated / len(delays))
    return [(f"p{share}, {fresh:.0f}% rendered", 1000 * shares[share - 1]) for share in (50, 95)]


def _speak(session: AvatarSession, sound: NDArray[np.float32], pushed: list[float]) -> None:
    """Push sound in real time and note when; chunk n is complete n + 1 chunks after the beginning."""
    begun = time.perf_counter()
    for number, start in enumerate(range(0, len(sound), CHUNK), 1):
        time.sleep(max(begun + number * CHUNK / MODEL_RATE - time.perf_counter(), 0.0))
        pushed.append(time.perf_counter() - CHUNK / MODEL_RATE)  # when its first sample was heard
        session.push_audio(sound[start : start + CHUNK], MODEL_RATE)
    session.flush()
