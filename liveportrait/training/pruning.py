"""Make thinner networks from trained ones by keeping the channels that weigh most.

Importance is the sum of the absolute weights that read or write a channel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.blocks import ResBlock, Spade, SpadeBlock
from liveportrait.mini.flow import ResidualFlow
from liveportrait.mini.painter import PatchDecoder
from liveportrait.mini.renderer import MiniConfig, MiniRenderer


def thinned(renderer: MiniRenderer, config: MiniConfig) -> MiniRenderer:
    """Return a copy of a renderer whose flow network and decoders have the widths of another config.

    Example:
        >>> thin = thinned(renderer, replace(renderer.config, flow_channels=16))
    """
    thin = MiniRenderer(config)
    pruned = ("flow.", "mouth.decoder.", "eyes.decoder.")
    kept = {name: value for name, value in renderer.state_dict().items() if not name.startswith(pruned)}
    thin.load_state_dict(kept, strict=False)
    thin.memory, thin.light, thin.teeth = renderer.memory, renderer.light, renderer.teeth
    prune_flow(renderer.flow, thin.flow)
    for old, new in ((renderer.mouth, thin.mouth), (renderer.eyes, thin.eyes)):
        prune_decoder(old.decoder, new.decoder)
    return thin.eval()


@torch.no_grad()
def prune_flow(old: ResidualFlow, new: ResidualFlow) -> None:
    """Copy the most important channels of a flow network into a thinner one."""
    full = _largest(_reads(old.last.weight) + _writes(old.up_0.weight), new.last.in_channels)
    half = _largest(_reads(old.up_0.weight) + _writes(old.up_1.weight), new.up_0.in_channels)
    blocks = list(old.middle)
    quarter = _largest(_importance(blocks) + _reads(old.up_1.weight), new.up_1.in_channels)
    _copy(old.first, new.first, full, torch.arange(old.INPUTS))
    _copy(old.down_0, new.down_0, half, full)
    _copy(old.down_1, new.down_1, quarter, half)
    for before, after in zip(blocks, new.middle, strict=True):
        _prune_convolutions(before, after, quarter)  # type: ignore[arg-type]
    _copy(old.up_1, new.up_1, half, quarter)
    _copy(old.up_0, new.up_0, full, half)
    _copy(old.last, new.last, torch.arange(old.last.out_channels), full)


@torch.no_grad()
def prune_decoder(old: PatchDecoder, new: PatchDecoder) -> None:
    """Copy the most important channels of a decoder into a thinner one with as many blocks."""
    quarter = old.channels // 4
    coarse = _largest(_importance(list(old.coarse)) + _reads(old.up.weight), new.channels)
    detail = _largest(_reads(old.merge.weight)[:quarter], new.channels // 4)
    fine = _largest(_importance(list(old.fine)) + _reads(old.last.weight), new.channels // 2)
    own = torch.arange(quarter, old.merge.in_channels)  # the source's share
    for before, after in zip(old.coarse, new.coarse, strict=True):
        _prune_block(before, after, coarse)  # type: ignore[arg-type]
    for before, after in zip(old.fine, new.fine, strict=True):
        _prune_block(before, after, fine)  # type: ignore[arg-type]
    _copy(old.first, new.first, coarse, torch.arange(old.first.in_channels))
    _copy(old.up, new.up, (4 * detail[:, None] + torch.arange(4)).flatten(), coarse)
    _copy(old.merge, new.merge, fine, torch.cat([detail, own]))
    _copy(old.last, new.last, torch.arange(old.last.out_channels), fine)


def _prune_block(old: SpadeBlock, new: SpadeBlock, kept: Tensor) -> None:
    inner = _prune_convolutions(old, new, kept)
    _prune_norm(old.norm_0, new.norm_0, kept)
    _prune_norm(old.norm_1, new.norm_1, inner)


def _prune_convolutions(old: ResBlock | SpadeBlock, new: ResBlock | SpadeBlock, kept: Tensor) -> Tensor:
    """Prune the two convolutions of a residual block; return which channels remain between them."""
    inner = _largest(_reads(old.conv_1.weight), len(kept))
    _copy(old.conv_0, new.conv_0, inner, kept)
    _copy(old.conv_1, new.conv_1, kept, inner)
    return inner


def _prune_norm(old: Spade, new: Spade, kept: Tensor) -> None:
    hidden = _largest(_reads(old.scale_shift.weight), new.shared.out_channels)
    shifts = kept + old.scale_shift.out_channels // 2
    _copy(old.shared, new.shared, hidden, torch.arange(old.shared.in_channels))
    _copy(old.scale_shift, new.scale_shift, torch.cat([kept, shifts]), hidden)


def _copy(old: torch.nn.Conv2d, new: torch.nn.Conv2d, outputs: Tensor, inputs: Tensor) -> None:
    new.weight.copy_(old.weight[outputs][:, inputs])
    new.bias.copy_(old.bias[outputs])  # type: ignore[union-attr, index]


def _importance(blocks: list[torch.nn.Module]) -> Tensor:
    """Sum over the blocks of a residual stream what reads and writes each of its channels."""
    return sum(_reads(b.conv_0.weight) + _writes(b.conv_1.weight) for b in blocks)  # type: ignore


def _reads(weight: Tensor) -> Tensor:
    """Return how much weight each input channel has."""
    return weight.abs().sum((0, 2, 3))


def _writes(weight: Tensor) -> Tensor:
    """Return how much weight each output channel has."""
    return weight.abs().sum((1, 2, 3))


def _largest(importance: Tensor, count: int) -> Tensor:
    """Return the numbers of the most important channels, in order."""
    return importance.topk(count).indices.sort().values
