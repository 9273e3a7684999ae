"""Reduce pictures to 256 colours, as GIF needs, each with a palette of its own."""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph


class Palette:
    """FFmpeg's filters that choose the best palette of a picture and dither the picture to it."""

    def __init__(self, width: int, height: int, fps: Fraction) -> None:
        """Connect the filters for pictures of one size, RGB."""
        self._graph = Graph()
        source = self._graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=1 / fps)
        both = self._graph.add("split")
        choose = self._graph.add("palettegen", "stats_mode=single")
        apply = self._graph.add("paletteuse", "new=1")
        source.link_to(both)
        both.link_to(choose, 0, 0)
        both.link_to(apply, 1, 0)
        choose.link_to(apply, 0, 1)
        apply.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def reduce(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame with 256 colours at the same time."""
        self._graph.push(frame)
        reduced = self._graph.pull()
        reduced.pts, reduced.time_base = frame.pts, frame.time_base  # type: ignore[union-attr]
        return reduced  # type: ignore[return-value]
