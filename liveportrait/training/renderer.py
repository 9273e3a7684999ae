"""Train the embedded renderer: flow and light, the painters of mouth and eyes, and their discriminators.

Every step's data depend on the seed and the step alone, so that a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.face_model import FaceModel, lip_ratio
from liveportrait.mini.painted import Painted
from liveportrait.mini.patches import patch_points, sample
from liveportrait.mini.renderer import SEEN_SIZE, MiniConfig, MiniRenderer
from liveportrait.training.loop import Figures, Trainer, TrainingError
from liveportrait.training.losses import (
    Discriminator,
    around_mouth,
    discriminator_loss,
    flow_loss,
    generator_loss,
    paint_loss,
)
from liveportrait.training.metrics import self_reenactment
from liveportrait.training.pairs import ClipSet, PairSampler, Shares
from liveportrait.training.perception import Features, Perception

Gradients = Sequence[Tensor | None]
NUM_STAGES, WINDOW = 4, 64
"""Stages of the perception and pixels of a patch that are compared; all of them would take three times as long."""


@dataclass(frozen=True)
class RendererTrainConfig:
    """Every number of a training run; `--set name=value` changes one.

    Attributes:
        num_steps: Length of the run.
        batch_size: Pairs per step.
        learning_rate: Peak, for painter and flow; the discriminator's is the same.
        warmup_steps: Steps of linear warm-up.
        perceptual_weight: Weight of how different a patch looks (LPIPS).
        adversarial_start: First step with discriminators.
        adversarial_weight: Weight of their loss.
        occlusion_weight: Price of paint where warping would do.
        average: Decay of the weight average that ships.
        flow_picture: Side of the pictures that discriminator the flow.
        mouth_weight: How much more the surroundings of the mouth count for flow and light.
        parts: What learns: "all"; "flow", flow and light alone, in shorter steps; "paint", the painters alone.
        hole_weight: How much more the inside of mouth and eyes counts than the skin around them.
        open_share: Share of pairs that go from a closed mouth to an open one.
        shut_share: Share of pairs, among those, whose source is the driving picture with its mouth shut by hand.
        close_share: Share of pairs that go from an open mouth to a closed one.
        still_share: Share of pairs that are made of a still.
        detail: How much less clips count whose faces had few pixels where they came from: share of 200, to this power.
        bfloat16: Run the networks in bfloat16.
        threads: Shares of a batch that are computed side by side, each by one processor core.
        seed: Of everything.
        device: Where to train.
    """

    num_steps: int = 5000
    batch_size: int = 12
    learning_rate: float = 5e-4
    warmup_steps: int = 100
    perceptual_weight: float = 1.0
    adversarial_start: int = 2500
    adversarial_weight: float = 0.004
    occlusion_weight: float = 0.004
    average: float = 0.998
    flow_picture: int = 128
    mouth_weight: float = 3.0
    parts: str = "all"
    hole_weight: float = 7.0
    open_share: float = 0.55
    shut_share: float = 0.2
    close_share: float = 0.25
    still_share: float = 0.1
    detail: float = 0.0
    bfloat16: bool = True
    threads: int = 2
    seed: int = 0
    device: str = "cpu"


PRESETS = {
    "cpu": RendererTrainConfig(),
    "gpu": RendererTrainConfig(
        num_steps=60_000, batch_size=64, adversarial_start=20_000, average=0.9995, threads=1, device="cuda"
    ),
}


class RendererTrainer(Trainer[RendererTrainConfig]):
    """A resumable training run of the embedded renderer.

    Args:
        config: Settings.
        face: Weights of the face model.
        train: Clips to learn from.
        stills: Single pictures of open mouths to learn from.
        validation: Clips that measure.
        perception: Network that compares pictures.
        networks: Sizes of the renderer's networks.
    """

    def __init__(
        self,
        config: RendererTrainConfig,
        face: dict[str, Tensor],
        train: ClipSet,
        stills: ClipSet,
        validation: ClipSet,
        perception: Perception,
        networks: MiniConfig = MiniConfig(),  # noqa: B008 — frozen
    ) -> None:
        torch.manual_seed(config.seed)
        self.validation, self.perception = validation, perception
        self.renderer = MiniRenderer(networks)
        self.renderer.face.load_state_dict(face)
        self.renderer.precision = torch.bfloat16 if config.bfloat16 else torch.float32
        self.discriminators = nn.ModuleList(Discriminator(kind.num_masks) for kind, _ in self.renderer.patches()[:2])
        face_model = FaceModel()
        face_model.load_state_dict(face)
        shares = Shares(config.open_share, config.shut_share, config.close_share, config.still_share, config.detail)
        self.sampler = PairSampler(train, stills, face_model, config.seed, shares)
        for module in (self.renderer, self.discriminators, self.perception):
            module.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pool = ThreadPoolExecutor(config.threads)
        super().__init__(config, self.renderer, {"discriminators": self.discriminators})
        rate = config.learning_rate
        self.optimizers["renderer_optimizer"] = torch.optim.Adam(self.renderer.parameters(), rate, betas=(0.9, 0.99))
        self.optimizers["discriminator_optimizer"] = torch.optim.Adam(
            self.discriminators.parameters(), rate, betas=(0.5, 0.99)
        )

    def forward(
        self, source: Tensor, x_s: Tensor, driving: Tensor, x_d: Tensor, view: Tensor, paired: Tensor
    ) -> tuple[Tensor, list[Painted], list[Tensor]]:
        """Run the renderer on a batch: the flow's loss, the painted patches and the real ones.

        The painters look at `view` and paint over `source`, so that they make nothing of its finest detail. From pairs
        that are not `paired`, one picture and itself shut, the flow learns nothing: the spline undoes what a spline has
        done.
        """
        renderer = self.renderer
        side = self.config.flow_picture
        small, before, after = (
            F.interpolate(picture, (size, size), mode="area")
            for picture, size in ((source, SEEN_SIZE), (source, side), (driving, side))
        )
        with torch.set_grad_enabled(self.config.parts != "paint"):
            warp = renderer.warp(small, x_s, x_d)
            weight = around_mouth(x_d, side, self.config.mouth_weight) * paired[:, None, None, None]
            loss = flow_loss(warp.apply(before), after, weight, warp)
        if self.config.parts == "flow":
            return loss, [], []
        warp = warp.detach()
        painted, real = [], []
        results = renderer.paint(view, renderer.encode(view, x_s), warp, x_s, x_d)
        for (kind, _), (_, place, patch) in zip(renderer.patches(), results, strict=True):
            points = patch_points(place, kind.size)
            painted.append(replace(patch, warped=warp.apply_at(source, points)))
            real.append(sample(driving, points))
        return loss, painted, real

    def compute_gradients(self) -> Figures:
        """Draw a batch, share it among the threads and collect their gradients."""
        config = self.config
        batch = self.sampler.batch(self.step, config.batch_size)
        shares = zip(*(part.to(config.device).chunk(config.threads) for part in batch), strict=True)
        results = list(self.pool.map(self.gradients, shares))
        for modules, which in ((self.renderer, 1), (self.discriminators, 2)):
            for parameter, *found in zip(modules.parameters(), *(result[which] for result in results), strict=True):
                parameter.grad = None if found[0] is None else sum(found) / len(found)  # type: ignore[assignment]
            nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        return {name: sum(result[0][name] for result in results) / len(results) for name in results[0][0]}

    def gradients(self, share: tuple[Tensor, ...]) -> tuple[dict[str, float], Gradients, Gradients]:
        """Find the losses of a share of the batch and their gradients for renderer and discriminators."""
        config = self.config
        flow, painted, real = self.forward(*share)
        losses = {"flow": flow}
        for name, patch, target in zip(("mouth", "left", "right"), painted, real, strict=False):
            losses[name] = paint_loss(patch, target, config.hole_weight, config.occlusion_weight)
        total, discriminator_gradients = sum(losses.values()), [None] * len(list(self.discriminators.parameters()))
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
            seen = list(self.look(painted, real))
            if seen:
                losses["perceptual"] = sum(self.perception.distance(shown, true).mean() for _, shown, true, _ in seen)  # type: ignore[assignment]
                total = total + config.perceptual_weight * losses["perceptual"]
            if seen and self.step >= config.adversarial_start:
                losses["discriminator"] = sum(discriminator_loss(*one) for one in seen)  # type: ignore[assignment]
                learned = list(self.discriminators.parameters())
                discriminator_gradients = torch.autograd.grad(losses["discriminator"], learned)  # type: ignore[arg-type]
                adversarial = sum(generator_loss(network, shown, masks) for network, shown, _, masks in seen)
                total = total + config.adversarial_weight * adversarial
        gradients = torch.autograd.grad(total, list(self.renderer.parameters()), allow_unused=True)  # type: ignore
        return {name: float(value.detach()) for name, value in losses.items()}, gradients, discriminator_gradients

    def look(
        self, painted: list[Painted], real: list[Tensor]
    ) -> Iterator[tuple[Discriminator, Features, Features, Tensor]]:
        """Look at a window of each patch, another one in every step.

        Yields:
            For each patch its discriminator, the features of the painted and of the real window, and its driving masks.
        """
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        mouth, eyes = self.discriminators
        for discriminator, patch, target in zip((mouth, eyes, eyes), painted, real, strict=False):
            left, top = torch.randint(max(1, target.shape[-1] - WINDOW + 1), (2,), generator=random).tolist()
            window = (..., slice(top, top + WINDOW), slice(left, left + WINDOW))
            shown, true = (self.perception.features(picture[window]) for picture in (patch.blended, target))
            yield discriminator, shown, true, patch.masks[window]  # type: ignore[misc]

    def validate(self) -> Figures:
        """Self-reenactment figures of the averaged weights."""
        renderer = MiniRenderer(self.renderer.config)
        renderer.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        clips = self.validation
        return self_reenactment(renderer.eval(), clips.frames, clips.points, clips.bounds)


@torch.no_grad()
def mouth_features(renderer: MiniRenderer, clips: ClipSet, who: str | None) -> Tensor:
    """Return the features of a person's mouth where it is most shut, for `MiniRenderer.memory`.

    Without a name it is the person whose face is largest in the original video, because that mouth is sharpest.
    """
    who = who or max(zip(clips.face_pixels, clips.identities, strict=True))[1]
    own = [range(*bounds) for bounds, name in zip(clips.bounds, clips.identities, strict=True) if name == who]
    if not own:
        raise TrainingError(f"nobody is called {who!r} in the training clips")
    openness = lip_ratio(clips.points)[:, 0]
    frame = min((n for clip in own for n in clip), key=lambda n: float(openness[n]))
    picture = clips.frames[frame].permute(2, 0, 1)[None].float() / 255
    painter, patch = next(renderer.source_patches(picture, clips.points[frame : frame + 1]))
    return renderer.run(painter.encoder, patch).float()
