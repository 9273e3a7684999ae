"""Track the face of a source video from its beginning to its end, before it is dubbed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from liveportrait import Crop, Motion, PortraitModel
from liveportrait.regions import FACE_MESH
from liveportrait.retarget import lip_ratio
from talkinghead.driver.lip_size import lip_gain
from talkinghead.face import NoFaceError
from talkinghead.face.crop import Array
from talkinghead.host.isolation import own_settings
from talkinghead.inputs.option_values import Trim
from talkinghead.media.playback import frames_within
from talkinghead.media.progress import READING, Progress
from talkinghead.source.mouth_area import teeth_score
from talkinghead.source.mouth_cover import SKIN, covered_frames, skin_colors
from talkinghead.source.video import VideoSource, VideoSourceLog

_FADE = 4
"""Frames over which the new mouth comes and goes where the face is lost, and at the ends of the dubbed part."""

_MAX_GAP = 2
"""Longest gap in frames over which the face is interpolated."""

_LEAST_TEETH = 0.0003
"""Least `teeth_score` of a mouth that is open enough to show its teeth."""

_NO_COLORS = np.zeros((len(SKIN), 3), np.float32)


@dataclass(frozen=True)
class FaceTrack:
    """A face in every frame of a video.

    Attributes:
        points: Face-mesh points in pixels of the frames, shape (N, 478, 3); a near frame's where the face is lost.
        share: How far the mouth follows the voice, from 0 where the face is lost or not dubbed to 1, shape (N,).
        cuts: Indices of the first frames after cuts.
        teeth: Index of the frame that shows the teeth best, or None if the mouth never opens.
        lip_gain: How far the person opens the mouth, relative to what a voice alone tells.
        notes: Remarks for the user.
    """

    points: Array
    share: Array
    cuts: tuple[int, ...]
    teeth: int | None
    lip_gain: float
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.share)


@own_settings()
def track_face(source: VideoSource, part: Trim, count: int | None, progress: Progress) -> FaceTrack:
    """Track a face through a video; pictures are not kept.

    Args:
        source: The video and the face.
        part: The part to dub.
        count: The most frames to read; None for all.
        progress: Wraps the frames while they are read.

    Raises:
        NoFaceError: No frame of the part shows the face.
    """
    log, found, colors, teeth = VideoSourceLog(), [], [], []
    for frame in islice(progress(source.tracked_frames(), source.file.num_frames, READING), count):
        log.add(frame)
        found.append(frame.points)
        if frame.points is None:
            colors.append(_NO_COLORS)
            teeth.append(0.0)
            continue
        colors.append(skin_colors(frame.picture, frame.points))
        teeth.append(teeth_score(frame.picture, frame.points, np.nanmedian(colors[-1], axis=0)))
    fps, name = source.file.fps, str(source.file.file)
    dubbed = frames_within(part.start, part.end, fps, len(found))
    seen = np.array([points is not None for points in found])
    if not seen[dubbed.start : dubbed.stop].any():
        raise NoFaceError(f"{name}: no face in the part to dub; give another --from and --to")
    covered = covered_frames(np.stack(colors), seen, log.cuts)
    notes = (*log.notes(name, fps), *_cover_notes(np.flatnonzero(covered), len(found), name, fps))
    points = _filled(found, seen, log.cuts)
    scores = np.where(covered, 0.0, teeth)
    best = int(scores.argmax()) if scores.max() > _LEAST_TEETH else None
    shown = seen & ~covered
    lips = lip_ratio(torch.from_numpy(points[shown]), FACE_MESH)
    return FaceTrack(points, fade(shown, dubbed), tuple(log.cuts), best, lip_gain(lips, float(fps)), notes)


def _cover_notes(covered: NDArray[np.int_], count: int, name: str, fps: Fraction) -> tuple[str, ...]:
    """Return a remark for the user about frames in which the mouth is covered."""
    if not len(covered):
        return ()
    first = float(int(covered[0]) / fps)
    return (
        f"{name}: something is in front of the mouth in {len(covered)} of {count} frames, first at {first:.1f} s: "
        "these frames are unchanged",
    )


def _filled(found: list[Array | None], seen: NDArray[np.bool_], cuts: list[int]) -> Array:
    """Interpolate short gaps and mark them as seen, in place; elsewhere repeat the points of the nearest frame."""
    known = np.flatnonzero(seen)
    points = np.stack([found[n] for n in known])  # type: ignore[arg-type]
    after = np.searchsorted(known, np.arange(len(found))).clip(max=len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(known[before] - np.arange(len(found))) < np.abs(known[after] - np.arange(len(found)))
    filled = points[np.where(nearer, before, after)]
    for a, b in pairwise(known):
        if 1 < b - a <= _MAX_GAP + 1 and not any(a < cut <= b for cut in cuts):
            for n in range(a + 1, b):
                share = np.float32((n - a) / (b - a))
                filled[n] = filled[a] + share * (filled[b] - filled[a])
                seen[n] = True
    return filled


def fade(seen: NDArray[np.bool_], dubbed: range) -> Array:
    """Return how far the mouth follows the voice in each frame, shape (N,).

    Args:
        seen: Whether each frame shows the face.
        dubbed: The frames to dub.
    """
    within = seen.copy()
    within[: dubbed.start] = within[dubbed.stop :] = False
    left = np.flatnonzero(~within)
    if not len(left):
        return np.ones(len(seen), np.float32)
    n = np.arange(len(seen))
    after = left[np.searchsorted(left, n).clip(max=len(left) - 1)]
    before = left[(np.searchsorted(left, n, "right") - 1).clip(min=0)]
    return (np.minimum(np.abs(n - after), np.abs(n - before)) / _FADE).clip(0, 1).astype(np.float32)


def quiet_motion(track: FaceTrack, model: PortraitModel, fps: Fraction) -> Motion | None:
    """Return the face's motion with a silent mouth, frame by frame; None if the model does not need it."""
    if not model.extracts_from_landmarks:
        return None
    scenes: list[Motion] = []
    for start, end in zip((0, *track.cuts), (*track.cuts, len(track)), strict=True):
        points = torch.from_numpy(track.points[start:end])
        motion = model.extract(Crop(torch.zeros(len(points), 3, 1, 1), points))
        quiet = model.quiet_motion(motion, float(fps))
        if quiet is None:
            return None
        scenes.append(quiet)
    return Motion.cat(scenes)
