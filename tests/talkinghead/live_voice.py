"""A stand-in for the speech model of live sessions: lips are open exactly in the frames that have sound."""

import torch

from audio2motion.live import LiveMotion
from audio2motion.streaming import AHEAD, HOP
from liveportrait import SpeechMotion


class FrameListener:
    """Returns features like `VoiceStream`, as many at a time and with its look-ahead, in no time."""

    def __init__(self):
        self._kept = torch.zeros(0)

    def push(self, samples):
        self._kept = torch.cat([self._kept, samples])
        parts = []
        while len(self._kept) >= 640 * (HOP + AHEAD):
            parts += self._drop(HOP)
        return parts

    def finish(self):
        return self._drop(-(-len(self._kept) // 640))

    def _drop(self, count):
        frames = torch.nn.functional.pad(self._kept, (0, -len(self._kept) % 640)).view(-1, 640)[:count]
        self._kept = self._kept[640 * count :]
        is_open = (frames.abs().mean(1, keepdim=True) > 0.02).float()
        return [torch.cat([is_open, 80 * is_open - 80], 1)] if count else []


class LiveVoice:
    """Mouth coefficient and lip ratio are 1 for sound and 0 for silence; nothing else moves."""

    num_keypoints, num_mouth = None, 1

    def listen(self):
        return FrameListener()

    def live(self, *, seed=0):
        return LiveMotion(torch.tensor([[0.0, -80.0]]), self._generate)

    def _generate(self, features):
        return SpeechMotion(
            expression=features[:, :1],
            lip_ratio=features[:, :1],
            eye_openness=torch.ones(1, 2),
            gaze_deg=torch.zeros(1, 2),
            rotation=torch.eye(3)[None],
            translation=torch.zeros(1, 3),
        )
