"""From prepared clips to a model of one's own: both stages, stopped and resumed, exported, and spoken through."""

import json

import numpy as np
import pytest
import soundfile
import torch
from drawn_face import drawn_face
from PIL import Image
from torchvision.io import decode_jpeg

from liveportrait import LivePortrait
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.training.__main__ import main as train
from liveportrait.training.faces import read_clip
from liveportrait.training.perception import Perception
from liveportrait.writing import save_tensors
from talkinghead import cli
from talkinghead.dataset.faces import faces as prepare_faces
from talkinghead.dataset.writing import Clip, ClipWriter, write_manifest
from talkinghead.media.video import read_frames

TINY = ("size=tiny", "batch_size=2", "scales=1", "finest=0.5", "stages=1", "discriminator_widths=4")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A clip for each split, with made-up landmarks; a still with a face; networks that compare pictures."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for n, split in enumerate(("train", "val")):
        (root / split).mkdir()
        writer = ClipWriter(root / split / "0.mp4", None)
        for _ in range(6):
            writer.write(random.integers(0, 255, (256, 256, 3), np.uint8))
        writer.close()
        row = Clip("0", "0.mp4", f"person {n}", 0.24, 25.0, "no", 0, "", "", "", 0.0, 100, 2.3, 9.0, 1.0, 0.0, "yes")
        write_manifest(root / split / "manifest.csv", [row])
        points = random.uniform(60, 200, (6, len(KEYPOINTS), 3)).astype(np.float16)
        np.savez(root / f"landmarks_{split}.npz", offsets=np.array([0, 6]), landmarks=points)
    stills = root / "stills"
    stills.mkdir()
    Image.fromarray(drawn_face(240)).save(stills / "face.png")
    (stills / "manifest.csv").write_text("file,identity,licence\nface.png,someone,CC0\n")
    looks = Perception(stages=1)
    save_tensors({name: value.detach().contiguous() for name, value in looks.state_dict().items()}, root / "vgg")
    return root


@pytest.fixture(scope="module")
def faces(data):
    """The face pictures of the clips."""
    folder = data / "faces"
    for _ in range(2):  # the second finds that there is nothing to do
        prepare_faces(data, folder, [data / "stills"], size=64, every=2, edits=2)
    return folder


def run(command, data, folder, *settings, steps, extra=()):
    changes = [f"--set={one}" for one in (*settings, f"num_steps={steps}")]
    train([*command.split(), f"--faces={data / 'faces'}", f"--run={folder}", *changes, "--every=1", *map(str, extra)])
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_face_pictures_are_prepared_once(faces, data, capsys):
    assert sorted(file.name for file in (faces / "train").iterdir()) == [
        "clip_000000.safetensors",
        "still_stills_face.safetensors",
    ]
    clip, still = (read_clip(file) for file in sorted((faces / "train").iterdir()))
    assert len(clip.jpegs) == 3 and clip.landmarks.shape == (3, 20, 2) and clip.identity == "person 0"
    assert len(still.jpegs) == 3 and still.permissive and still.still and not clip.still
    assert torch.allclose(still.rotation[0], torch.eye(3), atol=0.3)  # the drawn face looks ahead
    turned = (still.rotation - still.rotation[:1]).flatten(1).norm(dim=1)
    assert (turned[1:] > 0.05).all() and still.landmarks.abs().max() < 1.2  # its edited versions do not
    prepare_faces(data, faces, [data / "stills"], size=64, every=2)
    assert "1 clips, 0 of them new" in capsys.readouterr().out


@pytest.fixture(scope="module")
def close(data):
    """The same in closer crops."""
    prepare_faces(data, data / "close", [data / "stills"], size=64, every=2, crop_scale=1.6)
    return data / "close"


def test_closer_crops_of_a_still_show_the_same_places_larger(faces, close):
    wide, near = (read_clip(folder / "train" / "still_stills_face.safetensors") for folder in (faces, close))
    assert near.crop_scale == 1.6
    moved = near.landmarks[0] - 2.3 / 1.6 * wide.landmarks[0]
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=4e-3)  # a zoom and a shift
    corner = (-1 - moved[0]) * 1.6 / 2.3
    part = (torch.stack([corner, corner + 2 * 1.6 / 2.3]) + 1) * 32
    left, top, right, bottom = part.round().int().flatten().tolist()
    shown, whole = (decode_jpeg(clip.jpegs[0]).float() for clip in (near, wide))
    cut = whole[:, max(top, 0) : bottom, max(left, 0) : right]
    assert torch.allclose(shown.mean((1, 2)), cut.mean((1, 2)), atol=4)


def test_both_stages_then_speak(faces, close, data, tmp_path, monkeypatch):
    looks = ("--perception", data / "vgg")
    log = run("stage1", data, tmp_path / "one", *TINY, "adversarial_start=1", steps=2, extra=looks)
    assert "adversarial" not in log[0] and "adversarial" in log[1] and "psnr" in log[1]
    run("stage1", data, tmp_path / "one", *TINY, "adversarial_start=1", steps=3, extra=looks)
    train(["export", f"--run={tmp_path / 'one'}", f"--output={tmp_path / 'plain'}"])
    model = ("--model", tmp_path / "plain")
    assert LivePortrait.from_pretrained(tmp_path / "plain").crop_scale == 2.3
    with pytest.raises(SystemExit, match=r"prepared with --crop-scale 1\.6; .*plain needs 2\.3"):
        train(["stage2", "reader", f"--faces={close}", f"--run={tmp_path / 'reader'}", *map(str, model)])
    run("stage2 reader", data, tmp_path / "reader", "batch_size=2", steps=1, extra=model)
    parts = []
    for part in ("stitching", "eyes", "lips"):
        reader = () if part == "stitching" else ("--reader", tmp_path / "reader")
        run(f"stage2 {part}", data, tmp_path / part, "batch_size=2", steps=2, extra=(*model, *reader))
        parts.append(f"--with={tmp_path / part}")
    train(["export", f"--run={tmp_path / 'one'}", *parts, f"--output={tmp_path / 'mine'}"])
    mine, plain = (LivePortrait.from_pretrained(tmp_path / name) for name in ("mine", "plain"))
    assert mine.crop_size == 64 and mine.config.guided
    for name, value in mine.state_dict().items():
        learned = name.split(".")[0] in ("stitching", "retarget_eyes", "retarget_lip")
        assert learned or torch.equal(value, plain.state_dict()[name])
    assert mine.stitching.mlp[-1].weight.abs().sum() > 0 == plain.stitching.mlp[-1].weight.abs().sum()
    monkeypatch.chdir(tmp_path)
    for mistake in ("stage1 --run one --set size=toy", "stage2 lips --run eyes --model mine"):
        with pytest.raises(SystemExit, match="give another --run"):
            train(mistake.split())
    Image.fromarray(drawn_face(240)).save("face.png")
    soundfile.write("voice.wav", 0.3 * np.sin(np.arange(1280) * 0.2), 16_000)
    cli.main(["speak", "face.png", "voice.wav", "-o", "o.mp4", "--model", "mine"])
    assert [frame.picture.shape for frame in read_frames("o.mp4")] == [(240, 240, 3)] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("stage1 --run r --faces nothing", "perception.safetensors: no such file"),
        ("stage1 --run r --set size=huge", "choose from official, small, toy, tiny"),
        ("stage1 --run r --init mini", "not an official model"),
        ("stage2 eyes --run r --model mini", "has no networks S, R_eyes and R_lip"),
        ("export --run r --output o", "no checkpoint here"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        train(arguments.split())
