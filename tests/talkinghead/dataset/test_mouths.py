"""Windows around mouths survive their file; who is held out depends on the name alone."""

import numpy as np
import pytest
import torch

from liveportrait import LivePortrait
from liveportrait.mini.regions import LIPS_INNER, rows
from liveportrait.training.mouths import CLIP, STILL, WINDOW
from liveportrait.training.pairs import ClipSet
from talkinghead.dataset.mouths import CLIP_WINDOW, FRAMES, Window, clip_windows, cut_window, read_mouths, write_mouths
from talkinghead.dataset.portraits import is_held_out, is_validation, read_portraits
from talkinghead.errors import InputNotFoundError


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def points(face):
    return 0.4 * face.mean[None] - torch.tensor([0.0, 0.2, 0.0])


def test_a_window_shows_the_mouth_in_its_middle(face, points):
    centre = points[0, rows(LIPS_INNER), :2].mean(0)
    y, x = torch.meshgrid(*2 * [(2 * torch.arange(256) + 1) / 256 - 1], indexing="ij")
    spot = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.03**2).float().expand(1, 3, -1, -1)
    window, small = cut_window(face, spot, points, WINDOW)
    assert window.shape == (WINDOW, WINDOW, 3) and small.shape == (64, 64, 3)
    row, column = np.argwhere(window[..., 0] > 200).mean(0)
    assert abs(row - WINDOW / 2) < 20 and abs(column - WINDOW / 2) < 5


def test_windows_survive_their_file(face, points, tmp_path):
    smooth = np.linspace(0, 255, WINDOW).astype(np.uint8)[:, None, None].repeat(WINDOW, 1).repeat(3, 2)
    little = smooth[:CLIP_WINDOW, :CLIP_WINDOW]
    given = [
        Window(smooth, smooth[:64, :64], points[0], STILL, 0, True),
        Window(little, smooth[:64, :64], points[0] + 0.1, CLIP, 1, False),
    ]
    assert write_mouths(iter(given), tmp_path / "mouths.npz") == 2
    read = read_mouths(tmp_path / "mouths.npz")
    assert read.windows.shape == (2, 3, WINDOW, WINDOW) and read.small.shape == (2, 3, 64, 64)
    assert np.abs(read.windows[0].permute(1, 2, 0).numpy().astype(int) - smooth).max() < 8
    assert torch.allclose(read.points, torch.stack([points[0], points[0] + 0.1]), atol=1e-4)
    assert read.held_out.tolist() == [True, False] and read.kinds.tolist() == [STILL, CLIP]


def test_clips_give_mouths_from_shut_to_open(face, points):
    frames = torch.zeros(20, 256, 256, 3, dtype=torch.uint8)
    opening = face.move_lips(points, face.lip_gaps(points) + 0.1)
    moved = points + torch.linspace(1, 0, 20)[:, None, None] * opening
    clips = ClipSet(frames, moved, [(0, 20)], ["one"], [100.0])
    windows = list(clip_windows(clips, face))
    assert len(windows) == FRAMES and {window.group for window in windows} == {0}
    gaps = [float(face.lip_gaps(window.points[None]).mean()) for window in windows]
    assert gaps == sorted(gaps) and gaps[-1] > gaps[0] + 0.05


def test_about_a_tenth_of_the_portraits_is_held_out_for_ever():
    names = [f"A{number:06d}" for number in range(2000)]
    kept = [name for name in names if is_held_out(name)]
    assert 160 < len(kept) < 240
    assert not any(is_validation(name) for name in kept)
    assert is_held_out("B000243") and not is_held_out("A000014")


def test_a_folder_without_portraits_is_named(tmp_path):
    with pytest.raises(InputNotFoundError, match=str(tmp_path)):
        next(read_portraits(tmp_path, held_out=True))
