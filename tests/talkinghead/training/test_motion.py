"""From prepared clips to a voice of one's own: motion is read once, learned from, exported and loaded."""

import numpy as np
import pytest
import torch
from official_tiny import tiny_official

from audio2motion.voices import keypoints_of, load_voice
from liveportrait.motion import Motion
from liveportrait.training.loop import TrainingError, change_settings
from liveportrait.weights import save_official
from talkinghead.dataset.extract_motion import motion as extract_motion
from talkinghead.dataset.motion_cache import CacheError, read_clip, read_clips
from talkinghead.dataset.writing import Clip, ClipWriter, write_manifest
from talkinghead.training import motion as train_motion

SMALL = ["size=16", "num_layers=1", "num_heads=2", "num_frames=16", "num_previous=4", "overlap=4", "batch_size=2"]


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """Motion that a tiny official model reads from two short clips of noise; a third has no voice."""
    root = tmp_path_factory.mktemp("clips")
    rows = []
    for n, (split, voiced) in enumerate((("train", "yes"), ("train", "no"), ("val", "yes"))):
        (root / split).mkdir(exist_ok=True)
        random = np.random.default_rng(n)
        sound = random.normal(0, 3000, 24 * 640).astype(np.int16)
        writer = ClipWriter(root / split / f"{n}.mp4", sound if voiced == "yes" else None)
        for _ in range(24):
            writer.write(random.integers(0, 255, (256, 256, 3), np.uint8))
        writer.close()
        row = Clip(
            str(n), f"{n}.mp4", f"person {n}", 0.96, 25.0, voiced, 0, "", "", "", 0.0, 100, 2.3, 9.0, 1.0, 0.0, "yes"
        )
        rows = [*rows, row] if split == "train" else [row]
        write_manifest(root / split / "manifest.csv", rows)
    save_official(tiny_official(), root / "base")
    extract_motion(root, root / "motion", str(root / "base"), "cpu")
    return root / "motion"


def test_motion_is_read_once(motion, capsys):
    clip = read_clip(motion / "train" / "0.safetensors")
    assert clip.numbers.shape == (24, 70) and clip.waveform.shape == (24 * 640,)
    assert clip.identity == "person 0" and clip.permissive
    assert not (motion / "train" / "1.safetensors").exists()
    extract_motion(motion.parent, motion, str(motion.parent / "base"), "cpu")
    assert "1 clips, 0 of them new" in capsys.readouterr().out


def test_a_voice_of_ones_own(motion, tmp_path, capsys):
    run = tmp_path / "run"
    for steps in (2, 4):  # the second goes on where the first stopped
        train_motion.train(motion, run, "cpu", [*SMALL, f"num_steps={steps}"], every=2)
    assert [line.split(",")[0] for line in (run / "log.jsonl").read_text().splitlines()] == ['{"step": 2', '{"step": 4']
    assert "val_loss" in (run / "log.jsonl").read_text()
    train_motion.export(run, tmp_path / "voice")
    assert keypoints_of(tmp_path / "voice") == 21
    spoken = Motion.cat(list(load_voice(tmp_path / "voice").stream([torch.randn(16_000)], seed=1)))
    assert len(spoken) == 25 and torch.isfinite(spoken.expression).all()


def test_mistakes_are_named(motion, tmp_path, capsys):
    with pytest.raises(CacheError, match=r"no motion to learn from; write it with `prepare.py motion`"):
        read_clips(tmp_path, False)
    with pytest.raises(TrainingError, match="colour=3: unknown setting; one of num_steps"):
        change_settings(train_motion.PRESETS["cpu"], ["colour=3"])
    with pytest.raises(TrainingError, match="'many' is not a valid int"):
        change_settings(train_motion.PRESETS["cpu"], ["num_steps=many"])
    with pytest.raises(TrainingError, match="train first"):
        train_motion.export(tmp_path, tmp_path / "voice")
    for folder, model, said in (
        (tmp_path, "mini", "learns from landmarks"),
        (tmp_path, str(motion.parent / "base"), "manifest.csv"),
    ):
        with pytest.raises(CacheError, match=said):
            extract_motion(folder, tmp_path / "out", model, "cpu")
