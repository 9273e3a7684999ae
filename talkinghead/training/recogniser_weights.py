"""Read the recogniser that hama (PyPI, Apache-2.0) carries: the encoder of the audio-to-motion model starts from it."""

from __future__ import annotations

import struct
from importlib.resources import files
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audio2motion.recogniser import Recogniser

MAGIC = b"HAMAPK"
KINDS = {0: np.float32, 1: np.float16}
MATRICES = ("ffn1.sequential.1", "ffn1.sequential.4", "self_attn.in_proj", "self_attn.out_proj",
            "ffn2.sequential.1", "ffn2.sequential.4")  # fmt: skip
"""The order in which a block's matrices are stored; they have numbers for names."""
NAMES = {
    "ffn1.norm": "ffn1.sequential.0",
    "ffn1.fc1": "ffn1.sequential.1",
    "ffn1.fc2": "ffn1.sequential.4",
    "attn_norm": "self_attn_layer_norm",
    "attn.in_proj_bias": "self_attn.in_proj_bias",
    "attn.out_proj": "self_attn.out_proj",
    "conv.norm": "conv_module.layer_norm",
    "conv.pointwise1": "conv_module.sequential.0",
    "conv.pointwise2": "conv_module.sequential.5",
    "ffn2.norm": "ffn2.sequential.0",
    "ffn2.fc1": "ffn2.sequential.1",
    "ffn2.fc2": "ffn2.sequential.4",
    "norm": "final_layer_norm",
}


class Entry(NamedTuple):
    """Where one tensor of the file lies.

    Attributes:
        name: Its name.
        kind: Its type, a key of KINDS.
        shape: Its shape.
        start: Its first byte, counted from the end of the table.
    """

    name: str
    kind: int
    shape: tuple[int, ...]
    start: int


def read_pack(data: bytes) -> dict[str, Tensor]:
    """Read hama's container: a table of names, types, shapes and places, then the numbers.

    Raises:
        ValueError: It is no such container.
    """
    if not data.startswith(MAGIC):
        raise ValueError("not a file of hama's")
    (count,), at = struct.unpack_from("<I", data, 8), 12
    entries: list[Entry] = []
    end = 0
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, dimensions = data[at + 2 + length], data[at + 3 + length]
        at += 4 + length
        shape = struct.unpack_from(f"<{dimensions}I", data, at)
        start, size = struct.unpack_from("<QQ", data, at + 4 * dimensions)
        at += 4 * dimensions + 16
        end = max(end, start + size)
        entries.append(Entry(name, kind, shape, start))
    first = len(data) - end
    return {
        e.name: torch.from_numpy(
            np.frombuffer(data, KINDS[e.kind], prod(e.shape), first + e.start).reshape(e.shape).astype(np.float32)
        )
        for e in entries
    }


def load_recogniser(recogniser: Recogniser) -> None:
    """Put hama's weights into a recogniser of its size."""
    pack = read_pack((files("hama") / "assets" / "asr_waveform.hama").read_bytes())
    matrices = [pack[name].T for name in pack if name.startswith("onnx::MatMul_")]
    convolutions = [pack[name] for name in pack if name.startswith("onnx::Conv_")]
    state = {"mel": pack["mel_fb"], "subsample.weight": convolutions[0], "subsample.bias": convolutions[1]}
    for name, value in pack.items():
        if name.startswith("acoustic_model.model.blocks."):
            number, rest = name.removeprefix("acoustic_model.model.blocks.").split(".", 1)
            state[f"conformer.conformer_layers.{number}.{_own_name(rest)}"] = value
    for number in range(len(recogniser.conformer.conformer_layers)):
        layer = f"conformer.conformer_layers.{number}"
        for name, matrix in zip(MATRICES, matrices[6 * number :], strict=False):
            state[f"{layer}.{name}{'_weight' if name.endswith('in_proj') else '.weight'}"] = matrix
        state[f"{layer}.conv_module.sequential.2.weight"] = convolutions[2 + 2 * number]
        state[f"{layer}.conv_module.sequential.2.bias"] = convolutions[3 + 2 * number]
    recogniser.load_state_dict(state)


def _own_name(name: str) -> str:
    for theirs, ours in NAMES.items():
        if name == theirs:
            return ours
        if name.startswith(f"{theirs}.") and name.count(".") == theirs.count(".") + 1:
            return name.replace(theirs, ours, 1)
    raise ValueError(f"hama's recogniser has a part {name!r} that this one lacks")
