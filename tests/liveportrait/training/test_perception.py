"""LPIPS: the more a picture is changed the farther it is; weights come from a pickle that runs nothing."""

import io
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from liveportrait.training import perception
from talkinghead.dataset import perception as fetching


@pytest.fixture
def narrow(monkeypatch) -> None:
    """Two stages of a few channels each."""
    for module in (perception, fetching):
        monkeypatch.setattr(module, "STAGES", ((3, 4, 4), (4, 6)))


@pytest.fixture
def package(narrow) -> io.BytesIO:
    """Random weights, pickled as the package has them."""
    rng = np.random.default_rng(0)
    layers = {
        f"Conv_{n}": {
            "kernel": rng.normal(0, 0.3, (3, 3, a, b)).astype(np.float32),
            "bias": np.zeros(b, np.float32),
        }
        for n, (a, b) in enumerate(((3, 4), (4, 4), (4, 6)))
    }
    lines = {
        f"NetLinLayer_{n}": {"Conv_0": {"kernel": np.ones((1, 1, width, 1), np.float32)}}
        for n, width in enumerate((4, 6))
    }
    return io.BytesIO(pickle.dumps({"VGG16_0": layers, **lines}))


@pytest.fixture
def looks(package, tmp_path) -> perception.Perception:
    save_file(fetching.convert(package), tmp_path / "looks.safetensors")
    return perception.load_perception(tmp_path / "looks.safetensors", stages=2)


def test_weights_keep_their_order_of_axes(package):
    stored = pickle.loads(package.getvalue())["VGG16_0"]["Conv_2"]["kernel"]
    assert fetching.convert(package)["stages.1.0.weight"][5, 1, 2, 0] == stored[2, 0, 1, 5]


def test_the_more_a_picture_is_changed_the_farther_it_is(looks):
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    distances = [float(looks(share * picture + (1 - share) * picture.mean(), picture)) for share in (1.0, 0.7, 0.2)]
    assert distances[0] == 0 and distances[0] < distances[1] < distances[2]


def test_gradients_reach_the_picture_and_not_the_network(looks):
    picture = torch.rand(1, 3, 16, 16, requires_grad=True)
    looks(picture, torch.rand(1, 3, 16, 16)).sum().backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in looks.parameters())


def test_fewer_stages_read_the_same_file(package, tmp_path):
    save_file(fetching.convert(package), tmp_path / "looks.safetensors")
    assert len(perception.load_perception(tmp_path / "looks.safetensors", stages=1).stages) == 1


def test_a_pickle_that_would_run_something_is_refused(narrow):
    with pytest.raises(pickle.UnpicklingError, match="print is not an array"):
        fetching.convert(io.BytesIO(pickle.dumps(print)))
