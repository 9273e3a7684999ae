"""Cut the reference data down to the golden files under tests/golden.

    python tests/golden/make_golden.py ../shared/reference

Kept whole: every input recipe, every motion, slider, smoothing, ratio and small-network answer, and the constants.
Network answers keep a coarser grid of samples and their block means; inner activations stay in the reference.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).parent
# The cropper and the paste-back belong to the other golden file, beside the code that crops.
OTHER_SECTIONS = ("crop/", "cropper/", "paste/")
# Samples of one stored tensor beyond this many are thinned.
MOST_SAMPLES = 40_000
MOST_GENERATOR_SAMPLES = 16_100
# Parts of the audio-driven set that are no answer of the motion generator: composition has a file of its own.
NOT_GENERATED = ("compose/", "template_draw/")


def thin(part: dict, tensor: np.ndarray, most: int) -> tuple[dict, np.ndarray]:
    """Double the strides of a sampled tensor, last axes first, until it is small."""
    stride = list(part.get("stride", [1] * tensor.ndim))
    axis = tensor.ndim - 1
    while tensor.size > most:
        if tensor.shape[axis] > 4:
            tensor = tensor[tuple(slice(None, None, 2 if i == axis else 1) for i in range(tensor.ndim))]
            stride[axis] *= 2
        axis = axis - 1 if axis > 1 else tensor.ndim - 1
    return {**part, "stride": stride}, np.ascontiguousarray(tensor)


def cut(index: dict, tensors: dict[str, np.ndarray], most: int) -> tuple[dict, dict[str, np.ndarray]]:
    """Select the entries of one golden set, and thin those of more than `most` samples."""
    kept: dict[str, np.ndarray] = {}
    outputs = {}
    for name, entry in index["outputs"].items():
        if entry["role"] != "output" or name.startswith(OTHER_SECTIONS):
            continue
        parts = []
        for old in entry["parts"]:
            part, tensor = old, tensors[old["key"]]
            if "block" not in part and tensor.size > most:
                part, tensor = thin(part, tensor, most)
            kept[part["key"]] = tensor
            parts.append(part)
        outputs[name] = {"shape": entry["shape"], "parts": parts}
    inputs = {}
    for name, spec in index["inputs"].items():
        if name.startswith(OTHER_SECTIONS) or spec["kind"] == "derived":
            continue
        inputs[name] = {key: value for key, value in spec.items() if key != "what"}
        if spec["kind"] == "stored":
            kept[name] = tensors[name]
    constants = {name: tensors[name] for name in ("paste/lip_array",) if name in tensors}
    selected = {"salt": index["salt"], "inputs": inputs, "outputs": outputs, "cases": index["cases"]}
    return selected, kept | constants


def select_audio(index: dict) -> dict:
    """Keep the composition part of the audio-driven golden set."""
    return {
        "salt": index["salt"],
        "inputs": {k: v for k, v in index["inputs"].items() if k.startswith("compose/")},
        "outputs": {k: v for k, v in index["outputs"].items() if k.startswith("compose/")},
        "cases": [case for case in index["cases"] if case["name"].startswith("compose/")],
    }


def select_generator(index: dict) -> dict:
    """Keep the motion generator's part of the audio-driven golden set."""

    def kept(entries: dict) -> dict:
        return {name: entry for name, entry in entries.items() if not name.startswith(NOT_GENERATED)}

    return {
        "salt": index["salt"],
        "inputs": kept(index["inputs"]),
        "outputs": kept(index["outputs"]),
        "cases": [case for case in index["cases"] if not case["name"].startswith(NOT_GENERATED)],
    }


def write(stem: str, index: dict, tensors: dict[str, np.ndarray]) -> None:
    """Write one golden set and say how large it is."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    save_file(tensors, GOLDEN / f"{stem}.safetensors")
    (GOLDEN / f"{stem}.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")
    size = sum((GOLDEN / f"{stem}{suffix}").stat().st_size for suffix in (".json", ".safetensors"))
    print(f"{stem}: {len(index['outputs'])} outputs, {size / 1e6:.2f} MB")


def checkpoint_index(reference: Path) -> dict:
    """Names, shapes and types of the official files that we read, and nothing else."""
    files = json.loads((reference / "liveportrait_checkpoints.json").read_text())["files"]
    return {
        name: {part: entry[part] for part in ("path", "sha256", "bytes", "keys", "nested") if part in entry}
        for name, entry in files.items()
        if name.endswith(".pth")
    }


def generator_index(reference: Path) -> dict:
    """Names, shapes and sizes of the two published motion generators."""
    files = json.loads((reference / "joyvasa_checkpoint.json").read_text())["files"]
    parts = ("sha256", "bytes", "config", "keys")
    return {entry["variant"]: {part: entry[part] for part in parts} for entry in files.values() if "variant" in entry}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=Path, help="folder with golden_*.json and golden_*.safetensors")
    reference = parser.parse_args().reference
    for stem, source, select, most in (
        ("liveportrait", "golden_liveportrait", lambda index: index, MOST_SAMPLES),
        ("liveportrait_audio", "golden_joyvasa", select_audio, MOST_SAMPLES),
        ("joyvasa", "golden_joyvasa", select_generator, MOST_GENERATOR_SAMPLES),
    ):
        index = json.loads((reference / f"{source}.json").read_text())
        selected, tensors = cut(select(index), load_file(reference / f"{source}.safetensors"), most)
        write(stem, selected, tensors)
    for stem, names in (("liveportrait_checkpoints", checkpoint_index), ("joyvasa_checkpoint", generator_index)):
        (GOLDEN / f"{stem}.json").write_text(json.dumps(names(reference), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
