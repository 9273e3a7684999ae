"""The user's network for FID, what is said without networks, and the user's mistakes."""

import numpy as np
import pytest
from scripted import Colours, Total, script

from liveportrait.training.perception import Perception
from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.evaluation.networks import Networks, load_networks, missing


def test_the_users_network_gives_the_features(tmp_path):
    networks = load_networks(fid=script(tmp_path / "colours.pt", Colours()))
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 255
    assert networks.features(red).tolist() == [1, 0, 0]
    looks, (shown, real) = networks.compare(red, red // 255)
    assert looks == {} and shown[0] == 1 and real[0] == pytest.approx(1 / 255)


def test_without_it_vgg_gives_them():
    networks = Networks(perception=Perception())
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    looks, (shown, _) = networks.compare(picture, picture)
    assert looks["lpips"] == 0 and shown.shape == (512,)
    assert np.allclose(networks.features(picture), shown)


def test_networks_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputNotFoundError, match="no such file"):
        load_networks(fid=tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(OptionError, match="no TorchScript network"):
        load_networks(fid=tmp_path / "text.pt")
    with pytest.raises(OptionError, match="gives no features"):
        load_networks(fid=script(tmp_path / "total.pt", Total()))


def test_what_is_missing_is_said():
    assert [line.split(":")[0] for line in missing(Networks())] == ["no LPIPS", "no FID", "no identity"]
    assert len(missing(Networks(), pictures=False)) == 1
