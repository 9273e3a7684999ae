"""Speed and memory of `speak`, end to end in processes of their own, and stage by stage."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile
import torch

import talkinghead
from audio2motion import AudioToMotion
from liveportrait import LivePortrait
from talkinghead.cli.demo import demo_inputs
from talkinghead.face import FaceDetector, PasteBack, frame_face, make_crop
from talkinghead.media.audio import stream_mono_16k
from talkinghead.media.image import read_image

WIDTH, HEIGHT = 1280, 720
BATCH = 8
REPEATS = 9


def measure_speed(model: str, seconds: float, memory: bool) -> dict[str, dict[str, float]]:
    """Measure everything.

    Args:
        model: Name or directory.
        seconds: Length of the sound for the end-to-end run.
        memory: Whether to compare one minute of sound with ten.

    Returns:
        Figures for each run; stages are in milliseconds per frame.
    """
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        make_picture(picture)
        runs = {f"{seconds:g} s": seconds} | ({"60 s": 60.0, "600 s": 600.0} if memory else {})
        for name, length in runs.items():
            voice = Path(folder) / "voice.wav"
            make_voice(voice, length)
            command = [
                sys.executable,
                "-m",
                __spec__.name,
                model,
                str(picture),
                str(voice),
                str(Path(folder) / "out.mp4"),
            ]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results[name] = json.loads(printed.splitlines()[-1])
        results["stages"] = stage_times(model, picture)
    return results


def make_picture(path: Path) -> None:
    """Enlarge the example portrait until its crop is 512 pixels wide, on a canvas of 1280×720."""
    portrait = read_image(demo_inputs().portrait)
    face = FaceDetector().detect(portrait)[0]
    zoom = frame_face(face.landmarks).zoom
    large = cv2.resize(portrait, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    canvas = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    centre = round(float(face.landmarks[:, 0].mean()) * zoom)
    left = int(np.clip(centre - WIDTH // 2, 0, max(0, large.shape[1] - WIDTH)))
    part = large[:HEIGHT, left : left + WIDTH]
    canvas[: part.shape[0], : part.shape[1]] = part
    cv2.imwrite(str(path), canvas[..., ::-1])


def make_voice(path: Path, seconds: float) -> None:
    """Repeat the example voice to the asked length."""
    samples, rate = soundfile.read(demo_inputs().voice)
    soundfile.write(path, np.resize(samples, round(seconds * rate)), rate)


def run_once(model: str, picture: str, voice: str, output: str) -> dict[str, float]:
    """Speak once in this process; what `measure_speed` starts."""
    begun = time.perf_counter()
    summary = talkinghead.speak(picture, voice, output, model=model)
    took = time.perf_counter() - begun
    frames = summary.frames
    return {
        "frames": frames,
        "seconds": took,
        "fps": frames / took,
        "real-time factor": took / (frames / 25),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def stage_times(model_name: str, path: Path) -> dict[str, float]:
    """Median milliseconds per frame of each stage alone."""
    picture = read_image(path)
    faces = FaceDetector()
    crop, place = make_crop(picture, faces.detect(picture)[0].landmarks)
    model, generator = LivePortrait.from_pretrained(model_name), AudioToMotion.from_pretrained()
    voice = torch.cat(list(stream_mono_16k(demo_inputs().voice)))
    speech_motion, portrait = generator.generate(voice), model.encode(crop)
    x_d = model.speech_keypoints(portrait, speech_motion[:BATCH])
    render = model.picture_renderer(portrait)
    shown = render(x_d, None)[0]
    paste = PasteBack(picture, place, crop_size=len(shown))
    canvas = paste.paste(shown)
    return {
        "find face": 1e3 * median(lambda: faces.detect(picture)),
        "encode": 1e3 * median(lambda: model.encode(crop)),
        "speech to motion": 1e3 * median(lambda: generator.generate(voice)) / len(speech_motion),
        "keypoints": 1e3 * median(lambda: model.speech_keypoints(portrait, speech_motion[:BATCH])) / BATCH,
        "render": 1e3 * median(lambda: render(x_d, None)) / BATCH,
        "paste": 1e3 * median(lambda: paste.paste(shown, canvas)),
    }


def median(action: Callable[[], Any]) -> float:
    """Median seconds of a call, after one that does not count."""
    action()
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_once(*sys.argv[1:])))
