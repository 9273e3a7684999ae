"""Let a phoneme recogniser (hama, Apache-2.0) label the training speech: what the encoder learns beside the lips.

    python talkinghead/dataset/phonemes.py --data DATA --output runs/phonemes.safetensors

Only clips that may train weights which ship are labelled; the rows of the others are zero.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from audio2motion.training.speech_tracks import FRAME_SAMPLES, decode_sound

STATES_PER_FRAME = 2
LONGEST = 500  # frames that are recognised together
LEAST_USED = 1e-4  # phonemes that take less of the time are dropped


def main(
    data: Annotated[Path, typer.Option(help="Folder with speech_motion.npz.")],
    output: Annotated[Path, typer.Option(help="Safetensors file to write.")],
) -> None:
    """Write probabilities of phonemes for every 320 samples, blank first, shape (2 · frames, phonemes), float16."""
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
            heard = np.exp(scores[0][: (end - start) * STATES_PER_FRAME])
            labels[start * STATES_PER_FRAME :][: len(heard)] = torch.from_numpy(heard).half()
    used = labels.float().mean(0)
    kept = [teacher.blank_id] + [n for n, u in enumerate(used.tolist()) if u > LEAST_USED and n != teacher.blank_id]
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file({"phonemes": labels[:, kept].contiguous()}, output)
    print(f"{output}: {len(kept)} kinds: {' '.join(teacher.decoder_tokens[n] for n in kept)}")


if __name__ == "__main__":
    typer.run(main)
