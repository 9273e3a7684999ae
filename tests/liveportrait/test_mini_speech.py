"""Speech motion on the embedded model at the greatest strengths."""

import torch

from liveportrait import SpeechMotion
from liveportrait.mini.face_model import embedded_face_model
from liveportrait.mini.limits import limited_speech
from liveportrait.mini.regions import MOUTH_CORNERS, rows
from liveportrait.mini.speech import speaking_face


def test_mouths_of_any_face_open_as_mouths_do():
    """Strength 2 in the voice of somebody who opens the mouth 1.8 times as far as others, on faces of all kinds."""
    face = embedded_face_model()
    torch.manual_seed(1)
    heads = face.mean + face.express(torch.randn(12, len(face.expression_basis)))
    spoken = torch.randn(12, len(face.expression_basis))
    spoken[:, face.num_mouth :] = 0
    assert torch.equal(limited_speech(face, 0.5 * spoken), 0.5 * spoken)
    speech = SpeechMotion(
        expression=3.6 * spoken,
        lip_ratio=torch.zeros(12, 1),
        eye_openness=torch.ones(12, 2),
        gaze_deg=torch.tensor([14.0, 14.0]).expand(12, 2),
        rotation=torch.eye(3).expand(12, 3, 3),
        translation=torch.zeros(12, 3),
    )
    for head in heads:
        rest = face.close_lips(head[None])
        moved = speaking_face(face, head[None], speech)
        assert (moved - rest).norm(dim=-1).max() < 0.8
        assert face.lip_gaps(moved).max() < 0.8
        assert (moved[:, rows(MOUTH_CORNERS)[1], 0] - moved[:, rows(MOUTH_CORNERS)[0], 0]).min() > 0.25
