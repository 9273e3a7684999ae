"""Render the pictures of a shot, and hash everything that determines them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any

import torch

from talkinghead.driver.reference import Reference
from talkinghead.media.formats import Format
from talkinghead.media.image import Picture, read_image
from talkinghead.models import Models
from talkinghead.narration.animation import animate_shot, speak_shot_in_video
from talkinghead.narration.background import Background
from talkinghead.narration.caption_painter import CaptionPainter
from talkinghead.narration.captions import Cue, cues_of
from talkinghead.narration.compositor import PlacedSource, ShotCompositor, blank, draw_slide
from talkinghead.narration.layouts import Layout
from talkinghead.narration.options import NarrationOptions
from talkinghead.narration.script import Script
from talkinghead.narration.timeline import Shot
from talkinghead.narration.work import VERSION, hash_files, key_of
from talkinghead.pipeline import animate
from talkinghead.source.dubbed import DubbedVideo


@dataclass(frozen=True)
class ShotRenderer:
    """Renders the shots of a narration.

    Attributes:
        script: The script.
        layout: The layout of the picture.
        placed: The speakers' portraits, by name.
        portraits: The files of the portraits, by the speakers' names.
        slides: The slide of each chapter; empty if there are no slides.
        canvas: The background of the whole picture if there are no slides; None for a plain one.
        models: The loaded networks.
        options: The user's options.
        fps: Frames per second.
        kind: The format of the pictures.
        painter: Draws captions into the pictures; None for no captions.
        references: The reference clips' motion, by file name.
    """

    script: Script
    layout: Layout
    placed: Mapping[str, PlacedSource]
    portraits: Mapping[str, Path]
    slides: Sequence[Path]
    canvas: Background | None
    models: Models
    options: NarrationOptions
    fps: Fraction
    kind: Format
    painter: CaptionPainter | None
    references: Mapping[str, Reference] = field(default_factory=dict)

    def visible(self, shot: Shot) -> list[str]:
        """Return the speakers that a shot shows."""
        return [shot.line.speaker] if self.layout.cut else list(self.placed)

    def render(self, shot: Shot) -> Iterator[Picture]:
        """Yield the pictures of a shot, RGB, or RGBA if the format has alpha."""
        names = self.visible(shot)
        placed = [self.placed[name] for name in names]
        compositor = ShotCompositor(self.layout, self._canvas(shot))
        portraits = zip(*(self._portrait_pictures(shot, name) for name in names), strict=True)
        backdrops = zip(*(self._backdrops(each, shot) for each in placed), strict=True)
        captions = self._captions(shot)
        for pictures, behind, text in zip(portraits, backdrops, captions, strict=False):
            composed = compositor.compose(placed, pictures, behind)
            yield self.painter.paint(composed, text) if self.painter else composed

    def _portrait_pictures(self, shot: Shot, name: str) -> Iterator[Picture]:
        """Yield the animated pictures of one speaker's portrait."""
        listens = name != shot.line.speaker or not shot.line.text
        source = self.placed[name].source
        if isinstance(source, DubbedVideo):
            return speak_shot_in_video(
                source, shot, self.fps, name, listens=listens, models=self.models, options=self.options.motion
            )
        reference = self.references.get(self._clip(shot))
        speech_motion, to_keypoints = animate_shot(
            shot,
            self.fps,
            name,
            listens=listens,
            models=self.models,
            options=self.options.motion,
            reference=reference,
        )
        return animate(source, speech_motion, to_keypoints, self.models, self.options.shared)

    def _clip(self, shot: Shot) -> str:
        """Return the file name of a shot's reference clip, or an empty string."""
        return str(shot.line.delivery.strengths.get("reference", self.options.motion.reference))

    def _canvas(self, shot: Shot) -> Iterator[Picture]:
        if self.slides:
            return repeat(draw_slide(read_image(self.slides[shot.line.chapter]), self.layout, alpha=self.kind.alpha))
        if self.canvas:
            return self.canvas.pictures(self.layout.size, shot.start, self.fps)
        return repeat(blank(self.layout, alpha=self.kind.alpha))

    def _backdrops(self, placed: PlacedSource, shot: Shot) -> Iterator[Picture | None]:
        if placed.background is None:
            return repeat(None)
        return placed.background.pictures((placed.box.height, placed.box.width), shot.start, self.fps)

    def _captions(self, shot: Shot) -> Iterator[str]:
        """Yield the caption of each frame."""
        cues = self._cues(shot) if self.painter else []
        for number in range(shot.start, shot.end):
            middle = (number + Fraction(1, 2)) / self.fps
            yield next((cue.text for cue in cues if cue.start <= middle < cue.end), "")

    def _cues(self, shot: Shot) -> list[Cue]:
        return list(cues_of([shot], self.fps))

    def key(self, shot: Shot, fingerprint: str) -> str:
        """Return the hash of everything that determines the encoded pictures of a shot.

        Args:
            shot: The shot; its start time counts only if a background is a video.
            fingerprint: The hash of the networks.
        """
        names = self.visible(shot)
        begins = shot.start / self.fps
        return key_of(
            part="pictures",
            version=[VERSION, version("talkinghead"), fingerprint],
            text=shot.line.text,
            speaker=shot.line.speaker,
            sound=hash_files([shot.file] if shot.file else []),
            timing=[shot.frames, str(shot.lead), str(shot.seconds), str(self.fps)],
            strengths=dict(shot.line.delivery.strengths),
            keyframes=[(str(time), dict(sliders)) for time, sliders in shot.line.delivery.keyframes.items()],
            motion=asdict(self.options.motion),
            reference=hash_files([Path(clip)] if (clip := self._clip(shot)) else []),
            layout=asdict(self.layout),
            placed=[self._identity(name, shot) for name in names],
            canvas=self._canvas_identity(shot),
            captions=[(cue.text, str(cue.start - begins), str(cue.end - begins)) for cue in self._cues(shot)]
            if self.painter
            else None,
            drawing=asdict(self.options.captions) if self.painter else None,
            coding=[
                asdict(self.kind),
                self.options.render.crf,
                self.options.render.batch_size,
                self.models.device.type,
            ],
        )

    def _identity(self, name: str, shot: Shot) -> list[Any]:
        placed, speaker = self.placed[name], self.script.speakers[name]
        backdrop = placed.background and [
            placed.background.identity,
            placed.background.place_in_time(shot.start, self.fps),
        ]
        return [
            name,
            hash_files([self.portraits[name]]),
            speaker.face,
            asdict(self.options.crop),
            asdict(placed.box),
            backdrop,
            shot.start if isinstance(placed.source, DubbedVideo) else None,  # a video plays on from shot to shot
        ]

    def _canvas_identity(self, shot: Shot) -> Any:
        if self.slides:
            return hash_files([self.slides[shot.line.chapter]])
        return self.canvas and [self.canvas.identity, self.canvas.place_in_time(shot.start, self.fps)]


def fingerprint_of(models: Models) -> str:
    """Return a hash of the networks' weights."""
    digest = hashlib.sha256()
    for network in (models.portrait, models.voice):
        for name, value in network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
