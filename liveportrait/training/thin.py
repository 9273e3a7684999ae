"""Distil the networks that run for every frame into thinner ones that do the same in half the time.

Flow network and decoders start from the channels of their teachers that weigh most, and learn to warp and paint as
those do, from pictures and movements of the renderer's training. No picture is needed as truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.mouth_color import tint
from liveportrait.mini.painter import PatchDecoder
from liveportrait.mini.patches import draw_masks, patch_frame, patch_points, shown_share
from liveportrait.mini.prior_flow import prior_flow
from liveportrait.mini.renderer import SEEN_SIZE, MiniConfig, MiniRenderer
from liveportrait.mini.warp import Warp
from liveportrait.training.loop import Figures, Trainer
from liveportrait.training.losses import around_mouth, gradient_l1
from liveportrait.training.pairs import ClipSet, PairSampler, Shares
from liveportrait.training.pruning import thinned

REACH = (0.3, 1.5)  # how far a source moves towards the driving keypoints: beyond them as well
HIDDEN = 0.3  # share of pairs whose source is taken to show less of the mouth's inside than it does
SHARES = Shares(open=0.35, shut=0.3, close=0.35, still=0.1, detail=0.0)
VALIDATION = 12  # batches


@dataclass(frozen=True)
class ThinConfig:
    """Settings of a run; `--set name=value` changes one.

    Attributes:
        flow_channels: Width of the thin flow network.
        mouth_channels: Width of the mouth's thin decoder.
        mouth_hidden: Width of the path that conditions each of its norms.
        eye_channels: Width of the eyes' thin decoder.
        eye_hidden: Width of the path that conditions each of its norms.
        num_steps: Length of the run.
        batch_size: Pairs per step.
        learning_rate: Peak.
        warmup_steps: Steps of linear warm-up.
        flow_weight: Weight of the flow itself, over that of the warped picture.
        light_weight: The same of the light.
        mouth_weight: How much more the surroundings of the mouth count in the warped picture.
        inside_weight: How much more the inside of mouth and eyes counts.
        side: Side of the warped pictures that are compared.
        average: Decay of the weight average that is exported.
        seed: Of everything.
        device: Where to train.
    """

    flow_channels: int = 16
    mouth_channels: int = 48
    mouth_hidden: int = 8
    eye_channels: int = 32
    eye_hidden: int = 8
    num_steps: int = 3000
    batch_size: int = 6
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    flow_weight: float = 5.0
    light_weight: float = 1.0
    mouth_weight: float = 3.0
    inside_weight: float = 4.0
    side: int = 128
    average: float = 0.998
    seed: int = 0
    device: str = "cpu"

    def sizes(self, teacher: MiniConfig) -> MiniConfig:
        """Return the sizes of the thin renderer of a teacher."""
        return replace(
            teacher,
            flow_channels=self.flow_channels,
            mouth_decoder=self.mouth_channels,
            mouth_hidden=self.mouth_hidden,
            eye_decoder=self.eye_channels,
            eye_hidden=self.eye_hidden,
        )


@dataclass(frozen=True)
class Patch:
    """What is given of a patch before it is painted.

    Attributes:
        features: Of the source, with what is remembered of mouths, shape (B, 3 · encoded, S/4, S/4).
        condition: Of the decoder.
        warped: The warped patch, shape (B, 3, S, S).
        inside: Where mouth or eye is, and a little around it, shape (B, 1, S, S).
        light: Factor of the painted colours.
        opacity: Factor of the painted opacity.
    """

    features: Tensor
    condition: Tensor
    warped: Tensor
    inside: Tensor
    light: Tensor
    opacity: Tensor

    def painted_over(self, color: Tensor, occlusion: Tensor) -> Tensor:
        """Return the finished patch for what a decoder returns."""
        return self.warped + occlusion * self.opacity * ((color * self.light).clamp(0, 1) - self.warped)


@dataclass(frozen=True)
class Work:
    """What networks made of a batch: the warp, the warped pictures, and the finished patches of mouth and eyes."""

    warp: Warp
    picture: Tensor
    patches: list[Tensor]


class ThinTrainer(Trainer[ThinConfig]):
    """A resumable run.

    Args:
        config: Settings.
        teacher: The renderer to imitate, in float32.
        clips: What to learn from.
        stills: Single pictures to learn from.
        validation: Clips that measure.
        start: A thin renderer of these sizes to begin from; None to prune the teacher.
    """

    def __init__(
        self,
        config: ThinConfig,
        teacher: MiniRenderer,
        clips: ClipSet,
        stills: ClipSet,
        validation: ClipSet,
        start: MiniRenderer | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.teacher = teacher.requires_grad_(False).to(config.device)
        self.thin = thinned(start or teacher, config.sizes(teacher.config))
        self.thin.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sampler = PairSampler(clips, stills, teacher.face, config.seed, SHARES)
        nothing = replace(stills, frames=stills.frames[:0], points=stills.points[:0], bounds=[], identities=[])
        self.validation = PairSampler(validation, nothing, teacher.face, config.seed, SHARES)
        self.decoders: list[PatchDecoder] = [painter.decoder for _, painter in self.thin.patches()]
        self.learned = nn.ModuleDict({"flow": self.thin.flow, "mouth": self.decoders[0], "eyes": self.decoders[1]})
        self.learned.requires_grad_(True)
        super().__init__(config, self.learned, {})
        self.optimizers["optimizer"] = torch.optim.Adam(self.learned.parameters(), betas=(0.9, 0.98))

    def compute_gradients(self) -> Figures:
        """Imitate the teacher on a batch."""
        config = self.config
        theirs, mine, x_d, patches = self.work(self.sampler, self.step)
        near = around_mouth(x_d, config.side, config.mouth_weight)
        losses = {
            "picture": _difference(mine.picture, theirs.picture, near),
            "flow": config.flow_weight * (mine.warp.flow - theirs.warp.flow).abs().mean(),
            "light": config.light_weight * (mine.warp.light - theirs.warp.light).abs().mean(),
        }
        for name, shown, target, patch in zip(
            ("mouth", "left", "right"), mine.patches, theirs.patches, patches, strict=True
        ):
            losses[name] = _difference(shown, target, 1 + config.inside_weight * patch.inside)
        self.learned.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.learned.parameters(), 1.0)
        return {name: value.detach() for name, value in losses.items()}  # type: ignore[misc]

    def work(self, sampler: PairSampler, step: int) -> tuple[Work, Work, Tensor, list[Patch]]:
        """Draw a batch and let teacher and student work on it.

        Returns:
            What the teacher made, what the student made, the driving keypoints (B, K, 3), and the patches of mouth,
            left and right eye.
        """
        device, side, teacher = self.config.device, self.config.side, self.teacher
        source, x_s, _, x_d, view, _ = (part.to(device) for part in sampler.batch(step, self.config.batch_size))
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        reach = REACH[0] + (REACH[1] - REACH[0]) * torch.rand(len(x_s), 1, 1, generator=random).to(device)
        x_d = x_s + reach * (x_d - x_s)
        small, picture = (F.interpolate(source, (size, size), mode="area") for size in (SEEN_SIZE, side))
        with torch.no_grad():
            prior = prior_flow(teacher.face, x_s, x_d)
            inputs = teacher.flow_inputs(prior, small, x_s, x_d)
            warp = teacher.correct(prior, *teacher.run(teacher.flow, inputs))
            patches = self.patches(view, source, warp, x_s, x_d, random)
            made = [
                patch.painted_over(
                    *teacher.run(painter.decoder, painter.decoder.prepare(patch.features), patch.condition)
                )
                for patch, (_, painter) in zip(patches, teacher.patches(), strict=True)
            ]
        own = self.thin.correct(prior, *self.thin.flow(inputs))
        mine = [
            patch.painted_over(*decoder(decoder.prepare(patch.features), patch.condition))
            for patch, decoder in zip(patches, self.decoders, strict=True)
        ]
        return Work(warp, warp.apply(picture), made), Work(own, own.apply(picture), mine), x_d, patches

    def patches(
        self, view: Tensor, source: Tensor, warp: Warp, x_s: Tensor, x_d: Tensor, random: torch.Generator
    ) -> list[Patch]:
        """Prepare the patches as `MiniRenderer.paint` does: the painters look at `view` and paint over `source`."""
        pose, found = self.teacher.face.pose(x_d), []
        for (kind, painter), (_, seen) in zip(
            self.teacher.patches(), self.teacher.source_patches(view, x_s), strict=True
        ):
            frame = patch_frame(kind, pose)
            warped, masks = warp.apply_at(source, patch_points(frame, kind.size)), draw_masks(kind, frame, x_d)
            shown, features = shown_share(kind, x_s, x_d), painter.encoder(seen)
            light, opacity = torch.ones_like(shown), painter.fade
            if painter is self.teacher.mouth and self.teacher.memory is not None:
                shown = _hide(shown, random)
                features = torch.lerp(self.teacher.memory.float(), features, shown)
                light = torch.lerp(tint(warped, masks, self.teacher.light), light, shown)
                inside = F.max_pool2d(masks[:, :1], 3, 1, 1)
                opacity = opacity * (inside + shown * (1 - inside))
            condition = painter.condition(warped, masks, shown)
            found.append(Patch(features, condition, warped, F.max_pool2d(masks[:, :1], 7, 1, 3), light, opacity))
        return found

    def finished(self) -> MiniRenderer:
        """Return the renderer with the averaged weights of its thin networks."""
        self.learned.load_state_dict(self.average)
        return self.thin.cpu().eval()

    @torch.no_grad()
    def validate(self) -> Figures:
        """Compare averaged weights with the teacher on held-out clips.

        Returns:
            Peak signal-to-noise ratio in dB of the warped pictures, of the finished mouths and eyes, and their mean.
        """
        errors: dict[str, list[Tensor]] = {"warped": [], "mouth": [], "eyes": []}
        with self.averaged_weights():
            for step in range(VALIDATION):
                theirs, mine, _, _ = self.work(self.validation, step)
                pairs = zip([mine.picture, *mine.patches], [theirs.picture, *theirs.patches], strict=True)
                for name, (shown, target) in zip(("warped", "mouth", "eyes", "eyes"), pairs, strict=True):
                    errors[name].append((shown - target).square().mean())
        figures = {f"{name}_psnr": float(-10 * torch.stack(some).mean().log10()) for name, some in errors.items()}
        return {**figures, "psnr": sum(figures.values()) / len(figures)}


def _hide(shown: Tensor, random: torch.Generator) -> Tensor:
    """Take some sources to show less of the mouth's inside than they do: nothing, or a share."""
    less = torch.rand(shown.shape, generator=random) * (torch.rand(shown.shape, generator=random) < 0.5)
    hidden = torch.rand(shown.shape, generator=random) < HIDDEN
    return torch.where(hidden.to(shown.device), torch.minimum(less.to(shown), shown), shown)


def _difference(shown: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return ((shown - target).abs() * weight).mean() + gradient_l1(shown, target, weight)
