"""Fitting the face model: little footage is enough for a model of finite numbers that moves the lips."""

import torch

from liveportrait import LivePortrait
from liveportrait.training.face_model_fit import fit_face_model


def test_one_short_clip_is_enough():
    face = LivePortrait.from_pretrained("mini").renderer.face
    opening = torch.linspace(0, 3, 40)[:, None] * torch.eye(1, len(face.expression_basis))
    noise = 0.002 * torch.randn(40, len(face.mean), 3, generator=torch.Generator().manual_seed(0))
    points = 0.4 * (face.mean + face.express(-opening) + noise)
    fitted = fit_face_model(points, ["someone"], torch.tensor([0, 40]))
    assert all(value.isfinite().all() for value in fitted.state_dict().values())
    learned = fitted.expression_basis[0].flatten()
    assert torch.cosine_similarity(learned, face.expression_basis[0].flatten(), 0).abs() > 0.9
