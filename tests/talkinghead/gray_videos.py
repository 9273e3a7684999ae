"""Videos of gray frames, in which the stand-ins of `fake_models` find faces."""

from fractions import Fraction

import av
import numpy as np

from talkinghead.media.video import VideoWriter


def gray_video(file, levels, fps=Fraction(25), sound=None, size=(48, 64)):
    """Write a frame of each gray level; a dark one shows no face."""
    with VideoWriter(file, fps, size, sound, crf=1) as writer:
        for level in levels:
            writer.write(np.full((*size, 3), level, np.uint8))
    return file


def unsteady_video(file, times, rate=25):
    """Write frames at times counted in 25ths of a second, of gray level 40 + 3 · time; the header states the rate."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + 3 * time, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def gray_level(frame):
    """Return the gray level in the middle of a frame."""
    return round(float(frame[len(frame) // 2, frame.shape[1] // 2].mean()))


def gray_levels(frames):
    return [gray_level(frame) for frame in frames]
