"""Train the mouth's painter alone: mouths that their sources do not show have to be invented, sharp and in their light.

Every step's data depend on the seed and the step alone, so that a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.painted import Painted
from liveportrait.mini.renderer import MiniRenderer
from liveportrait.training.loop import Figures, Trainer
from liveportrait.training.losses import Discriminator, add_scaled, discriminator_loss, generator_loss, gradient_l1
from liveportrait.training.mouth_batches import Batch, MouthBatches
from liveportrait.training.mouths import BY_HAND, CORNERS, FRAMES, OPENED, MouthSet, choose_pairs, work_out
from liveportrait.training.perception import Perception

COARSE = 8  # pixels over which colours inside the mouth are averaged before they are compared
HIDDEN_EDGES = 0.8  # how much less edges count inside a mouth that the source does not show


@dataclass(frozen=True)
class MouthTrainConfig:
    """Settings of a training run; `--set name=value` changes one.

    Attributes:
        num_steps: Length of the run.
        batch_size: Examples per step.
        learning_rate: Peak, for painter and discriminator.
        warmup_steps: Steps of linear warm-up.
        by_hand_share: Share of examples that are stills shut by hand.
        opened_share: Share of stills that are shut and opened; the other examples are pairs of a clip's frames.
        perceptual_weight: Weight of how different a patch looks (LPIPS).
        hole_weight: How much more the inside of a mouth that the source shows counts than what is around it.
        colour_weight: Weight of the inside's colours, averaged over some pixels.
        adversarial_start: First step with a discriminator.
        adversarial_share: Size of its gradient, over that of the other losses.
        occlusion_weight: Price of paint where warping would do.
        average: Decay of the weight average that is exported.
        bfloat16: Run the networks in bfloat16.
        seed: Of everything.
        device: Where to train.
    """

    num_steps: int = 4000
    batch_size: int = 12
    learning_rate: float = 6e-4
    warmup_steps: int = 100
    by_hand_share: float = 0.5
    opened_share: float = 0.15
    perceptual_weight: float = 1.0
    hole_weight: float = 3.0
    colour_weight: float = 2.0
    adversarial_start: int = 500
    adversarial_share: float = 0.5
    occlusion_weight: float = 0.004
    average: float = 0.998
    bfloat16: bool = True
    seed: int = 0
    device: str = "cpu"


MOUTH_PRESETS = {
    "cpu": MouthTrainConfig(),
    "gpu": MouthTrainConfig(num_steps=12_000, batch_size=64, adversarial_start=800, device="cuda"),
}


class MouthTrainer(Trainer[MouthTrainConfig]):
    """A resumable training run of the mouth's painter.

    Args:
        config: Settings.
        renderer: On the CPU; its face model and flow stay as they are.
        mouths: What to learn from.
        perception: Network that compares pictures.
        threads: How many examples' warps are worked out at a time.
    """

    def __init__(
        self,
        config: MouthTrainConfig,
        renderer: MiniRenderer,
        mouths: MouthSet,
        perception: Perception,
        threads: int = 1,
    ) -> None:
        device = config.device
        self.examples = work_out(renderer, mouths, choose_pairs(mouths, renderer.face, config.seed), threads)
        size = renderer.config.mouth_size
        self.batches = MouthBatches(size, mouths, self.examples, renderer.face, device, threads)
        torch.manual_seed(config.seed)
        self.painter, self.perception = renderer.mouth, perception
        self.discriminator = Discriminator(len(CORNERS))
        for module in (self.painter, self.discriminator, self.perception):
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        held_out, kinds = self.examples.held_out, self.examples.kinds
        self.learned = {kind: ((kinds == kind) & ~held_out).nonzero()[:, 0] for kind in (BY_HAND, FRAMES, OPENED)}
        self.validation = held_out.nonzero()[:, 0]
        super().__init__(config, self.painter, {"discriminator": self.discriminator})
        rate = config.learning_rate
        self.optimizers["painter_optimizer"] = torch.optim.Adam(self.painter.parameters(), rate, betas=(0.9, 0.99))
        self.optimizers["discriminator_optimizer"] = torch.optim.Adam(
            self.discriminator.parameters(), rate, betas=(0.5, 0.99)
        )

    def compute_gradients(self) -> Figures:
        """Draw a batch and set the gradients of painter and discriminator."""
        config, batch = self.config, self.draw(self.step)
        known, network = batch.known, self.discriminator
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
            painted = self.paint(batch)
            shown = painted.blended.detach().requires_grad_()
            seen, real = self.perception.features(shown), self.perception.features(batch.target[:known])
            losses = self.picture_losses(shown, batch)
            distance = self.perception.distance([part[:known] for part in seen], real).mean()
            losses["perceptual"] = config.perceptual_weight * distance
            aside = self.paint_losses(painted, batch)
        adversarial = self.step >= config.adversarial_start
        (gradient,) = torch.autograd.grad(sum(losses.values()), shown, retain_graph=adversarial)  # type: ignore[arg-type]
        if adversarial:
            with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
                losses["generator"] = generator_loss(network, seen, batch.masks)
                losses["discriminator"] = discriminator_loss(network, seen, real, batch.masks, batch.masks[:known])
            (wanted,) = torch.autograd.grad(losses["generator"], shown)
            gradient = add_scaled(gradient, wanted, config.adversarial_share)
            learned = list(network.parameters())
            for parameter, found in zip(learned, torch.autograd.grad(losses["discriminator"], learned), strict=True):
                parameter.grad = found
        self.painter.zero_grad()
        torch.autograd.backward([painted.blended, sum(aside.values())], [gradient, None])  # type: ignore[list-item]
        for module in (self.painter, network):
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        return {name: value.detach() for name, value in {**losses, **aside}.items()}  # type: ignore[return-value]

    def paint(self, batch: Batch) -> Painted:
        """Run encoder and decoder as `MiniRenderer.paint` does."""
        condition = self.painter.condition(batch.warped, batch.masks, batch.shown)
        color, occlusion = self.painter.decoder(self.painter(batch.source), condition)
        return Painted(batch.warped, color, occlusion * self.painter.fade, batch.masks)

    def picture_losses(self, shown: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Errors of the finished patches (B, 3, S, S) where the truth is known.

        Where the source shows the inside, each pixel of it counts; where it does not, mostly colours of some width do,
        since the mean of all likely teeth is a blur.
        """
        shown, target, visible = shown[: batch.known], batch.target[: batch.known], batch.shown[: batch.known]
        inside = batch.masks[: batch.known, :1]
        hole = F.max_pool2d(inside, 7, 1, 3)
        weight = 1 + self.config.hole_weight * hole * visible
        edges = weight - HIDDEN_EDGES * hole * (1 - visible)
        mine, true, share = (F.avg_pool2d(part, COARSE) for part in (shown * inside, target * inside, inside))
        return {
            "l1": ((shown - target).abs() * weight).mean() + gradient_l1(shown, target, edges),
            "colour": self.config.colour_weight * (mine - true).abs().sum() / (3 * share.sum().clamp_min(1.0)),
        }

    def paint_losses(self, painted: Painted, batch: Batch) -> dict[str, Tensor]:
        """Price paint outside the mouth, and the lack of it inside where the warp would show stretched lips."""
        inside = painted.masks[:, :1]
        hole = F.max_pool2d(inside, 7, 1, 3)
        lacking = ((1 - painted.occlusion) * inside * (1 - batch.shown)).mean()
        return {"occlusion": self.config.occlusion_weight * (painted.occlusion * (1 - hole)).mean() + lacking}

    def draw(self, step: int) -> Batch:
        """Draw a step's batch: stills shut by hand and pairs of frames, of which the truth is known, then others."""
        config = self.config
        random = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        opened = round(config.batch_size * config.opened_share) if len(self.learned[OPENED]) else 0
        frames = round(config.batch_size * (1 - config.by_hand_share - config.opened_share))
        frames = frames if len(self.learned[FRAMES]) else 0
        counts = {BY_HAND: config.batch_size - opened - frames, FRAMES: frames, OPENED: opened}
        drawn = [
            self.learned[kind][torch.randint(len(self.learned[kind]), (count,), generator=random)]
            for kind, count in counts.items()
            if count
        ]
        return self.batches.batch(torch.cat(drawn), config.batch_size - opened, random)

    @torch.no_grad()
    def validate(self) -> Figures:
        """Judge the averaged weights on the stills that are held out: LPIPS, colour and sharpness of the inside."""
        if not len(self.validation):
            return {}
        batch = self.batches.batch(self.validation, len(self.validation), None)
        with self.averaged_weights():
            shown = self.paint(batch).blended
        inside = (batch.masks[:, :1] > 0.5).float()
        mean = [(p * inside).sum((2, 3)) / inside.sum((2, 3)).clamp_min(1) for p in (shown, batch.target)]
        detail = [(laplacian(p).square() * inside).sum((1, 2, 3)) for p in (shown, batch.target)]
        looks = self.perception(shown, batch.target).mean()
        return {
            "looks": -float(looks),
            "colour error": float((mean[0] - mean[1]).abs().mean()),
            "sharpness": float((detail[0] / detail[1].clamp_min(1e-6)).median()),
        }


def laplacian(pictures: Tensor) -> Tensor:
    """Return how the luma differs from that around it, shape (T, 1, S, S)."""
    luma = pictures.mean(1, keepdim=True)
    return luma - F.avg_pool2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), 3, 1)
