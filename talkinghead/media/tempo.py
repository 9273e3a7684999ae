"""Change the tempo of sound without changing its pitch."""

from __future__ import annotations

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def change_tempo(samples: Samples, rate: int, ratio: float) -> Samples:
    """Change the tempo of a sound.

    Args:
        samples: Mono, shape (N,).
        rate: Samples per second.
        ratio: The speed, 0.5 to 2; values above 1 are faster.

    Returns:
        About N / ratio samples.
    """
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono")
    tempo, sink = graph.add("atempo", f"{ratio:.6f}"), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), "flt", "mono")
    frame.sample_rate, frame.pts = rate, 0
    source.push(frame)
    source.push(None)
    parts = []
    while True:
        try:
            parts.append(sink.pull().to_ndarray()[0])  # type: ignore[union-attr]
        except (BlockingIOError, EOFError):
            break
    return np.concatenate([np.zeros(0, np.float32), *parts])
