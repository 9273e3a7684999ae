"""Spectral norm of the decoder while it trains; exported files keep its vectors, and loading folds it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import spectral_norm

from liveportrait.modules.generator import SpadeBlock, SpadeGenerator

POWER_STEPS = 200


def add_spectral_norm(generator: SpadeGenerator) -> None:
    """Normalise the weights that upstream normalises; their names become the official file's (weight_orig, _u, _v)."""
    for block in generator.modules():
        if isinstance(block, SpadeBlock):
            for name in ("conv_0", "conv_1", "conv_s")[: 2 + block.learned_shortcut]:
                spectral_norm(block.get_submodule(name))


def refresh_vectors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Recompute u and v of a state dict by power iteration; averages of unit vectors are not unit vectors."""
    fresh = dict(state)
    for name, value in state.items():
        if name.endswith(".weight_orig"):
            stem, matrix = name.removesuffix("orig"), value.flatten(1)
            u, v = F.normalize(state[stem + "u"], dim=0), state[stem + "v"]
            for _ in range(POWER_STEPS):
                v = F.normalize(matrix.t() @ u, dim=0)
                u = F.normalize(matrix @ v, dim=0)
            fresh |= {stem + "u": u, stem + "v": v}
    return fresh


@torch.no_grad()
def restore_spectral_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name a generator's folded weights as `add_spectral_norm` does, with the vectors of their largest singular value.

    That value is one, so the network computes the same as before.
    """
    restored = {}
    for name, value in state.items():
        if name.endswith((".conv_0.weight", ".conv_1.weight", ".conv_s.weight")):
            u, _, v = torch.linalg.svd(value.flatten(1), full_matrices=False)
            restored |= {f"{name}_orig": value, f"{name}_u": u[:, 0].contiguous(), f"{name}_v": v[0].contiguous()}
        else:
            restored[name] = value
    return restored
