"""Train S, R_eyes, R_lip or the reader of openness; F, M, W and G are frozen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from liveportrait.keypoints import transform_keypoints
from liveportrait.modules.motion_extractor import FacePose, face_pose
from liveportrait.motion import Motion
from liveportrait.official import OfficialPortrait
from liveportrait.training.faces import FaceBatch, FaceSampler, FaceSet
from liveportrait.training.loop import Figures, Trainer, TrainingError
from liveportrait.training.processes import Processes
from liveportrait.training.stage1.networks import input_of, silence
from liveportrait.training.stage1.trainer import GUIDE_ROWS, GUIDED, LOWER, UPPER
from liveportrait.training.stage2.config import PARTS, Stage2Config
from liveportrait.training.stage2.losses import condition, masked_l1, opening_of, outside_mask, size_of, still_mask
from liveportrait.training.stage2.reader import OpennessReader, misplaced, opened, openness_of, reader_loss, varied

VALIDATION_BATCHES = 4
VALIDATION_SEED = 1_000_000


@dataclass(frozen=True)
class Posed:
    """Sources as the frozen networks see them.

    Attributes:
        f_s: Feature volumes of B sources.
        x_c: Canonical keypoints, shape (B, K, 3).
        motion: Motion of B sources.
        x_s: Their keypoints.
    """

    f_s: Tensor
    x_c: Tensor
    motion: Motion
    x_s: Tensor


class Stage2Trainer(Trainer[Stage2Config]):
    """A resumable run of stage II.

    Args:
        config: Settings; `config.part` says what learns.
        model: The model whose networks are frozen.
        train: Faces to learn from.
        validation: Faces of other people, which measure.
        reader: Trained reader of openness; needed for eyes and lips.
        processes: The processes of the run.
    """

    def __init__(
        self,
        config: Stage2Config,
        model: OfficialPortrait,
        train: FaceSet,
        validation: FaceSet | None,
        reader: OpennessReader | None = None,
        processes: Processes | None = None,
    ) -> None:
        if config.part not in (*PARTS, "reader"):
            raise TrainingError(f"part {config.part!r} is unknown; choose from reader, {', '.join(PARTS)}")
        if config.part in ("eyes", "lips") and reader is None:
            raise TrainingError(f"{config.part} need a reader of openness; train it first with `stage2 reader`")
        if config.known_steps and not model.config.guided:
            raise TrainingError("known_steps needs a model trained with `guide`; export it anew, or set known_steps=0")
        torch.manual_seed(config.seed)
        self.processes = processes or Processes(config.device)
        self.device = self.processes.device
        self.model = model.to(self.device).eval().requires_grad_(False)
        network = OpennessReader() if config.part == "reader" else model.get_submodule(PARTS[config.part])
        if config.part != "reader":
            restart(network)
        self.network = network.to(self.device).requires_grad_(True)
        self.reader = None if reader is None else reader.to(self.device).eval().requires_grad_(False)
        self.sampler = FaceSampler(train, config.seed, config.still_share, config.contrast_share)
        self.validation = validation
        super().__init__(config, self.network, {})
        self.writes = self.processes.rank == 0
        self.optimizers["optimizer"] = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        self.shared = self.processes.share(self.network)

    def compute_gradients(self) -> Figures:
        """Draw the step's pictures and compute the gradients."""
        config = self.config
        mine = self.processes.part(config.batch_size)
        batch = self.sampler.batch(self.step, config.batch_size, self.device, mine)
        random = torch.Generator().manual_seed((config.seed * 1_000_003 + self.step) * 64 + self.processes.rank)
        losses = self.losses(batch, random)
        self.network.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        return dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))

    def losses(self, batch: FaceBatch, random: torch.Generator) -> dict[str, Tensor]:
        """Compute the weighted losses of the part that learns."""
        if self.config.part == "reader":
            return self.reader_losses(batch, random)
        if self.config.part == "stitching":
            return self.stitching_losses(batch)
        known = self.step < self.config.known_steps
        return self.known_losses(batch, random) if known else self.openness_losses(batch, random)

    def reader_losses(self, batch: FaceBatch, random: torch.Generator) -> dict[str, Tensor]:
        """Compare landmarks found in real and generated pictures with those that are known.

        The generated pictures are the sources with their own motion. Driven by another picture they would open eyes and
        lips less than it does, and the reader would learn to say so of every generated picture.
        """
        pictures, marks = torch.cat([batch.source, batch.driving]), torch.cat([batch.landmarks_s, batch.landmarks_d])
        with torch.no_grad():
            source = self.pose(batch.source)
            shown = self.render(source, source.x_s)
        count = len(shown)
        pictures, marks = varied(torch.cat([pictures, shown]), torch.cat([marks, marks[:count]]), random)
        found = self.shared(pictures, misplaced(marks, random))
        return {
            "real": reader_loss(found[:, :-count], marks[:-count]),
            "generated": reader_loss(found[:, -count:], marks[-count:]),
        }

    def stitching_losses(self, batch: FaceBatch) -> dict[str, Tensor]:
        """L_st: with another person's motion, border and shoulders stay as the source reconstructs them."""
        weights = self.config.weights
        source, x_d = self.crossed(batch)
        stitched = self.shared(source.x_s, x_d)
        with torch.no_grad():
            wanted = self.render(source, source.x_s)
        mask, offset = still_mask(batch.landmarks_s, wanted.shape[-1]), stitched - x_d
        losses = {
            "outside": weights.stitching_outside * masked_l1(self.render(source, stitched), wanted, mask),
            "size": weights.stitching_size * size_of(offset),
        }
        if self.model.config.guided:
            losses["opening"] = weights.stitching_opening * opening_of(offset, UPPER, LOWER)
        return losses

    def openness_losses(self, batch: FaceBatch, random: torch.Generator) -> dict[str, Tensor]:
        """L_eyes or L_lip: open as asked, and unchanged elsewhere."""
        part, weights = self.config.part, self.config.weights
        source, wanted = self.pose(batch.source), self._draw_ratios(len(batch.source), random)
        offset = self.shared(source.x_s, self.openness(batch.landmarks_s), wanted)
        shown = self.render(source, source.x_s + offset)
        with torch.no_grad():
            kept = self.render(source, source.x_s)
        mask = outside_mask(batch.landmarks_s, kept.shape[-1], part)
        found = self.read(shown, batch.landmarks_s)
        return {
            "outside": getattr(weights, f"{part}_outside") * masked_l1(shown, kept, mask),
            "condition": getattr(weights, f"{part}_condition") * condition(found, wanted),
            "size": getattr(weights, f"{part}_size") * size_of(offset),
        }

    def known_losses(self, batch: FaceBatch, random: torch.Generator) -> dict[str, Tensor]:
        """Compare the offset with one that moves the guided keypoints as lids or lips have to move."""
        wanted = self._draw_ratios(len(batch.source), random)
        pose = self._find_pose(input_of(batch.source, self.model.config.input_size))
        x_s = transform_keypoints(pose.x_c, pose.motion)
        offset = self.shared(x_s, self.openness(batch.landmarks_s), wanted)
        move = opened(batch.landmarks_s, self.config.part, wanted) - batch.landmarks_s
        known = torch.zeros_like(offset)
        known[:, list(GUIDED), :2] = move[:, GUIDE_ROWS]
        return {"known": size_of(offset - known)}

    def _draw_ratios(self, count: int, random: torch.Generator) -> Tensor:
        """Draw how open eyes or lips shall be, (count, 1)."""
        return (self.config.most_open * torch.rand(count, 1, generator=random)).to(self.device)

    def pose(self, picture: Tensor) -> Posed:
        """Run F and M on pictures (B, 3, S, S) of the size that G returns."""
        small = input_of(picture, self.model.config.input_size)
        pose = self._find_pose(small)
        with torch.no_grad(), self._autocast():
            f_s = self.model.appearance_extractor(small).float()
        return Posed(f_s, pose.x_c, pose.motion, transform_keypoints(pose.x_c, pose.motion))

    def _find_pose(self, small: Tensor) -> FacePose:
        """Run M on pictures of the size that it reads."""
        with torch.no_grad(), self._autocast():
            return face_pose(self.model.motion_extractor(small))

    def render(self, source: Posed, x_d: Tensor) -> Tensor:
        """Run W and G; gradients reach x_d."""
        with self._autocast():
            warped = self.model.warping(self.model.warping.prepare(source.f_s), source.x_s, x_d)
            return self.model.generator(warped.feature).float()

    def crossed(self, batch: FaceBatch) -> tuple[Posed, Tensor]:
        """Pose the sources and give each the motion of the next pair's driving picture."""
        source, driving = self.pose(batch.source), self.pose(batch.driving)
        order = torch.arange(1, len(batch.source) + 1, device=self.device) % len(batch.source)
        return source, transform_keypoints(source.x_c, driving.motion[order])

    def openness(self, landmarks: Tensor) -> Tensor:
        """Return the openness of what learns, (B, 2) for eyes and (B, 1) for lips."""
        return openness_of(landmarks)[0 if self.config.part == "eyes" else 1]

    def read(self, shown: Tensor, near: Tensor) -> Tensor:
        """Read the openness of what learns in pictures."""
        assert self.reader is not None
        return self.openness(self.reader(shown, near))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.config.bfloat16)

    @torch.no_grad()
    def validate(self) -> Figures:
        """Measure on people who are not trained on, with the averaged weights."""
        if self.validation is None:
            return {}
        sampler = FaceSampler(self.validation, VALIDATION_SEED, 0.0)
        size, rows = max(2, self.config.batch_size), list[Figures]()
        with self.averaged_weights():
            for number in range(VALIDATION_BATCHES):
                batch = sampler.batch(number, size, self.device)
                rows.append(self._figures(batch, torch.Generator().manual_seed(number)))
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _figures(self, batch: FaceBatch, random: torch.Generator) -> Figures:
        """Figures of a batch with the network and, under `plain_`, without it.

        The reader's are its losses, and how far off it reads eyes and lips of real pictures.
        Eyes and lips are asked for ratios as in training, and, under `seen_`, for those of other real pictures.
        """
        if self.config.part == "reader":
            losses = {f"val_{name}": float(value) for name, value in self.reader_losses(batch, random).items()}
            marks = batch.landmarks_d
            (eyes, lips), real = openness_of(self.network(batch.driving, misplaced(marks, random))), openness_of(marks)
            errors = {"eyes_error": float(condition(eyes, real[0])), "lips_error": float(condition(lips, real[1]))}
            return losses | errors
        side = batch.source.shape[-1]
        if self.config.part == "stitching":
            source, x_d = self.crossed(batch)
            wanted, mask = self.render(source, source.x_s), still_mask(batch.landmarks_s, side)
            still = [masked_l1(self.render(source, x), wanted, mask) for x in (self.network(source.x_s, x_d), x_d)]
            return {"border": float(still[0]), "plain_border": float(still[1])}
        source, part = self.pose(batch.source), self.config.part
        drawn = self._draw_ratios(len(batch.source), random)
        seen = self.openness(batch.landmarks_d.roll(1, 0)).mean(1, keepdim=True)
        plain, mask = self.render(source, source.x_s), outside_mask(batch.landmarks_s, side, part)
        own, other = (0, 1) if part == "eyes" else (1, 0)
        assert self.reader is not None
        before, figures = openness_of(self.reader(plain, batch.landmarks_s)), Figures()
        for prefix, asked in (("", drawn), ("seen_", seen)):
            offset = self.network(source.x_s, self.openness(batch.landmarks_s), asked)
            shown = self.render(source, source.x_s + offset)
            after = openness_of(self.reader(shown, batch.landmarks_s))
            figures |= {
                f"{prefix}error": float(condition(after[own], asked)),
                f"{prefix}plain_error": float(condition(before[own], asked)),
                f"{prefix}other_moved": float((after[other] - before[other]).abs().mean()),
                f"{prefix}outside": float(masked_l1(shown, plain, mask)),
            }
        return figures


def restart(network: nn.Module) -> None:
    """Draw new weights for a small network whose last layer adds nothing at first."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    silence(network)
