"""Code pictures and sound into one mp4: H.264 and AAC, woven as they come, marked as AI-generated."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from talkinghead.media.audio import Sound, stream_part
from talkinghead.media.image import Picture

PROVENANCE = {
    "comment": "AI-generated: a portrait animated by Talkinghead. What it shows was not filmed.",
    "ai_generated": "true",
    "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
}
"""Tags of every file; the source type is IPTC's term for media that a trained model made."""

_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_AAC_FRAME = 1024
_AAC_BITS_PER_CHANNEL = 96_000
_THREADS = 2


class Encoder:
    """An mp4 in the making."""

    def __init__(self, file: Path, fps: Fraction, size: tuple[int, int], sound: Sound | None, crf: int) -> None:
        """Open the file.

        Args:
            file: Where it is written.
            fps: Pictures a second.
            size: (height, width) of the pictures; odd ones are grown by repeating the last row or column.
            sound: What to code beside them, at its own rate and channels wherever AAC knows them.
            crf: Quality of x264, 0 to 51, lower is better.
        """
        self._fps, self._count = fps, 0
        options = {"movflags": "+faststart+use_metadata_tags"}
        self._container = av.open(f"file:{file}", "w", format="mp4", options=options)
        self._container.metadata.update({**PROVENANCE, "generator": f"talkinghead {version('talkinghead')}"})
        self._video = self._add_video(size, crf)
        self._audio = self._add_audio(sound) if sound else None
        self._pending = self._sound_frames(sound, self._audio) if sound and self._audio else iter(())
        self._samples = 0

    def encode(self, picture: Picture) -> None:
        """Add one picture, shape (H, W, 3), and the sound that belongs to it.

        Raises:
            OSError: It cannot be written.
        """
        frame = av.VideoFrame.from_ndarray(_make_even(picture), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        frame.pts, frame.time_base = self._count, 1 / self._fps
        self._count += 1
        self._container.mux(self._video.encode(frame))
        self._encode_sound(self._count / self._fps)

    def finish(self) -> None:
        """Code what is left of the sound and complete the file.

        Raises:
            OSError: It cannot be written.
        """
        self._container.mux(self._video.encode(None))
        self._encode_sound(None)
        if self._audio:
            self._container.mux(self._audio.encode(None))
        self._container.close()

    def close(self) -> None:
        """Let go of the file; unless it was finished, what it holds is of no use."""
        self._pending = iter(())
        self._container.close()

    def _add_video(self, size: tuple[int, int], crf: int) -> VideoStream:
        coding = {"crf": str(crf), "preset": "veryfast"}
        stream: VideoStream = self._container.add_stream("libx264", rate=self._fps, options=coding)  # type: ignore[assignment]
        stream.height, stream.width = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / self._fps
        context = stream.codec_context
        context.thread_count = _THREADS
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
        return stream

    def _add_audio(self, sound: Sound) -> AudioStream:
        rate = next((rate for rate in _AAC_RATES if rate >= sound.rate), _AAC_RATES[-1])
        layout = _AAC_LAYOUTS.get(sound.channels, "stereo")
        return self._container.add_stream(
            "aac", rate=rate, layout=layout, bit_rate=_AAC_BITS_PER_CHANNEL * sound.channels
        )  # type: ignore[return-value]

    def _sound_frames(self, sound: Sound, stream: AudioStream) -> Iterator[av.AudioFrame]:
        context = stream.codec_context
        return stream_part(sound, context.sample_rate, context.layout.name, _AAC_FRAME)

    def _encode_sound(self, until: Fraction | None) -> None:
        """Code sound up to a time in seconds, or all that is left."""
        if self._audio is None:
            return
        rate = self._audio.codec_context.sample_rate
        while until is None or Fraction(self._samples, rate) < until:
            frame = next(self._pending, None)
            if frame is None:
                return
            frame.pts, frame.time_base = self._samples, Fraction(1, rate)
            self._samples += frame.samples
            self._container.mux(self._audio.encode(frame))


def _make_even(picture: Picture) -> Picture:
    """Repeat the last row or column of odd pictures: H.264 halves the resolution of colour."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return np.ascontiguousarray(picture)
