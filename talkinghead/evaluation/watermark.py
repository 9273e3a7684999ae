"""Measure the watermark: what it survives, whether it is found where it is not, and how much it changes pictures."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import NormalDist
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from talkinghead.media.image import Picture, is_still, read_image
from talkinghead.media.video import VideoWriter, read_frames
from talkinghead.options import ProvenanceOptions
from talkinghead.provenance.detection import (
    IN_PLACE,
    LIKELY,
    SURE,
    Found,
    is_found,
    look_in_place,
    pool,
    search,
    search_everywhere,
)
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.pattern import Plane
from talkinghead.provenance.pictures import write_picture
from talkinghead.provenance.verify import EVERY
from talkinghead.provenance.watermark import Watermark

FRAMES = 80
"""Frames of a clip that are marked; it is searched in every `EVERY`th of them, as `verify` does."""

Row = dict[str, Any]
Attack = Callable[[list[Picture], Path, np.random.Generator], list[Picture]]


def measure_watermark(files: Iterable[Path], kept: Path, minutes: float, *, unmarked_only: bool) -> list[Row]:
    """Mark, attack and search pictures and clips one after the other.

    Args:
        files: Pictures and clips.
        kept: File of finished rows, a JSON object in every line; what is in it is not done again.
        minutes: Stop after this time.
        unmarked_only: Only search in the files as they are.

    Returns:
        One row for each file, those of earlier runs included.
    """
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done, until = {row["file"] for row in rows}, time.monotonic() + 60 * minutes
    for file in files:
        if str(file) in done or time.monotonic() > until:
            continue
        row: Row = {"file": str(file), "unmarked": _unmarked(_read(file)[::EVERY])}
        if not unmarked_only:
            row |= _judge(file)
        rows.append(row)
        with kept.open("a") as target:
            target.write(json.dumps(row) + "\n")
    return rows


def describe_watermark(rows: list[Row]) -> Iterator[str]:
    """Yield lines: a table of attacks for pictures and clips, and what was found in unmarked files."""
    marked = [row for row in rows if "attacks" in row]
    for kind in ("clips", "stills"):
        judged = [row for row in marked if row["kind"] == kind]
        if judged:
            yield f"{len(judged)} {kind}, PSNR {min(row['psnr'] for row in judged):.1f} dB or better"
            yield "| attack | found | payload read | payload wrong | lowest score |"
            yield "| --- | --- | --- | --- | --- |"
            for attack in judged[0]["attacks"]:
                yield _table_row(attack, [row["attacks"][attack] for row in judged])
    yield from _describe_unmarked([row["unmarked"] for row in rows])


def _describe_unmarked(rows: list[Row]) -> Iterator[str]:
    """Yield how often something was found in unmarked files, and how often that is to be expected."""
    in_place, scores = (np.array([row[name] for row in rows]) for name in ("in_place", "everywhere"))
    false = sum(row["found"] for row in rows)
    yield f"{len(rows)} unmarked: {false} false positives"
    yield f"in place: mean {in_place.mean():.2f}, standard deviation {in_place.std():.2f}, highest {in_place.max():.2f}"
    yield f"everywhere: mean {scores.mean():.2f}, highest {scores.max():.2f}"
    width = max(float(scores.std()), 1e-6) * np.sqrt(6) / np.pi
    middle = scores.mean() - np.euler_gamma * width
    sure, likely = (-np.expm1(-np.exp(-(limit - middle) / width)) for limit in (SURE, LIKELY))
    place = NormalDist().cdf(-IN_PLACE)
    searched = sure + likely * 2.0**-16
    yield f"expected rate: {place + searched:.1e}, {place:.1e} in place (normal) and {searched:.1e} everywhere (Gumbel)"


def _table_row(attack: str, found: list[Row]) -> str:
    counts = [sum(each[name] for each in found) for name in ("found", "read", "wrong")]
    shares = " | ".join(f"{count / len(found):.0%}" for count in counts)
    return f"| {attack} | {shares} | {min(each['score'] for each in found):.1f} |"


def _judge(file: Path) -> Row:
    """Mark one file as the product does, and attack it."""
    rng = np.random.default_rng(zlib.crc32(file.name.encode()))
    pictures, marks, still = _read(file), Marks(ProvenanceOptions(c2pa=False), file), is_still(file)
    error = Watermark(marks.payload).lay_on_picture(pictures[0]).astype(np.float32) - pictures[0]
    with TemporaryDirectory() as name:
        folder = Path(name)
        if still:
            write_picture(pictures[0], folder / "marked.jpg", marks)
            marked, attacks = [read_image(folder / "marked.jpg")], _STILLS
        else:
            marked, attacks = _coded(pictures, folder, 18, marks), _CLIPS
        found = {
            attack: _found(search(map(_gray, change(marked, folder, rng))), f"{marks.payload:016x}")
            for attack, change in attacks.items()
        }
    psnr = float(10 * np.log10(255**2 / np.mean(error**2)))
    return {"kind": "stills" if still else "clips", "psnr": psnr, "attacks": found}


def _unmarked(pictures: list[Picture]) -> Row:
    pooled = pool(map(_gray, pictures))
    assert pooled is not None  # every file has a picture
    in_place, everywhere = look_in_place(pooled), search_everywhere(pooled)
    is_there = is_found(in_place) or is_found(everywhere)
    return {"in_place": in_place.score, "everywhere": everywhere.score, "found": is_there}


def _found(found: Found, payload: str) -> Row:
    is_there = is_found(found)
    read = is_there and found.payload is not None
    return {
        "score": found.score,
        "found": is_there,
        "read": read and found.payload == payload,
        "wrong": read and found.payload != payload,
    }


def _read(file: Path) -> list[Picture]:
    if is_still(file):
        return [read_image(file)]
    return [frame.picture for frame in islice(read_frames(file), FRAMES)]


def _gray(picture: Picture) -> Plane:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _coded(pictures: list[Picture], folder: Path, crf: int, marks: Marks | None = None) -> list[Picture]:
    """Return frames after coding them with x264, as `speak` does."""
    file = folder / "coded.mp4"
    height, width = pictures[0].shape[:2]
    with VideoWriter(file, Fraction(25), (height, width), None, crf, overwrite=True, marks=marks) as writer:
        for picture in pictures:
            writer.write(picture)
    return [frame.picture for frame in read_frames(file)]


def _jpeg(picture: Picture, quality: int) -> Picture:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _half(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 4 * 2, height // 4 * 2), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _cropped(picture: Picture) -> Picture:
    """Cut a tenth off every side."""
    down, right = (side // 10 // 2 * 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[down:-down, right:-right])


def _screenshot(picture: Picture, rng: np.random.Generator) -> Picture:
    """Show a picture at another size in a window on a page."""
    ratio = rng.uniform(0.7, 1.3)
    shown = cv2.resize(
        picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    )
    height, width = shown.shape[:2]
    margins = rng.integers(0, [round(0.3 * height), round(0.6 * width)])
    page = np.full((round(1.3 * height), round(1.6 * width), 3), 240, np.uint8)
    page[margins[0] : margins[0] + height, margins[1] : margins[1] + width] = shown
    return page


_CLIPS: dict[str, Attack] = {
    "as written (crf 18)": lambda clip, folder, rng: clip[::EVERY],
    "x264 at crf 28": lambda clip, folder, rng: _coded(clip, folder, 28)[::EVERY],
    "half size, crf 23": lambda clip, folder, rng: _coded([*map(_half, clip)], folder, 23)[::EVERY],
    "a tenth off every side, crf 23": lambda clip, folder, rng: _coded([*map(_cropped, clip)], folder, 23)[::EVERY],
    "half size, crf 28": lambda clip, folder, rng: _coded([*map(_half, clip)], folder, 28)[::EVERY],
    "screenshot of a frame, PNG": lambda clip, folder, rng: [_screenshot(clip[len(clip) // 2], rng)],
    "screenshot of a frame, JPEG 80": lambda clip, folder, rng: [_jpeg(_screenshot(clip[len(clip) // 2], rng), 80)],
}
_STILLS: dict[str, Attack] = {
    "as written (JPEG 95)": lambda still, folder, rng: still,
    "JPEG 50": lambda still, folder, rng: [_jpeg(still[0], 50)],
    "half size, JPEG 80": lambda still, folder, rng: [_jpeg(_half(still[0]), 80)],
    "a tenth off every side, JPEG 80": lambda still, folder, rng: [_jpeg(_cropped(still[0]), 80)],
    "screenshot, PNG": lambda still, folder, rng: [_screenshot(still[0], rng)],
    "screenshot, JPEG 80": lambda still, folder, rng: [_jpeg(_screenshot(still[0], rng), 80)],
}
"""What is done to marked files, by name."""
