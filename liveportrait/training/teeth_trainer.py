"""Train the painter of teeth: mouths that are shut by hand open again, as they were or as mouths of speech do.

Every step's data depend on the seed and the step alone, so that a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.mouth_color import colourfulness, skin_ratio
from liveportrait.mini.painted import Painted
from liveportrait.mini.patches import MOUTH, blurred, parted, sample
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.regions import LIPS_INNER
from liveportrait.mini.renderer import MiniRenderer
from liveportrait.mini.teeth import TEETH, shift_of, show_teeth
from liveportrait.mini.teeth_painter import PAINTED, Opening, TeethPainter
from liveportrait.training.loop import Figures, Trainer, TrainingError
from liveportrait.training.losses import Discriminator, add_scaled, discriminator_loss, generator_loss
from liveportrait.training.mouth_batches import Batch, MouthBatches, View
from liveportrait.training.mouths import BY_HAND, CLIP, LENT, MouthSet, choose_pairs, work_out
from liveportrait.training.perception import Perception
from liveportrait.training.teeth import brighter_half

MIDDLE = (0.0, (TEETH.centre[1] - MOUTH.centre[1]) / MOUTH.half_side)
REACH = TEETH.half_side / MOUTH.half_side
VIEW = View(MIDDLE, REACH, PAINTED.size)
"""Where the patch of the teeth lies in that of the mouth."""

LOOKED_AT = 160
"""Side at which the perception sees patches: lips are about as large in them as in the boxes of `evaluate mouths`."""

COARSE = 12  # pixels over which colours inside the mouth are averaged before they are compared
FOOTAGE = 2  # pixels over which footage is averaged, which is softer than portraits
HIDDEN = 0.2  # most of the inside that a source may show
RIM = 5  # width of the rim of a mouth's inside that is no part of its detail
TOOTH = (3, 9)  # widths in pixels between which detail is as wide as teeth
LEAST_DETAIL = 0.5  # sum of detail that hardly counts: openings without common pixels
INSIDE, FEWEST = 0.5, 15
"""Mask above which a pixel counts as inside, and how many of them a mouth needs for its teeth to be measured."""


@dataclass(frozen=True)
class TeethTrainConfig:
    """Settings of a training run; `--set name=value` changes one.

    Attributes:
        channels: Width of the painter.
        num_steps: Length of the run.
        batch_size: Examples per step.
        learning_rate: Peak, for painter and discriminator.
        warmup_steps: Steps of linear warm-up.
        clip_share: Share of examples that are footage; half of the others are stills shut by hand, half are the same
            stills opened as mouths of footage are.
        pixel_weight: Weight of the difference of pixels.
        perceptual_weight: Weight of how different a patch looks (LPIPS).
        colour_weight: Weight of the inside's colours, averaged over some pixels.
        steady_weight: Weight of the difference in fine detail between two openings of one still.
        lips_weight: Price of painting on lips.
        adversarial_start: First step with a discriminator.
        adversarial_share: Size of its gradient, over that of the other losses.
        average: Decay of the weight average that is exported.
        bfloat16: Run the networks in bfloat16.
        seed: Of everything.
        device: Where to train.
    """

    channels: int = 48
    num_steps: int = 2000
    batch_size: int = 12
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    clip_share: float = 0.15
    pixel_weight: float = 0.5
    perceptual_weight: float = 1.0
    colour_weight: float = 0.5
    steady_weight: float = 0.15
    lips_weight: float = 0.01
    adversarial_start: int = 300
    adversarial_share: float = 0.4
    average: float = 0.998
    bfloat16: bool = True
    seed: int = 0
    device: str = "cpu"


TEETH_PRESETS = {
    "cpu": TeethTrainConfig(),
    "gpu": TeethTrainConfig(num_steps=3000, batch_size=48, device="cuda"),
}


class Work(NamedTuple):
    """What a step works on; pictures of shape (B, 3, S, S), S of `PAINTED`.

    Attributes:
        opening: What the painter sees.
        sharp: The crop, with the mouth that is painted so far.
        truth: What should be painted.
        stills: So many examples, the first ones, are stills whose own mouth is the truth; the truth of others is soft.
        lent: So many examples, the next ones, are the same stills, opened as mouths of footage are.
    """

    opening: Opening
    sharp: Tensor
    truth: Tensor
    stills: int
    lent: int = 0


class TeethTrainer(Trainer[TeethTrainConfig]):
    """A resumable training run of the painter of teeth.

    Args:
        config: Settings.
        renderer: On the CPU, with sets of teeth; it is moved to the run's device and stays as it is.
        mouths: What to learn from.
        perception: Network that compares pictures.
        threads: How many examples' warps are worked out at a time.

    Raises:
        TrainingError: The renderer has no sets of teeth, or there is no open still.
    """

    def __init__(
        self,
        config: TeethTrainConfig,
        renderer: MiniRenderer,
        mouths: MouthSet,
        perception: Perception,
        threads: int = 1,
    ) -> None:
        if renderer.teeth is None:
            raise TrainingError("the renderer has no sets of teeth; make them with `train.py mouths teeth`")
        device = config.device
        examples = work_out(renderer, mouths, choose_pairs(mouths, renderer.face, config.seed), threads)
        self.batches = MouthBatches(renderer.config.mouth_size, mouths, examples, renderer.face, device, threads)
        self.renderer, self.bank = renderer.to(device), renderer.teeth.to(device)
        learned = ~examples.held_out & (examples.shown.flatten() < HIDDEN)
        footage, lent = (mouths.kinds == CLIP)[examples.source], examples.kinds == LENT
        by_hand = ~footage & (examples.kinds == BY_HAND)
        self.stills, self.footage = ((learned & which).nonzero()[:, 0] for which in (by_hand, footage))
        self.validation = (examples.held_out & by_hand).nonzero()[:, 0]
        sources = examples.source[torch.cat([self.stills, self.validation])]
        of_still = [(lent & (examples.source == n)).nonzero()[:, 0] for n in sources]
        self.lent, self.lent_validation = (
            torch.stack(part) if part else torch.empty(0, 0, dtype=torch.long)
            for part in (of_still[: len(self.stills)], of_still[len(self.stills) :])
        )
        if not len(self.stills):
            raise TrainingError("no open mouth among the stills; give a file of `prepare.py mouths` that has some")
        torch.manual_seed(config.seed)
        self.painter, self.perception = TeethPainter(config.channels), perception
        self.discriminator = Discriminator(len(PAINTED.polygons))
        for module in (self.painter, self.discriminator, self.perception):
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(config, self.painter, {"discriminator": self.discriminator})
        rate = config.learning_rate
        self.optimizers["painter_optimizer"] = torch.optim.Adam(self.painter.parameters(), rate, betas=(0.9, 0.99))
        self.optimizers["discriminator_optimizer"] = torch.optim.Adam(
            self.discriminator.parameters(), rate, betas=(0.5, 0.99)
        )

    def compute_gradients(self) -> Figures:
        """Draw a batch and set the gradients of painter and discriminator."""
        config, network, work = self.config, self.discriminator, self.draw(self.step)
        stills, masks = work.stills, work.opening.masks[:, :2]
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
            painted, finished = self.paint(work)
            shown = finished.detach().requires_grad_()
            mine, true = (torch.cat([each[:stills], soft(each[stills:])]) for each in (shown, work.truth))
            seen = self.perception.features(enlarged(mine))
            with torch.no_grad():
                real = self.perception.features(enlarged(true))
            losses = self.picture_losses(mine, true, masks[:, :1])
            losses["steady"] = config.steady_weight * unsteadiness(shown, masks[:, :1], stills, work.lent)
            losses["perceptual"] = config.perceptual_weight * self.perception.distance(seen, real).mean()
            lips = config.lips_weight * painted.occlusion.mean()
        adversarial = self.step >= config.adversarial_start and config.adversarial_share > 0
        (gradient,) = torch.autograd.grad(sum(losses.values()), shown, retain_graph=adversarial)  # type: ignore[arg-type]
        if adversarial:
            ours, theirs = ([part[:stills] for part in each] for each in (seen, real))
            with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
                losses["generator"] = generator_loss(network, ours, masks[:stills])
                losses["discriminator"] = discriminator_loss(network, ours, theirs, masks[:stills])
            (wanted,) = torch.autograd.grad(losses["generator"], shown)
            gradient = add_scaled(gradient, wanted, config.adversarial_share)
            learned = list(network.parameters())
            for parameter, found in zip(learned, torch.autograd.grad(losses["discriminator"], learned), strict=True):
                parameter.grad = found
        self.painter.zero_grad()
        torch.autograd.backward([finished, lips], [gradient, None])  # type: ignore[list-item]
        for module in (self.painter, network):
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        return {name: value.detach() for name, value in losses.items()}  # type: ignore[return-value]

    def paint(self, work: Work) -> tuple[Painted, Tensor]:
        """Paint as `MiniRenderer.paint` does.

        Returns:
            What is painted, and the finished patches, shape (B, 3, S, S).
        """
        seen = work.opening.seen().contiguous(memory_format=torch.channels_last)
        change, share = self.painter(seen)
        painted = work.opening.painted(change, share)
        return painted, work.sharp * (1 - painted.veil) + painted.addition

    def picture_losses(self, shown: Tensor, truth: Tensor, inside: Tensor) -> dict[str, Tensor]:
        """Errors of finished patches (B, 3, S, S) by pixel, and of the inside's colours over some pixels."""
        mine, true, share = (F.avg_pool2d(part, COARSE) for part in (shown * inside, truth * inside, inside))
        return {
            "l1": self.config.pixel_weight * (shown - truth).abs().mean(),
            "colour": self.config.colour_weight * (mine - true).abs().sum() / (3 * share.sum().clamp_min(1.0)),
        }

    def draw(self, step: int) -> Work:
        """Draw a step's examples: stills shut by hand, the same stills opened as footage is, then footage."""
        config, random = self.config, torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        footage = round(config.batch_size * config.clip_share) if len(self.footage) else 0
        stills = (config.batch_size - footage) // 2 if self.lent.shape[1] else config.batch_size - footage
        chosen = torch.randint(len(self.stills), (stills,), generator=random)
        which, lent = [self.stills[chosen]], 0
        if self.lent.shape[1]:
            lent = stills
            which.append(self.lent[chosen, torch.randint(self.lent.shape[1], (stills,), generator=random)])
        if footage:
            which.append(self.footage[torch.randint(len(self.footage), (footage,), generator=random)])
        alike = torch.cat([torch.arange(stills), torch.arange(lent), stills + torch.arange(footage)])
        sets = torch.randint(len(self.bank), (stills + footage,), generator=random)[alike]
        return self.look(torch.cat(which), random, sets, alike)._replace(stills=stills, lent=lent)

    @torch.no_grad()
    def look(
        self,
        which: Tensor,
        random: torch.Generator | None = None,
        sets: Tensor | None = None,
        alike: Tensor | None = None,
    ) -> Work:
        """Sample examples, moved and recoloured if something draws.

        Args:
            which: Examples, shape (B,).
            random: Draws, or None.
            sets: Which teeth they get, shape (B,), or None for those that the skin chooses.
            alike: As in `MouthBatches.batch`.
        """
        state = random.get_state() if random else None
        whole = self.batches.batch(which, random, alike)
        if random is not None and state is not None:
            random.set_state(state)  # the same movement and light
        patch = self.batches.batch(which, random, alike, VIEW)
        examples = self.batches.examples[which.to(self.config.device)]
        skin = skin_ratio(whole.warped, whole.masks)
        sets = self.bank.nearest(skin.log()) if sets is None else sets.to(skin.device)
        sharp, below = self.painted_so_far(whole, patch)
        lips = self.in_patch(examples.outlines_s[:, : len(LIPS_INNER)])
        places = self.in_patch(patch.place) - shift_of(lips)[:, None, None]
        teeth = show_teeth(self.bank.pictures[sets].float() / 255, places, skin, self.bank.light, patch.masks)
        lent = adapted(patch.target, skin_ratio(whole.target, whole.masks), skin)
        lent = torch.lerp(sharp, lent, parted(patch.masks))
        truth = torch.where((examples.kinds == LENT)[:, None, None, None], lent, patch.target)
        opening = Opening(below, teeth, patch.masks, places, skin, torch.ones_like(patch.shown))
        return Work(opening, sharp, truth, len(which))

    def painted_so_far(self, whole: Batch, patch: Batch) -> tuple[Tensor, Tensor]:
        """Return `Work.sharp` and `Work.below`, from the mouth's patch."""
        features = self.renderer.mouth(whole.source)
        mouth = self.renderer.paint_own_mouth(features, whole.warped, whole.masks, whole.shown)
        middle = whole.warped.new_tensor(MIDDLE)
        places = middle + REACH * pixel_grid(PAINTED.size, PAINTED.size).to(middle)
        below, addition, veil = (
            sample(each, places.expand(len(each), -1, -1, -1)) for each in (mouth.blended, mouth.addition, mouth.veil)
        )
        return patch.warped * (1 - veil) + addition, below

    @staticmethod
    def in_patch(points: Tensor) -> Tensor:
        """Map positions (..., 2) in the mouth's patch to that of the teeth."""
        return (points - points.new_tensor(MIDDLE)) / REACH

    @torch.no_grad()
    def validate(self) -> Figures:
        """Judge the averaged weights on the stills that are held out: LPIPS, colour and sharpness of the teeth."""
        if not len(self.validation):
            return {}
        work, count = self.look(self.validation), len(self.validation)
        with self.averaged_weights():
            _, finished = self.paint(work)
            lent = [self.look(which) for which in self.lent_validation.T]
            both = [torch.cat([finished, self.paint(other)[1]]) for other in lent]
        masks = [torch.cat([work.opening.masks, other.opening.masks])[:, :1] for other in lent]
        unsteady = [float(unsteadiness(p, m, count, count)) for p, m in zip(both, masks, strict=True)]
        inside = work.opening.masks[:, :1] > INSIDE
        errors = [
            float((brighter_half(mine[:, mask[0]]) - brighter_half(true[:, mask[0]])).abs().mean())
            for mine, true, mask in zip(finished, work.truth, inside, strict=True)
            if mask.sum() >= FEWEST
        ]
        detail = [(laplacian(p).square() * inside).sum((1, 2, 3)) for p in (finished, work.truth)]
        return {
            "looks": -float(self.perception(enlarged(finished), enlarged(work.truth)).mean()),
            "colour error": sum(errors) / max(len(errors), 1),
            "unsteadiness": sum(unsteady) / max(len(unsteady), 1),
            "sharpness": float((detail[0] / detail[1].clamp_min(1e-6)).median()),
        }


def with_teeth_painter(renderer: MiniRenderer, weights: Mapping[str, Tensor]) -> MiniRenderer:
    """Return a copy of a renderer that has a painter of teeth with the averaged weights of a run."""
    channels = weights["down.weight"].shape[0]
    made = MiniRenderer(replace(renderer.config, teeth_channels=channels))
    made.load_state_dict(renderer.state_dict(), strict=False)
    made.teeth_painter.load_state_dict(weights)  # type: ignore[union-attr]
    made.memory, made.light, made.teeth = renderer.memory, renderer.light, renderer.teeth
    return made.eval()


def adapted(pictures: Tensor, theirs: Tensor, skin: Tensor) -> Tensor:
    """Give the inside of mouths (B, 3, S, S) the brightness of other skin, half of its tint, and its lack of colours.

    Both skins are from `skin_ratio`.
    """
    colours, ratio = colourfulness(skin), skin / theirs
    brightness = ratio.mean(1, keepdim=True)
    light = brightness.clamp(0.5, 2.0) * (ratio / brightness).clamp(0.5, 2.0).pow(0.5 * colours)
    grey = pictures.mean(1, keepdim=True)
    return (torch.lerp(grey, pictures, colours[..., None, None]) * light[..., None, None]).clamp(0, 1)


def unsteadiness(shown: Tensor, inside: Tensor, stills: int, lent: int) -> Tensor:
    """Compare the fine detail of finished patches, the first `stills` with the next `lent`, inside both mouths.

    Teeth keep their place in the head, however far the lips are open. The difference is relative to the detail, so that
    it does not pay to blur it: 0 if both are the same, 1 if they have nothing in common. Detail is what is as wide as
    teeth; of single pixels a pattern that means nothing would be painted.
    """
    if not lent:
        return shown.new_zeros(())
    detail = blurred(shown, TOOTH[0]) - blurred(shown, TOOTH[1])
    deep = -F.max_pool2d(-inside, RIM, 1, RIM // 2)
    (mine, other), (own, its) = (each[: stills + lent].split([stills, lent]) for each in (detail, deep))
    both = own * its
    difference, size = ((each * both).sum((1, 2, 3)) for each in ((mine - other).abs(), mine.abs() + other.abs()))
    return (difference / (size + LEAST_DETAIL)).mean()


def soft(pictures: Tensor) -> Tensor:
    """Take the detail from pictures that footage does not have."""
    return F.interpolate(F.avg_pool2d(pictures, FOOTAGE), pictures.shape[2:], mode="bilinear")


def enlarged(pictures: Tensor) -> Tensor:
    """Enlarge patches for the perception."""
    return F.interpolate(pictures, (LOOKED_AT, LOOKED_AT), mode="bilinear")


def laplacian(pictures: Tensor) -> Tensor:
    """Return how the luma differs from that around it, shape (T, 1, S, S)."""
    luma = pictures.mean(1, keepdim=True)
    return luma - blurred(luma, 3)
