"""Motion templates: ours there and back, upstream's read, hostile pickles refused."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from official_motion import driver, encoded, official_with_small_networks, rules, source_picture
from official_reference import golden
from safetensors.torch import save_file

from liveportrait.errors import TemplateError
from liveportrait.keypoints import transform_keypoints
from liveportrait.motion import Motion
from liveportrait.templates import Template, load_template, save_template


def upstream(motion: Motion, old_names: bool = False, fps: object = 25) -> dict:
    """What upstream pickles for a driving video."""
    x_s = transform_keypoints(source_picture()[0], motion)
    frames = [
        {
            "scale": motion.scale[i : i + 1].numpy(),
            "R_d" if old_names else "R": motion.rotation[i : i + 1].numpy(),
            "exp": motion.expression[i : i + 1].numpy(),
            "t": motion.translation[i : i + 1].numpy(),
            "kp": source_picture()[0].numpy(),
            "x_s": x_s[i : i + 1].numpy(),
        }
        for i in range(len(motion))
    ]
    eyes, lips = ("c_d_eyes_lst", "c_d_lip_lst") if old_names else ("c_eyes_lst", "c_lip_lst")
    return {
        "n_frames": len(frames),
        "output_fps": fps,
        "motion": frames,
        eyes: [motion.eye_ratio[i : i + 1].numpy() for i in range(len(motion))],
        lips: [motion.lip_ratio[i : i + 1].numpy() for i in range(len(motion))],
    }


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def assert_same(mine: Motion, theirs: Motion) -> None:
    for name in ("rotation", "expression", "scale", "translation", "eye_ratio", "lip_ratio"):
        assert torch.equal(getattr(mine, name), getattr(theirs, name)), name


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("old_names", [False, True])
def test_upstream_templates(tmp_path: Path, protocol: int, old_names: bool):
    path = write(tmp_path / "d0.pkl", upstream(driver(), old_names), protocol)
    template = load_template(path, num_keypoints=21)
    assert_same(template.motion, driver())
    assert template.fps == 25


def test_an_old_template_drives_as_the_reference_says(tmp_path: Path):
    name = "motion/i2v/all.rel.expr.stitch.oldkeys"
    template = load_template(write(tmp_path / "old.pkl", upstream(driver(), old_names=True)))
    setting = rules(golden().cases[name]["options"])
    motion = template.motion
    x_d = official_with_small_networks().driving_keypoints(encoded(*source_picture()), motion, motion[0], setting)
    assert golden().difference(f"{name}/x_d", x_d) < 1e-5


def test_what_the_reference_stores_in_a_template():
    assert golden().difference("motion/template/R", driver().rotation) < 1e-6
    from official_motion import face

    x_c, motion = face("motion/driving", golden())
    assert golden().difference("motion/template/x_s", transform_keypoints(x_c, motion)) < 1e-6


@pytest.mark.parametrize(
    ("fps", "expected"),
    [(30, Fraction(30)), (29.97, Fraction(2997, 100)), (np.float64(23.976), Fraction(2997, 125)), (np.int64(24), 24)],
)
def test_frame_rates_are_not_truncated(tmp_path: Path, fps, expected):
    path = write(tmp_path / "rate.pkl", upstream(driver(), fps=fps))
    assert load_template(path).fps == pytest.approx(expected, abs=1e-9)


def test_a_driving_picture_is_one_frame(tmp_path: Path):
    template = load_template(write(tmp_path / "one.pkl", upstream(driver()[3])))
    assert len(template.motion) == 1


def test_fortran_and_double_arrays_are_read(tmp_path: Path):
    content = upstream(driver())
    for frame in content["motion"]:
        frame["R"] = np.asfortranarray(frame["R"][0].astype(np.float64))
    assert_same(load_template(write(tmp_path / "f.pkl", content)).motion, driver())


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_ours_there_and_back(tmp_path: Path, fps: Fraction):
    save_template(Template(driver(), fps), tmp_path / "ours.safetensors")
    template = load_template(tmp_path / "ours.safetensors", num_keypoints=21)
    assert_same(template.motion, driver())
    assert template.fps == fps


def test_the_dense_residual_is_kept(tmp_path: Path):
    motion = replace(Motion.still(3, 162), dense_residual=torch.rand(3, 3, 16, 16))
    save_template(Template(motion, Fraction(25)), tmp_path / "residual.safetensors")
    assert torch.equal(load_template(tmp_path / "residual.safetensors").motion.dense_residual, motion.dense_residual)
    save_template(
        Template(replace(motion, dense_residual=motion.dense_residual[:2]), Fraction(25)),
        tmp_path / "short.safetensors",
    )
    with pytest.raises(TemplateError, match="dense_residual has shape"):
        load_template(tmp_path / "short.safetensors")


def test_ratios_may_be_absent(tmp_path: Path):
    still = Motion.still(3, 104)
    save_template(Template(still, Fraction(25)), tmp_path / "still.safetensors")
    assert load_template(tmp_path / "still.safetensors").motion.eye_ratio is None
    with pytest.raises(TemplateError, match="104 keypoints, this one has 21"):
        load_template(tmp_path / "still.safetensors", num_keypoints=21)
    with pytest.raises(ValueError, match="safetensors"):
        save_template(Template(still, Fraction(25)), tmp_path / "still.pkl")


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def hostile_pickles() -> dict[str, bytes]:
    marker = "import pathlib; pathlib.Path('ran').touch()"
    array = np.zeros(3, dtype=object)
    array[0] = Calls(exec, marker)
    return {
        "exec": pickle.dumps(Calls(exec, marker)),
        "eval inside a frame": pickle.dumps({"motion": [{"R": Calls(eval, marker)}]}),
        "system": pickle.dumps(Calls(os.system, "touch ran")),
        "getattr": pickle.dumps(Calls(getattr, "text", "upper")),
        "numpy load": pickle.dumps(Calls(np.load, "x")),
        "import": b"cimportlib\nimport_module\n(Vos\ntR.",
        "old instance": b"(Vtouch ran\nios\nsystem\n.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.mro\x93.",
        "object array": pickle.dumps(array),
        "structured array": pickle.dumps(np.zeros(2, dtype=[("a", "f4")])),
        "persistent id": b"Psomewhere\n.",
        "extension": b"\x82\x01.",
        "new meaning of a name": b"cnumpy\ndtype\n}(V_answer\ncnumpy\nndarray\nub.",
        "codec": b"c_codecs\nencode\n(Vtext\nVrot13\ntR.",
    }


@pytest.mark.parametrize("name", hostile_pickles())
def test_hostile_pickles_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pkl"
    path.write_bytes(hostile_pickles()[name])
    loaded = set(sys.modules)
    with pytest.raises(TemplateError, match=r"hostile\.pkl: refused"):
        load_template(path)
    assert not (tmp_path / "ran").exists()
    assert set(sys.modules) == loaded


def test_the_name_that_was_asked_for_is_in_the_message(tmp_path: Path):
    path = write(tmp_path / "x.pkl", Calls(os.system, "true"))
    with pytest.raises(TemplateError, match=r"it asks for posix\.system|it asks for nt\.system"):
        load_template(path)


def repeated_array() -> bytes:
    """An array of a megabyte whose state is set a thousand times."""
    state = (1, (1 << 20,), np.dtype("u1"), False, bytes(1 << 20))
    once = pickle.dumps(state, 2)[:-1]  # what comes before the stop; memo entries 0 ... are its own
    array = b"cnumpy\nndarray\n)R"
    return (
        once + b"r" + struct.pack("<I", 9999) + b"0" + (array + b"j" + struct.pack("<I", 9999) + b"b0") * 1000 + b"N."
    )


def pairs_of_pairs(depth: int) -> bytes:
    """A pair whose halves are one pair, and so on: 2^depth steps to hash."""
    return b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(depth))


def bombs() -> dict[str, bytes]:
    huge = struct.pack("<I", 0x7FFFFFFF)
    lie = pickle.dumps(np.zeros((2, 3), np.float32), 4).replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86")
    assert b"J\xff\xff\xff\x7f" in lie
    return {
        "memo": b"\x80\x02}r" + huge + b".",
        "string length": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
        "byte array length": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",
        "byte array that fits into memory": b"\x80\x05\x96" + struct.pack("<Q", 0xFFFFFFFF) + b".",
        "one array read again and again": repeated_array(),
        "keys that take for ever to hash": b"\x80\x02})" + pairs_of_pairs(40) + b"Ns.",
        "copies": b"\x80\x02]" + b"2" * 1000 + b".",
        "sets": b"\x80\x04\x8f.",
        "a number of many digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "lists in lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "frame length": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.",
        "array shape": lie,
    }


@pytest.mark.parametrize("name", bombs())
def test_memory_bombs_go_off_as_errors(name: str, tmp_path: Path):
    import resource

    path = tmp_path / "bomb.pkl"
    path.write_bytes(bombs()[name])
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(TemplateError, match=r"bomb\.pkl") as caught:
        load_template(path)
    assert len(str(caught.value).removeprefix(str(path))) < 200
    assert time.monotonic() - begun < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04", pickle.dumps(upstream(driver()))[:400]])
def test_damaged_pickles(content: bytes, tmp_path: Path):
    path = tmp_path / "damaged.pkl"
    path.write_bytes(content)
    with pytest.raises(TemplateError, match=r"damaged\.pkl"):
        load_template(path)


def test_every_truncation_and_bit_flip_is_an_error_or_a_motion(tmp_path: Path):
    data = pickle.dumps(upstream(driver()[:2]))
    assert sum(1 for _ in pickletools.genops(io.BytesIO(data))) > 100
    path, rng = tmp_path / "fuzz.pkl", np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(data)
        broken[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(broken[: rng.integers(1, len(data)) if rng.random() < 0.3 else None])
        try:
            template = load_template(path)
        except TemplateError:
            continue
        assert len(template.motion) >= 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "not an upstream motion template"),
        ({"motion": []}, "not an upstream motion template|holds no frames"),
        ({"motion": [{"R": np.eye(3)}]}, "exp"),
        ({"motion": [{"R": "text"}]}, "found str"),
        ({"motion": [{"R": np.eye(4)}]}, r"R has shape \(4, 4\), expected \(1, 3, 3\)"),
    ],
)
def test_pickles_of_something_else(content: object, reason: str, tmp_path: Path):
    with pytest.raises(TemplateError, match=reason):
        load_template(write(tmp_path / "other.pkl", content))


def test_values_that_are_not_numbers(tmp_path: Path):
    content = upstream(driver())
    content["motion"][0]["exp"] = np.full((1, 21, 3), np.nan, np.float32)
    with pytest.raises(TemplateError, match="expression holds values that are not finite"):
        load_template(write(tmp_path / "nan.pkl", content))
    with pytest.raises(TemplateError, match="frame rate is 0"):
        load_template(write(tmp_path / "rate.pkl", upstream(driver(), fps=0)))


def test_files_of_another_kind(tmp_path: Path):
    with pytest.raises(TemplateError, match="no such file"):
        load_template(tmp_path / "absent.pkl")
    (tmp_path / "x.npz").write_bytes(b"")
    with pytest.raises(TemplateError, match=r"not \.npz"):
        load_template(tmp_path / "x.npz")
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(TemplateError, match="not a motion template"):
        load_template(tmp_path / "weights.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(TemplateError, match="not readable as safetensors"):
        load_template(tmp_path / "broken.safetensors")


GOOD = {
    "rotation": torch.eye(3).repeat(2, 1, 1),
    "expression": torch.zeros(2, 21, 3),
    "scale": torch.ones(2, 1),
    "translation": torch.zeros(2, 3),
}
METADATA = {"format": "talkinghead-motion", "version": "1", "fps": "25"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scale": None}, "do not make a motion"),
        ({"more": torch.zeros(1)}, "do not make a motion"),
        ({"translation": torch.zeros(1, 3)}, r"translation has shape \(1, 3\), expected \(2, 3\)"),
        ({"rotation": torch.tensor(1.0)}, r"rotation has shape \(\)"),
        ({"expression": torch.zeros(2)}, "expression has shape"),
        ({"rotation": GOOD["rotation"].half()}, "rotation is of type F16, expected F32"),
        ({"scale": torch.ones(2, 1).double()}, "scale is of type F64"),
        ({"scale": torch.ones(2, 1).int()}, "scale is of type I32"),
        ({"scale": torch.zeros(2, 1)}, "scale is 0"),
        ({"scale": -torch.ones(2, 1)}, "scale is -1"),
        ({"translation": torch.full((2, 3), torch.nan)}, "not finite"),
        ({"rotation": torch.full((2, 3, 3), 3e38)}, "no face has"),
        ({"rotation": torch.zeros(2, 3, 3)}, "rotation matrices"),
        ({"eye_ratio": torch.full((2, 2), 1e30)}, "no face has"),
        ({"dense_residual": torch.zeros(2, 3, 0, 0)}, "sides of 2 to 64"),
        ({"dense_residual": torch.zeros(2, 3, 1, 1)}, "sides of 2 to 64"),
        ({"dense_residual": torch.zeros(2, 3, 5, 7)}, "dense_residual has shape"),
        ({"dense_residual": torch.zeros(2, 3)}, "dense_residual has shape"),
        ({name: value[:0] for name, value in GOOD.items()}, "holds no frames"),
        ({"version": "9"}, "version '9', known is 1"),
        *(({"fps": fps}, "frame rate") for fps in ("", "fast", "0", "-1", "nan", "1e99999999", "1/0", "1/100000000")),
    ],
)
def test_ours_is_checked_as_well(tmp_path: Path, change: dict, reason: str):
    settings = METADATA | {name: value for name, value in change.items() if isinstance(value, str)}
    tensors = GOOD | {name: value for name, value in change.items() if name not in METADATA}
    save_file(
        {name: value for name, value in tensors.items() if value is not None}, tmp_path / "x.safetensors", settings
    )
    with pytest.raises(TemplateError, match=rf"x\.safetensors: .*{reason}"):
        load_template(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{" * 90_000_000,
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 2) + b"{",
        b"\x02",
    ],
)
def test_headers_that_lie(tmp_path: Path, header: bytes):
    (tmp_path / "x.safetensors").write_bytes(header)
    begun = time.monotonic()
    with pytest.raises(TemplateError, match="not readable as safetensors"):
        load_template(tmp_path / "x.safetensors")
    assert time.monotonic() - begun < 5


def test_every_cut_and_bit_flip_of_ours_is_an_error_or_a_motion(tmp_path: Path):
    save_template(Template(driver()[:2], Fraction(25)), tmp_path / "good.safetensors")
    data, path, rng = (tmp_path / "good.safetensors").read_bytes(), tmp_path / "x.safetensors", np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(data)
        broken[rng.integers(500)] ^= 1 << rng.integers(8)
        path.write_bytes(broken[: rng.integers(1, len(data)) if rng.random() < 0.3 else None])
        try:
            assert len(load_template(path).motion) == 2
        except TemplateError:
            continue


def test_what_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.pkl")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "loop.pkl").symlink_to("loop.pkl")
    for name, reason in (
        ("pipe.pkl", "not a file"),
        ("folder.safetensors", "not a file"),
        ("loop.pkl", "no such file"),
    ):
        with pytest.raises(TemplateError, match=reason):
            load_template(tmp_path / name)
    with pytest.raises(TemplateError, match="no such file"):
        load_template(tmp_path / ("x" * 300 + ".pkl"))
