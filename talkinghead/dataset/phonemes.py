"""Label speech with a phoneme recogniser (hama, Apache-2.0): the second target of the audio encoder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from audio2motion.config import FRAME_SAMPLES
from liveportrait.writing import save_tensors
from talkinghead.dataset.speech import decode_sound

STATES_PER_FRAME = 2
LONGEST = 500  # frames that are recognised together
LEAST_USED = 1e-4  # phonemes that take less of the time are dropped


def phonemes(
    data: Annotated[Path, typer.Option(help="Folder with speech_motion.npz.")],
    output: Annotated[Path, typer.Option(help="Safetensors file to write.")],
) -> None:
    """Label the speech that may train published weights with phonemes.

    The file holds probabilities for every 320 samples, blank first, shape (2 · frames, phonemes), float16; the rows of
    other clips are zero.
    """
    from hama import ASRModel

    with np.load(data / "speech_motion.npz") as z:
        offsets, permissive = z["offsets"], z["permissive"]
        sound = decode_sound(io.BytesIO(z["audio_ogg"].tobytes()), int(offsets[-1]) * FRAME_SAMPLES).numpy()
    teacher = ASRModel()
    labels = torch.zeros(int(offsets[-1]) * STATES_PER_FRAME, len(teacher.decoder_tokens), dtype=torch.float16)
    for clip in np.flatnonzero(permissive):
        for start in range(int(offsets[clip]), int(offsets[clip + 1]), LONGEST):
            end = min(start + LONGEST, int(offsets[clip + 1]))
            samples = sound[start * FRAME_SAMPLES : end * FRAME_SAMPLES].astype(np.float32) / 32768
            feeds = {"waveform": samples[None], "waveform_lengths": np.array([len(samples)])}
            (scores,) = teacher.session.run(["log_probs"], feeds)
            probabilities = np.exp(scores[0][: (end - start) * STATES_PER_FRAME])
            labels[start * STATES_PER_FRAME :][: len(probabilities)] = torch.from_numpy(probabilities).half()
    used = labels.float().mean(0)
    kept = [teacher.blank_id] + [n for n, u in enumerate(used.tolist()) if u > LEAST_USED and n != teacher.blank_id]
    output.parent.mkdir(parents=True, exist_ok=True)
    save_tensors({"phonemes": labels[:, kept].contiguous()}, output, replace=True)
    typer.echo(f"{output}: {len(kept)} kinds: {' '.join(teacher.decoder_tokens[n] for n in kept)}")
