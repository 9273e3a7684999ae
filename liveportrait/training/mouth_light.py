"""Fit how the skin colours the remembered mouth, from portraits whose teeth are known."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.errors import PortraitError
from liveportrait.mini.mouth_color import skin_ratio
from liveportrait.mini.renderer import MiniRenderer
from liveportrait.training.mouth_batches import MouthBatches
from liveportrait.training.mouths import BY_HAND, STILL, MouthSet, choose_pairs, work_out
from liveportrait.training.teeth import brighter_half, fit_color

INSIDE = 0.6  # mask above which a pixel counts as inside
FEWEST = 25  # pixels of an inside that counts
CHUNK = 16
MOST = 150  # examples that are used; more change little


@torch.no_grad()
def fit_light(renderer: MiniRenderer, mouths: MouthSet, seed: int = 0, threads: int = 1) -> Tensor:
    """Fit `MiniRenderer.light` so that the teeth of stills that are shut by hand get the right colours.

    The logarithm of the factor that the painted teeth lack is fitted linearly to the logarithm of the skin's colour.
    Coloured light is added to both, since portraits differ in skin more than in light.

    Args:
        renderer: On the CPU, with a remembered mouth.
        mouths: Windows; those that are held out are not used.
        seed: Of the added light.
        threads: How many examples' warps are worked out at a time.

    Returns:
        Shape (3, 4).

    Raises:
        PortraitError: The renderer remembers no mouth, or fewer than four mouths are open enough.
    """
    if renderer.memory is None:
        raise PortraitError("the renderer remembers no mouth; take one that has a memory")
    usable = (mouths.kinds == STILL) & ~mouths.held_out
    pairs = [pair for pair in choose_pairs(mouths, renderer.face, seed) if pair[0] == BY_HAND and usable[pair[1]]]
    pairs = pairs[:: 1 + (len(pairs) - 1) // MOST]
    if len(pairs) < 4:
        raise PortraitError(f"{len(pairs)} open mouths among the stills; fitting needs at least 4")
    examples = work_out(renderer, mouths, pairs, threads)
    batches = MouthBatches(renderer.config.mouth_size, mouths, examples, renderer.face, "cpu", threads)
    found = [_lack(renderer, batches, which) for which in torch.arange(len(pairs)).split(CHUNK)]
    skin, lack = (torch.cat(parts) for parts in zip(*found, strict=True))
    return fit_color(skin, lack, seed)


def _lack(renderer: MiniRenderer, batches: MouthBatches, which: Tensor) -> tuple[Tensor, Tensor]:
    """Return log skin colours, and log factors between true and painted teeth, of examples with enough to see."""
    batch = batches.batch(which, None)
    painter = renderer.mouth
    condition = painter.condition(batch.warped, batch.masks, batch.shown)
    memory = renderer.memory.float().expand(len(which), -1, -1, -1).contiguous()  # type: ignore[union-attr]
    color, _ = renderer.run(painter.decoder, painter.decoder.prepare(memory), condition)
    skin, rows = skin_ratio(batch.warped, batch.masks).log(), []
    for own, mine, true, mask in zip(skin, color, batch.target, batch.masks[:, 0] > INSIDE, strict=True):
        if mask.sum() >= FEWEST:
            teeth = [brighter_half(picture[:, mask]).clamp_min(0.02).log() for picture in (mine, true)]
            rows.append((own, teeth[1] - teeth[0]))
    skins, lacks = zip(*rows, strict=True) if rows else ((), ())
    empty = skin.new_zeros(0, 3)
    return torch.cat([empty, *(s[None] for s in skins)]), torch.cat([empty, *(lack[None] for lack in lacks)])
