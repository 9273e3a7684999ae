"""The losses on pictures and the discriminators', on values worked out by hand."""

import pytest
import torch
import torch.nn.functional as F

from liveportrait.training.perception import Perception
from liveportrait.training.stage1.adversarial import (
    Discriminator,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
)
from liveportrait.training.stage1.picture_losses import identity, perceptual, pyramid, reconstruction, region


def test_reconstruction_is_the_mean_difference():
    assert reconstruction(torch.full((1, 3, 2, 2), 0.7), torch.full((1, 3, 2, 2), 0.5)) == pytest.approx(0.2)


def test_a_pyramid_averages_areas():
    picture = torch.arange(32.0).expand(1, 3, 32, 32)
    whole, half = pyramid(picture, (1.0, 0.5))
    assert torch.equal(whole, picture)
    assert half[0, 0, 0, :3].tolist() == [0.5, 2.5, 4.5]


class Plain(Perception):
    """Compares pixels in place of features."""

    def features(self, pictures):
        return [pictures]


def test_the_perceptual_loss_sums_over_scales_and_teaches_only_the_generator():
    look = Plain(stages=0)
    look.weights.append(torch.nn.Parameter(torch.ones(3, 1, 1)))
    shown, real = torch.full((2, 3, 32, 32), 0.3, requires_grad=True), torch.full((2, 3, 32, 32), 0.1)
    real.requires_grad_(True)
    loss = perceptual(look, shown, real, (1.0, 0.5))
    assert loss.item() == pytest.approx(2 * 3 * 0.2**2)  # two scales, three channels
    loss.backward()
    assert shown.grad is not None and real.grad is None


def test_identity_is_one_minus_the_cosine():
    def embed(picture):
        return picture[:, :2, 0, 0]

    same, other = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    same[:, 0], other[:, 1] = 0.5, 0.8
    assert identity(embed, same, same) == pytest.approx(0.0)
    assert identity(embed, same, other) == pytest.approx(1.0)


def test_a_region_is_the_square_around_its_points():
    picture = torch.zeros(1, 3, 8, 8)
    picture[..., 4:, 4:] = 1
    points = torch.tensor([[[0.25, 0.5], [0.75, 0.5]]])
    assert torch.equal(region(picture, points, 1.0, 2), torch.ones(1, 3, 2, 2))
    wide = region(picture, points, 3.0, 4)  # x from -0.25 to 1.25, y from -0.25 to 1.25
    assert wide[0, 0, 0, 0] < 0.5 and wide[0, 0, 2, 2] == 1


def test_hinges_stop_at_one():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert discriminator_hinge(real, fake) == pytest.approx(0.25 + 0.5)
    assert generator_hinge(fake) == pytest.approx(1.5)


def test_features_match_without_the_verdict():
    shown = [torch.zeros(2), torch.ones(2), torch.tensor([100.0])]
    real = [torch.ones(2), torch.tensor([1.0, 3.0]), torch.tensor([0.0])]
    assert feature_matching(shown, real) == pytest.approx(1.0 + 1.0)


def test_a_discriminator_learns_to_tell_blurred_from_sharp():
    torch.manual_seed(0)
    judge = Discriminator((8, 16))
    steps = torch.optim.Adam(judge.parameters(), 3e-3)
    for _ in range(40):
        real = torch.rand(4, 3, 16, 16)
        loss = discriminator_hinge(judge(real)[-1], judge(F.avg_pool2d(real, 3, 1, 1))[-1])
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert loss.item() < 1.0
