"""Everything that makes the pictures of a shot, and the hash of everything that decides them."""

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
from talkinghead.narration.animation import animate_shot
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


@dataclass(frozen=True)
class ShotRenderer:
    """A narration, ready to be filmed shot by shot.

    Attributes:
        script: What is said.
        layout: Where everything lies.
        placed: Who is seen, by role.
        portraits: The file of each role's portrait.
        slides: The slide of each chapter; empty where there are none.
        canvas: What lies under everything where there are no slides; None for nothing.
        models: What hears and renders.
        options: What the user wants.
        fps: Pictures a second.
        kind: How the pictures are coded.
        painter: Draws captions, if they are to be drawn.
        references: What clips lend their head motion, by their names.
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

    def seen(self, shot: Shot) -> list[str]:
        """Return the roles that a shot shows."""
        return [shot.line.speaker] if self.layout.cut else list(self.placed)

    def render(self, shot: Shot) -> Iterator[Picture]:
        """Yield the pictures of a shot, RGB, or RGBA where the format has alpha."""
        names = self.seen(shot)
        placed = [self.placed[name] for name in names]
        scene = ShotCompositor(self.layout, self._ground(shot))
        acts = zip(*(self._portrait_pictures(shot, name) for name in names), strict=True)
        backdrops = zip(*(self._wall(actor, shot) for actor in placed), strict=True)
        captions = self._captions(shot)
        for pictures, behind, text in zip(acts, backdrops, captions, strict=False):
            composed = scene.compose(placed, pictures, behind)
            yield self.painter.paint(composed, text) if self.painter else composed

    def _portrait_pictures(self, shot: Shot, name: str) -> Iterator[Picture]:
        """Yield the pictures of one role's portrait."""
        listens = name != shot.line.speaker or not shot.line.text
        reference = self.references.get(self._clip(shot))
        speech_motion, pose = animate_shot(
            shot,
            self.fps,
            name,
            listens=listens,
            models=self.models,
            options=self.options.motion,
            reference=reference,
        )
        return animate(self.placed[name].source, speech_motion, pose, self.models, self.options.shared)

    def _clip(self, shot: Shot) -> str:
        """Return the clip that lends a shot its head motion, or nothing."""
        return str(shot.line.delivery.strengths.get("reference", self.options.motion.reference))

    def _ground(self, shot: Shot) -> Iterator[Picture]:
        if self.slides:
            return repeat(draw_slide(read_image(self.slides[shot.line.chapter]), self.layout, alpha=self.kind.alpha))
        if self.canvas:
            return self.canvas.pictures(self.layout.size, shot.start, self.fps)
        return repeat(blank(self.layout, alpha=self.kind.alpha))

    def _wall(self, actor: PlacedSource, shot: Shot) -> Iterator[Picture | None]:
        if actor.background is None:
            return repeat(None)
        return actor.background.pictures((actor.box.height, actor.box.width), shot.start, self.fps)

    def _captions(self, shot: Shot) -> Iterator[str]:
        """Yield what is to be read in each frame."""
        cues = self._cues(shot) if self.painter else []
        for number in range(shot.start, shot.end):
            middle = (number + Fraction(1, 2)) / self.fps
            yield next((cue.text for cue in cues if cue.start <= middle < cue.end), "")

    def _cues(self, shot: Shot) -> list[Cue]:
        return list(cues_of([shot], self.fps))

    def key(self, shot: Shot, fingerprint: str) -> str:
        """Return the hash of everything that decides the pictures of a shot, and how they are coded.

        Args:
            shot: The shot; its place in time counts only where a video is behind it.
            fingerprint: Of the networks.
        """
        names = self.seen(shot)
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
            canvas=self._ground_identity(shot),
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
        actor, speaker = self.placed[name], self.script.speakers[name]
        backdrop = actor.background and [
            actor.background.identity,
            actor.background.place_in_time(shot.start, self.fps),
        ]
        return [
            name,
            hash_files([self.portraits[name]]),
            speaker.face,
            asdict(self.options.crop),
            asdict(actor.box),
            backdrop,
        ]

    def _ground_identity(self, shot: Shot) -> Any:
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
