"""A source video that gets a new voice: head, eyes and light stay, the mouth is replaced frame by frame.

The video is read twice. First its face is tracked (`face_track`), so that the mouth's shape can be averaged over time,
the best view of the teeth chosen, and a loss of the face blended out before it begins. Then it is played.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from liveportrait import Motion, Portrait
from talkinghead.face import PasteBack
from talkinghead.face.crop import Array, cut, face_rect
from talkinghead.face.paste import overlap_mask
from talkinghead.face.tone import ToneFinder
from talkinghead.host.isolation import own_settings
from talkinghead.inputs.option_values import Trim
from talkinghead.media.image import Picture, limit_size
from talkinghead.media.playback import play
from talkinghead.media.progress import no_progress
from talkinghead.media.video import VideoFile
from talkinghead.models import Models
from talkinghead.options import CropOptions
from talkinghead.source.face_track import FaceTrack, quiet_motion, track_face
from talkinghead.source.image import SourceFrame, encode, teeth_of
from talkinghead.source.mouth_area import cover_mouth, mouth_mask
from talkinghead.source.video import VideoSource, longest_side, open_video_sources


@dataclass(frozen=True)
class DubbedVideo:
    """A source video and the face that gets a new voice.

    Attributes:
        source: The video and the face to track.
        track: The face in every frame.
        quiet: Its motion with a silent mouth, or None.
        mouth: The frame that shows its teeth best, or None if each frame shows its own.
        order: The frames to show.
    """

    source: VideoSource
    track: FaceTrack
    quiet: Motion | None
    mouth: Portrait | None
    order: Sequence[int]

    still = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the rendered pictures."""
        return self.source.size

    def source_frames(self) -> Iterator[SourceFrame]:
        """Yield the frames in their order; those that are not dubbed have no portrait."""
        teeth, tones = self.source.options.teeth, ToneFinder()
        for n, picture in zip(self.order, _pictures(self.source, self.order), strict=True):
            if n in self.track.cuts:
                tones = ToneFinder()
            if not self.track.share[n]:
                yield self.source.unchanged(picture)
                continue
            source = self._crop(picture, self.track.points[n], teeth, tones)
            teeth = teeth_of(source.portrait)
            yield source

    def notes(self) -> tuple[str, ...]:
        """Return remarks about the frames."""
        return self.track.notes

    def face_center(self) -> tuple[float, float]:
        """Return the usual (x, y) of the face in the pictures."""
        height, width = self.size
        if self.source.options.face_only:
            return width / 2, height / 2
        x, y = np.median(self.track.points[..., :2].mean(1), axis=0)
        return float(x), float(y)

    def _crop(self, picture: Picture, points: Array, teeth: int | None, tones: ToneFinder) -> SourceFrame:
        source = self.source
        frame = source.crop_around(picture, points)
        shown = picture if self.mouth is None else cover_mouth(picture, points)
        portrait = replace(encode(shown, frame, points, source.models, teeth=teeth), mouth=self.mouth)
        mask = mouth_mask(frame, points)
        if source.others:
            mask = np.minimum(mask, overlap_mask(frame, face_rect(points, 1.0, 0.0), source.others, len(mask)))
        paste, tone = PasteBack(picture, frame, mask=mask).place, tones.find(picture, frame)
        if not source.options.face_only:
            return SourceFrame(portrait, paste, tone)
        window = frame.inside(picture.shape).resized(source.size[0])
        return SourceFrame(portrait, lambda crop, background: cut(paste(crop, background), window), tone)


def open_dubbed(file: VideoFile, models: Models, options: CropOptions) -> DubbedVideo:
    """Prepare the only face of a video, or the one that the options name, to be dubbed from beginning to end.

    Raises:
        PortraitError: The video shows no face, or several to choose from.
    """
    (source,) = open_video_sources(file, models, options, [options.face], guess=False)
    return prepare_dubbed(source, track_face(source, Trim(Fraction(0), None), None, no_progress), ())


@own_settings()
def prepare_dubbed(source: VideoSource, track: FaceTrack, order: Sequence[int]) -> DubbedVideo:
    """Work out what dubbing needs to know of the whole video.

    Args:
        source: The video and the face.
        track: From `track_face`.
        order: The frames to show.
    """
    quiet = quiet_motion(track, source.models.portrait, source.file.fps)
    mouth = None
    if track.teeth is not None and quiet is not None:  # other models paint the teeth of each frame
        (picture,), points = _pictures(source, [track.teeth]), track.points[track.teeth]
        frame = source.crop_around(picture, points)
        mouth = encode(picture, frame, points, source.models)
    return DubbedVideo(source, track, quiet, mouth, order)


def _pictures(source: VideoSource, order: Sequence[int]) -> Iterator[Picture]:
    """Yield frames of a video at the size in which they are rendered."""
    return (limit_size(picture, longest_side(source.options)) for picture in play(source.file, order))
