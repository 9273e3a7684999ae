"""Distil the mouth's decoder into a thinner one that paints the same in half the time.

The thin decoder starts from the channels of its teacher that weigh most and learns to paint what the teacher paints,
whether the source shows the mouth's inside or not. No picture is needed as truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.renderer import MiniRenderer
from liveportrait.training.loop import Figures, Trainer
from liveportrait.training.losses import gradient_l1
from liveportrait.training.mouth_batches import Batch, MouthBatches
from liveportrait.training.mouths import BY_HAND, FRAMES, OPENED, MouthSet, choose_pairs, work_out
from liveportrait.training.pruning import prune

HIDDEN = 0.3  # share of examples whose source is taken to show less of the inside than it does


@dataclass(frozen=True)
class ThinConfig:
    """Settings of a run; `--set name=value` changes one.

    Attributes:
        channels: Width of the thin decoder.
        hidden: Width of the path that conditions each of its norms.
        num_steps: Length of the run.
        batch_size: Examples per step.
        learning_rate: Peak.
        warmup_steps: Steps of linear warm-up.
        inside_weight: How much more the inside of the mouth counts.
        layer_weight: Weight of the decoder's two results by themselves, over that of the finished picture.
        average: Decay of the weight average that is exported.
        seed: Of everything.
        device: Where to train.
    """

    channels: int = 64
    hidden: int = 16
    num_steps: int = 2000
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    inside_weight: float = 4.0
    layer_weight: float = 0.3
    average: float = 0.998
    seed: int = 0
    device: str = "cpu"


def with_thin_mouth(renderer: MiniRenderer, channels: int, hidden: int) -> MiniRenderer:
    """Return a copy of a renderer with a thinner, pruned decoder of the mouth."""
    config = replace(renderer.config, mouth_decoder=channels, mouth_hidden=hidden)
    thin = MiniRenderer(config)
    kept = {name: value for name, value in renderer.state_dict().items() if not name.startswith("mouth.decoder.")}
    thin.load_state_dict(kept, strict=False)
    thin.memory, thin.light = renderer.memory, renderer.light
    prune(renderer.mouth.decoder, thin.mouth.decoder)
    return thin.eval()


@dataclass(frozen=True)
class Painting:
    """What a decoder paints: colour (B, 3, S, S) and opacity (B, 1, S, S), and both over the warped patch."""

    color: Tensor
    occlusion: Tensor
    shown: Tensor


class ThinTrainer(Trainer[ThinConfig]):
    """A resumable run.

    Args:
        config: Settings.
        teacher: The renderer to imitate, in float32 on the CPU.
        mouths: Mouths to paint.
        threads: How many examples' warps are worked out at a time.
    """

    def __init__(self, config: ThinConfig, teacher: MiniRenderer, mouths: MouthSet, threads: int = 1) -> None:
        torch.manual_seed(config.seed)
        thin = with_thin_mouth(teacher, config.channels, config.hidden)
        self.examples = work_out(teacher, mouths, choose_pairs(mouths, teacher.face, config.seed), threads)
        size, device = teacher.config.mouth_size, config.device
        self.batches = MouthBatches(size, mouths, self.examples, teacher.face, device, threads)
        self.teacher = teacher.mouth.requires_grad_(False).to(device)
        self.memory = None if teacher.memory is None else teacher.memory.float().to(device)
        self.student = thin.mouth.decoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        known = ~self.examples.held_out
        self.learned = [((self.examples.kinds == k) & known).nonzero()[:, 0] for k in (BY_HAND, OPENED, FRAMES)]
        self.validation = self.examples.held_out.nonzero()[:, 0]
        super().__init__(config, self.student, {})
        self.optimizers["optimizer"] = torch.optim.Adam(self.student.parameters(), betas=(0.9, 0.98))

    def compute_gradients(self) -> Figures:
        """Imitate the teacher on a batch."""
        batch, shown = self.draw(self.step)
        theirs, mine = self.paint(batch, shown)
        inside = F.max_pool2d(batch.masks[:, :1], 3, 1, 1)
        weight = 1 + self.config.inside_weight * inside
        picture = ((mine.shown - theirs.shown).abs() * weight).mean() + gradient_l1(mine.shown, theirs.shown, weight)
        color = ((mine.color - theirs.color).abs() * theirs.occlusion * weight).mean()
        layers = self.config.layer_weight * (color + (mine.occlusion - theirs.occlusion).abs().mean())
        self.student.zero_grad()
        (picture + layers).backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        return {"picture": picture.detach(), "layers": layers.detach()}  # type: ignore[dict-item]

    def paint(self, batch: Batch, shown: Tensor) -> tuple[Painting, Painting]:
        """Paint with teacher and student as `MiniRenderer.paint` does, for mouths of which so much is shown."""
        with torch.no_grad():
            features = self.teacher.encoder(batch.source)
            if self.memory is not None:
                features = torch.lerp(self.memory, features, shown)  # what prepares them is linear
            condition = self.teacher.condition(batch.warped, batch.masks, shown)
            target = self.teacher.decoder(self.teacher.decoder.prepare(features), condition)
        found = self.student(self.student.prepare(features), condition)
        inside = F.max_pool2d(batch.masks[:, :1], 3, 1, 1)
        seen = shown if self.memory is not None else torch.ones_like(shown)
        keep = self.teacher.fade * (inside + seen * (1 - inside))
        theirs, mine = (
            Painting(color, occlusion * keep, batch.warped + occlusion * keep * (color - batch.warped))
            for color, occlusion in (target, found)
        )
        return theirs, mine

    def draw(self, step: int) -> tuple[Batch, Tensor]:
        """Draw a step's batch, and how much of each mouth its source shows."""
        config, random = self.config, torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        quarter = config.batch_size // 4
        counts = (quarter, quarter, config.batch_size - 2 * quarter)
        drawn = [
            kind[torch.randint(len(kind), (count,), generator=random)]
            for kind, count in zip(self.learned, counts, strict=True)
            if len(kind)
        ]
        batch = self.batches.batch(torch.cat(drawn), 0, random)
        size = batch.shown.shape
        less = torch.rand(size, generator=random) * (torch.rand(size, generator=random) < 0.5)
        hidden = torch.rand(size, generator=random) < HIDDEN
        return batch, torch.where(hidden.to(batch.shown.device), less.to(batch.shown), batch.shown)

    @torch.no_grad()
    def validate(self) -> Figures:
        """Compare averaged weights with the teacher on mouths that are held out: peak signal-to-noise ratio in dB."""
        if not len(self.validation):
            return {}
        errors = []
        with self.averaged_weights():
            for part in self.validation.split(self.config.batch_size):
                batch = self.batches.batch(part, 0, None)
                for shown in (batch.shown, torch.zeros_like(batch.shown)):
                    theirs, mine = self.paint(batch, shown)
                    errors.append((mine.shown - theirs.shown).square().mean())
        return {"psnr": float(-10 * torch.stack(errors).mean().log10())}
