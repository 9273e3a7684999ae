"""Show results: the source beside the video, which play together, and links to the files."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import quote

import talkinghead

_SHOWN_VIDEOS = {".mp4", ".webm", ".mov"}
_SHOWN_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif"}

_TOGETHER = "const b = this.closest('.pair').querySelector('.before video');"
_PLAY = f"{_TOGETHER} if (b) {{ b.currentTime = this.currentTime; b.play() }}"
_PAUSE = f"{_TOGETHER} if (b) b.pause()"
_SEEK = f"{_TOGETHER} if (b) b.currentTime = this.currentTime"


def address(file: Path | str) -> str:
    """Return where the page finds a file of the studio."""
    return f"/gradio_api/file={quote(str(file))}"


def pair(before: Path, summary: talkinghead.Summary) -> str:
    """Return the source beside the result."""
    shown = _before(before)
    left = f'<figure class="before">{shown}<figcaption>Before</figcaption></figure>' if shown else ""
    after = (
        f'<figure class="after">{_after(summary.file)}<figcaption>After: {_described(summary)}</figcaption></figure>'
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in summary.notes)
    return f'<div class="pair">{left}{after}</div>' + (f'<ul class="notes">{notes}</ul>' if notes else "")


def sound(file: str | None) -> str:
    """Return a player of an uploaded sound."""
    return f'<audio controls src="{address(file)}" aria-label="The voice"></audio>' if file else ""


def _before(file: Path) -> str:
    suffix, where = file.suffix.lower(), address(file)
    if suffix in _SHOWN_VIDEOS:
        return f'<video muted playsinline preload="auto" src="{where}" aria-label="The source"></video>'
    return f'<img src="{where}" alt="The source">' if suffix in _SHOWN_PICTURES else ""


def _after(file: Path) -> str:
    if file.suffix.lower() in _SHOWN_PICTURES:
        return f'<img src="{address(file)}" alt="The result">'
    captions = file.with_suffix(".vtt")
    track = f'<track default kind="captions" src="{address(captions)}" label="Captions">' if captions.exists() else ""
    return (
        f'<video controls playsinline preload="auto" src="{address(file)}" aria-label="The result"'
        f' onplay="{_PLAY}" onpause="{_PAUSE}" onseeking="{_SEEK}">{track}</video>'
    )


def _described(summary: talkinghead.Summary) -> str:
    size = f"{summary.width}×{summary.height}"
    text = size
    if summary.seconds:
        text = f"{summary.seconds:.1f} s, {size}, made in {summary.elapsed_seconds:.1f} s"
    files = [summary.file, *(summary.file.with_suffix(suffix) for suffix in (".srt", ".vtt"))]
    links = (f'<a href="{address(file)}" download="{file.name}">{file.name}</a>' for file in files if file.exists())
    return f"{text}. Save {', '.join(links)}"
