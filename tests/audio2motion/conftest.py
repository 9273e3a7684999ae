"""A tiny random model and a few synthetic speakers."""

import pytest
import torch

from audio2motion.config import AudioToMotionConfig, EncoderConfig
from audio2motion.model import AudioToMotion
from audio2motion.training.data import SpeechClips

TINY = AudioToMotionConfig(
    encoder=EncoderConfig(
        conv_dim=(16, 16),
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        feed_forward_size=16,
        position_kernel=5,
        dropout=0.1,
    ),
    num_mouth=3,
    num_brows=2,
    head_size=16,
    head_dilations=(1,),
    num_life_clips=2,
    num_life_frames=400,
)


@pytest.fixture
def tiny() -> AudioToMotion:
    torch.manual_seed(0)
    model = AudioToMotion(TINY).eval()
    time = torch.arange(400)[:, None] / 25
    model.life_tracks.copy_(2 * torch.sin(time * torch.arange(1, 8)))
    model.brow_lift.copy_(torch.tensor([1.0, 0.0]))
    # The first coefficient opens the mouth, the second widens it.
    model.mouth.readout[0, :-1] = 0.1
    model.mouth.readout[1, -1] = 0.1
    model.mouth.rest.fill_(0.1)
    model.mouth.rest[-1] = 0.7
    return model


@pytest.fixture
def voice():
    def make(seconds: float, seed: int = 0) -> torch.Tensor:
        """Hiss that swells and fades four times a second, like syllables."""
        generator = torch.Generator().manual_seed(seed)
        time = torch.arange(int(seconds * 16_000)) / 16_000
        return 0.2 * torch.randn(len(time), generator=generator) * torch.sin(4 * torch.pi * time).square()

    return make


@pytest.fixture
def clips(voice) -> SpeechClips:
    """Two speakers whose mouths open as their voices swell."""
    frames = 200
    sound = voice(frames / 25)
    level = sound.unfold(0, 640, 640).square().mean(1).sqrt()
    mouth = torch.stack([10 * level - 1, torch.zeros(frames), torch.zeros(frames)], 1)
    loud = (level > 0.1).float().repeat_interleave(2)
    phonemes = torch.stack([1 - loud, loud], 1).half()
    return SpeechClips(
        waveform=(sound * 32767).to(torch.int16),
        mouth=mouth,
        bounds=[(0, 90), (90, 120), (120, 200)],
        speakers=[0, 1, 1],
        delays=[0, 0, 0],
        phonemes=phonemes,
    )
