"""Small valid files of every format that is read, to be damaged."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from PIL import Image

from liveportrait.motion import Motion
from liveportrait.templates import Template, save_template
from talkinghead.media.video import VideoWriter

HEIC = Path(__file__).parents[1] / "talkinghead" / "media" / "turned.heic"

Samples = dict[str, bytes]
"""Contents of files by their names."""


def pictures() -> Samples:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    options = {"jpg": {"progressive": True}, "jpeg": {"exif": Image.Exif()}, "tiff": {"compression": "tiff_lzw"}}
    made = {}
    for ending in ("png", "jpg", "jpeg", "webp", "bmp", "tiff", "gif", "avif"):
        written = io.BytesIO()
        kind = {"jpg": "jpeg"}.get(ending, ending)
        Image.fromarray(noise).save(written, kind, **options.get(ending, {}))
        made[f"a.{ending}"] = written.getvalue()
    written = io.BytesIO()
    Image.fromarray(noise[..., 0]).convert("P").save(written, "png", transparency=3)
    return made | {"palette.png": written.getvalue(), "a.heic": HEIC.read_bytes()}


def sounds() -> Samples:
    tone = 0.3 * np.sin(np.arange(4_000) / 10)
    made = {}
    for ending, kind in (("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")):
        written = io.BytesIO()
        soundfile.write(written, tone, 16_000, kind, format=ending)
        made[f"a.{ending}"] = written.getvalue()
    written = io.BytesIO()
    soundfile.write(written, np.stack([tone, -tone], 1), 44_100, "FLOAT", format="wav")
    return made | {"stereo.wav": written.getvalue()}


def videos(folder: Path) -> Samples:
    noise = np.random.default_rng(0).integers(0, 255, (5, 32, 48, 3), np.uint8)
    with VideoWriter(folder / "a.mp4", Fraction(25), (32, 48)) as writer:
        for picture in noise:
            writer.write(picture)
    made = {"a.mp4": (folder / "a.mp4").read_bytes()}
    for ending, codec in (("mkv", "mpeg4"), ("avi", "mjpeg"), ("webm", "libvpx"), ("gif", "gif")):
        with av.open(str(folder / f"a.{ending}"), "w") as container:
            stream = container.add_stream(codec, rate=10, width=48, height=32)
            stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
            for picture in noise:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture).reformat(format=stream.pix_fmt)))
            container.mux(stream.encode())
        made[f"a.{ending}"] = (folder / f"a.{ending}").read_bytes()
    return made


def texts() -> Samples:
    cues = "1\n00:00:01,000 --> 00:00:02,500\nFirst <i>words</i> &amp; more.\n\n2\n00:00:03,000 --> 00:00:04,000\n♪\n"
    tracks = (
        "WEBVTT\n\nNOTE a comment\n\nSTYLE\n::cue { color: red }\n\nintro\n00:01.000 --> 00:02.000 align:start\n"
        "<v Ann>Well, <00:00:01.500><c>then</c>.\n\n01:00:03.000 --> 01:00:04.000\nLast.\n"
    )
    markdown = "# Title\n\nFirst *words*, i.e. `two`. [A link](http://a.b).\n\n## Part\n\n- one\n- two\n\n![](a.png)\n"
    made = {"a.srt": cues, "a.vtt": tracks, "a.md": markdown, "a.txt": "One. Two, e.g. three?\n\n“Four” … 5²!\n"}
    return {name: text.encode() for name, text in made.items()} | {"wide.srt": cues.encode("utf-16")}


def scripts() -> Samples:
    text = (
        "title: A talk\nlayout: circle\nspeakers:\n  ann: {voice: mini, background: '#203040'}\nscript:\n"
        "- chapter: One\n- ann: Hello there.\n  pause: 0.5\n- pause: 1\n- ann: Good bye.\n  lip_strength: 0.5\n"
        "  keyframes: {0: {smile: 0.5}, 0.4: {yaw: -10}}\n"
    )
    return {"a.yaml": text.encode()}


def keyframes() -> Samples:
    return {"a.yaml": b"0: {smile: 0.2, eyes-open: ~}\n0.5: {yaw: 10, pitch: -3.5}\n1e0: {smile: 1/2}\n"}


def jobs() -> Samples:
    text = (
        "defaults: {size: 256, face_only: yes, fps: 30000/1001}\njobs:\n"
        "- {source: a.png, audio: a.wav, output: a.mp4}\n"
        "- {command: reenact, source: b.png, driver: c.mp4, output: b.mp4, trim: '0:1.5', region: lip+eyes}\n"
        "- {command: narrate, source: a.png, script: a.md, output: c.mp4, seed: 3, burn: yes}\n"
    )
    return {"jobs.yaml": text.encode()}


def templates(folder: Path) -> Samples:
    motion = Motion.still(3, 21)
    motion = Motion(**{**vars(motion), "dense_residual": torch.zeros(3, 3, 2, 2), "lip_ratio": torch.zeros(3, 1)})
    save_template(Template(motion, Fraction(30000, 1001)), folder / "a.safetensors")
    theirs = {"rotation": "R", "expression": "exp", "scale": "scale", "translation": "t"}
    values = {field.name: getattr(motion, field.name) for field in fields(motion)}
    frames = [{theirs[name]: values[name][n : n + 1].numpy() for name in theirs} for n in range(3)]
    content = {"n_frames": 3, "output_fps": np.float64(25), "motion": frames, "c_eyes_lst": [], "c_lip_lst": []}
    pickles = {f"a{protocol}.pkl": pickle.dumps(content, protocol) for protocol in (0, 2, 5)}
    return pickles | {"a.safetensors": (folder / "a.safetensors").read_bytes()}


def settings() -> Samples:
    return {"config.json": b'{"flow_channels": 32, "mouth_channels": 96, "eye_blocks": 2, "num_mouth": 16}'}


def all_samples(kind: str, folder: Path) -> Samples:
    """Return the samples of a kind; some have to be written into a folder first."""
    makers: dict[str, Callable[[], Samples]] = {
        "pictures": pictures,
        "sounds": sounds,
        "videos": lambda: videos(folder),
        "texts": texts,
        "scripts": scripts,
        "keyframes": keyframes,
        "jobs": jobs,
        "templates": lambda: templates(folder),
        "settings": settings,
    }
    return makers[kind]()
