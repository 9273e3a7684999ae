"""Stand-ins for the networks that show what they were asked for: a pipeline's work can be read off its pictures."""

from dataclasses import replace

import numpy as np
import torch

from liveportrait import Motion, Portrait, PortraitModel, SpeechMotion
from talkinghead.face import Face
from talkinghead.face.mesh import LEFT_EYE, MOUTH_CORNERS, RIGHT_EYE
from talkinghead.models import Models

SIDE = 64


class GrayPortrait(PortraitModel):
    """Renders the lip ratio as a gray level (0.5 → 128) and counts what it did."""

    num_keypoints, crop_size, needs_landmarks, extracts_from_landmarks = 1, SIDE, True, True

    def set_precision(self, precision):
        pass

    def __init__(self):
        super().__init__()
        self.encoded, self.batches, self.anchors = [], [], []

    def encode(self, crop):
        self.encoded.append(crop)
        point = torch.zeros(1, 1, 3)
        return Portrait(point, Motion.still(1, 1), point, torch.zeros(1, 1), crop)

    def extract(self, crop):
        """Read the lip ratio that `BrightnessTracker` wrote."""
        lips = (crop.landmarks[:, 0, 2] / crop.landmarks[:, 1, 2]).clamp(0, 1)
        return replace(Motion.still(len(crop), 1), lip_ratio=lips[:, None])

    def driving_keypoints(self, portrait, driving, anchor, rules):
        self.batches.append(len(driving))
        self.anchors.append(anchor)
        return (driving.lip_ratio * rules.by_part().lips)[:, None].expand(-1, 1, 3)

    def speech_keypoints(self, portrait, speech_motion):
        self.batches.append(len(speech_motion))
        return speech_motion.lip_ratio[:, None].expand(-1, 1, 3)

    def edit(self, portrait, sliders, *, stitching=True):
        return torch.full((1, 1, 3), sliders.smile)

    def silence(self, portrait):
        return torch.full((1, 1, 3), 0.2)

    def render(self, portrait, x_d, dense_residual=None):
        return x_d[:, :1, :1, None].expand(-1, 3, SIDE, SIDE)


def speech_motion(num_frames, *, start=0, num_mouth=2):
    """Frame n has the lip ratio n / 100, all mouth coefficients n, brows -n."""
    n = torch.arange(start, start + num_frames, dtype=torch.float32)[:, None]
    return SpeechMotion(
        expression=torch.cat([n.expand(-1, num_mouth), -n], 1),
        lip_ratio=n / 100,
        eye_openness=torch.zeros(num_frames, 2),
        gaze_deg=n.expand(-1, 2),
        rotation=torch.eye(3).repeat(num_frames, 1, 1),
        translation=n.expand(-1, 3) / 100,
    )


class CountingVoice:
    """Generates `speech_motion` in parts of seven frames, whatever the sound."""

    num_keypoints, num_mouth = None, 2

    def __init__(self):
        self.seeds, self.samples = [], 0

    def stream(self, chunks, *, seed=0):
        self.seeds.append(seed)
        done, received = 0, 0
        for chunk in chunks:
            received += len(chunk)
            while received >= 640 * (done + 7):
                yield speech_motion(7, start=done)
                done += 7
        self.samples = received
        rest = -(-received // 640) - done
        if rest:
            yield speech_motion(rest, start=done)


def mesh_at(x, y, size):
    """Lay mesh points in a square around a centre, eyes above mouth."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 3)).astype(np.float32)
    for index, (px, py) in ((LEFT_EYE, (-0.2, -0.2)), (RIGHT_EYE, (0.2, -0.2)), (MOUTH_CORNERS, (0.0, 0.3))):
        points[list(index), :2] = px, py
    return points * size + np.array([x, y, 0], np.float32)


class BrightnessTracker:
    """Sees a face in every picture that is not dark, with lips as open as the picture is bright."""

    is_cut = False

    def __init__(self, detector=None):
        self.started = []

    def close(self):
        pass

    def start(self, picture, landmarks):
        self.started.append(landmarks)

    def track(self, picture):
        level = float(picture.mean())
        if level < 20:
            return None
        points = mesh_at(32, 24, 20)
        points[:2, 2] = level, 255
        return points


class TwoFaces:
    """Finds a small face at the left and a large one at the right of any picture."""

    def detect(self, picture, *, thorough=True, threshold=0.75):
        height, width = picture.shape[:2]
        return [
            Face(mesh_at(width * 0.25, height / 2, height * 0.15), height * 0.15, 0.9),
            Face(mesh_at(width * 0.75, height / 2, height * 0.2), height * 0.2, 0.9),
        ]


def fake_models():
    return Models(GrayPortrait(), CountingVoice(), TwoFaces(), torch.device("cpu"))
