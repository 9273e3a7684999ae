"""Train F, M, W and G. The draws of a step depend on seed and step alone, so that a resumed run is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from liveportrait.official import OfficialPortrait
from liveportrait.regions import GUIDE
from liveportrait.training.faces import (
    LEFT_EYE,
    LIP_POINTS,
    OVAL_POINTS,
    RIGHT_EYE,
    FaceBatch,
    FaceSampler,
    FaceSet,
    rows,
)
from liveportrait.training.loop import Figures, Trainer, TrainingError, schedule
from liveportrait.training.perception import Perception
from liveportrait.training.processes import Processes
from liveportrait.training.sizes import SIZES
from liveportrait.training.stage1 import keypoint_losses, picture_losses
from liveportrait.training.stage1.adversarial import (
    Discriminator,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
)
from liveportrait.training.stage1.config import Stage1Config
from liveportrait.training.stage1.networks import PARTS, KnownKeypoints, PairMotion, Stage1Networks, assemble, input_of
from liveportrait.training.stage1.validation import contact_sheet, reenactment
from liveportrait.training.stage1.warps import RandomWarp

GUIDED, GUIDE_ROWS = tuple(GUIDE), rows(tuple(GUIDE.values()))
"""The guided keypoints, and the rows of their landmarks."""
UPPER, LOWER = (11, 15, 20, 14), (13, 16, 19, 17)
"""Guided keypoints of lids, inner lips and outer lips, above and below."""
ABOVE_AND_BELOW = tuple(rows([GUIDE[k] for k in lids_and_lips]) for lids_and_lips in (UPPER, LOWER))
"""Rows of their landmarks."""
MASKS = ("warping.dense_motion_network.mask.", "warping.dense_motion_network.occlusion.")
"""Parameters of W that choose between motions, see `Stage1Config.mask_rate`."""
REGIONS: dict[str, tuple[tuple[tuple[int, ...], ...], float] | None] = {
    "whole": None,
    "face": ((OVAL_POINTS,), 1.1),
    "lips": ((LIP_POINTS,), 1.6),
    "eyes": ((LEFT_EYE, RIGHT_EYE), 1.8),
}
"""What the perceptual losses look at: the mesh points of each square, and its side over that of their box (margins are
guesses)."""
JUDGED = ("whole", "face", "lips")
"""Regions that have a discriminator."""

Losses = dict[str, Tensor]


class Stage1Trainer(Trainer[Stage1Config]):
    """A resumable run of stage I.

    Args:
        config: Settings.
        train: Faces to learn from.
        validation: Faces of other people, which measure.
        perception: VGG that compares pictures.
        identity: Face recognition network for L_faceid, pictures (B, 3, H, W) → embeddings (B, D); or None.
        start: A model to continue from.
        processes: The processes of the run.
    """

    def __init__(
        self,
        config: Stage1Config,
        train: FaceSet,
        validation: FaceSet | None,
        perception: Perception,
        identity: Callable[[Tensor], Tensor] | None = None,
        start: OfficialPortrait | None = None,
        processes: Processes | None = None,
    ) -> None:
        if config.size not in SIZES:
            raise TrainingError(f"size {config.size!r} is unknown; choose from {', '.join(SIZES)}")
        if unknown := set(config.frozen) - set(PARTS):
            raise TrainingError(f"frozen={config.frozen}: no network is called {min(unknown)}; give letters of FMWG")
        torch.manual_seed(config.seed)
        self.processes = processes or Processes(config.device)
        self.device, self.validation = self.processes.device, validation
        sizes = replace(SIZES[config.size], crop_scale=config.crop_scale)
        self.networks = Stage1Networks(sizes, start).to(self.device)
        widths = tuple(config.discriminator_widths * 2**n for n in range(config.discriminator_layers))
        self.discriminators = nn.ModuleDict({name: Discriminator(widths) for name in JUDGED}).to(self.device)
        self.perception, self.identity = perception.to(self.device), identity
        self.sampler = FaceSampler(train, config.seed, config.still_share, config.contrast_share)
        for letter in config.frozen:
            self.networks.get_submodule(PARTS[letter]).requires_grad_(False)
        super().__init__(config, self.networks, {"discriminators": self.discriminators})
        self.writes = self.processes.rank == 0
        rates = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2)}
        self.optimizers["generator_optimizer"] = torch.optim.Adam(self._groups(), **rates)
        self.optimizers["discriminator_optimizer"] = torch.optim.Adam(self.discriminators.parameters(), **rates)
        self.generate = self.processes.share(self.networks)
        motion = self.networks.motion_extractor
        self.extract = self.processes.share(motion) if config.motion_steps else motion
        self.judge = self.processes.share(_Judges(self.discriminators))

    def _groups(self) -> list[dict[str, object]]:
        """Return the parameters that learn, in groups with rates of their own.

        Their order does not depend on the rates, which may change when a run is continued.
        """
        rates = {"motion_extractor.": self.config.motion_rate, MASKS: self.config.mask_rate, "": 1.0}
        groups: dict[str | tuple[str, ...], list[nn.Parameter]] = {start: [] for start in rates}
        for name, parameter in self.networks.named_parameters():
            if parameter.requires_grad:
                groups[next(start for start in rates if name.startswith(start))].append(parameter)
        return [{"params": parameters, "factor": rates[start]} for start, parameters in groups.items() if parameters]

    @property
    def motion_alone(self) -> bool:
        """Whether only M learns in this step."""
        return self.step < self.config.motion_steps

    def learning_rate(self, factor: float) -> float:
        """Return the learning rate; the steps of M alone have a schedule of their own."""
        config, alone = self.config, self.config.motion_steps
        if self.motion_alone:
            return config.motion_peak * schedule(self.step, alone, config.warmup_steps)
        share = schedule(self.step - alone, config.num_steps - alone, config.warmup_steps)
        return factor * config.learning_rate * share

    def compute_gradients(self) -> Figures:
        """Draw the step's pairs and compute the gradients of all networks in `accumulate` parts."""
        config = self.config
        self.networks.train()
        for letter in config.frozen:
            self.networks.get_submodule(PARTS[letter]).eval()  # keeps its batch statistics, too
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        size = config.motion_batch if self.motion_alone else config.batch_size
        mine = self.processes.part(size, config.accumulate)
        batch = self.sampler.batch(self.step, size, self.device, mine)
        found: list[Losses] = []
        for number, part in enumerate(split(batch, config.accumulate)):
            random = torch.Generator().manual_seed(self._seed(number))
            warp = RandomWarp.draw(len(part.source), random, self.device)
            if self.motion_alone:
                found.append(self._motion_gradients(part, warp))
            else:
                found.append(self._part_gradients(part, warp, self.known_keypoints(part, random)))
        for parameters in (self.networks.parameters(), self.discriminators.parameters()):
            nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        means = torch.stack([torch.stack([loss.float() for loss in losses.values()]) for losses in found]).mean(0)
        return dict(zip(found[0], means.tolist(), strict=True))

    def _seed(self, part: int) -> int:
        return ((self.config.seed * 1_000_003 + self.step) * 64 + self.processes.rank) * 64 + part

    def _motion_gradients(self, batch: FaceBatch, warp: RandomWarp) -> Losses:
        """Add the gradients of M alone, from a part of a step; return its losses, unweighted."""
        with self._autocast():
            pictures = batch.source, batch.driving, warp.picture(batch.driving)
            size = self.networks.config.input_size
            heads = self.extract(torch.cat([input_of(picture, size) for picture in pictures]))
            losses = self.keypoint_losses(batch, PairMotion.read(heads), warp)
        (self._weighted(losses) / self.config.accumulate).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def known_keypoints(self, batch: FaceBatch, random: torch.Generator) -> KnownKeypoints | None:
        """Draw the pairs whose guided keypoints are the landmarks."""
        if not self.config.known_share:
            return None
        pairs = torch.rand(len(batch.source), generator=random) < self.config.known_share
        marks = batch.landmarks_s[:, GUIDE_ROWS], batch.landmarks_d[:, GUIDE_ROWS]
        return KnownKeypoints(pairs.to(self.device), GUIDED, *marks)

    def _part_gradients(self, batch: FaceBatch, warp: RandomWarp, known: KnownKeypoints | None) -> Losses:
        """Add a part's gradients; return its losses, unweighted."""
        config = self.config
        adversarial = self.step >= config.adversarial_start and (
            config.weights.adversarial > 0 or config.weights.feature_matching > 0
        )
        size = self.networks.config.input_size
        with self._autocast():
            warped = warp.picture(batch.driving)
            result = self.generate(*(input_of(p, size) for p in (batch.source, batch.driving, warped)), known)
            views = {name: views_of(name, result.picture, batch, size) for name in REGIONS}
            losses = self.keypoint_losses(batch, result.motion, warp) | self.picture_losses(views)
            if config.weights.landmark_flow > 0:
                marks = batch.landmarks_s, batch.landmarks_d
                losses["landmark_flow"] = keypoint_losses.landmark_flow(result.shift, *marks, *ABOVE_AND_BELOW)
            if config.weights.motion_balance > 0:
                losses["motion_balance"] = keypoint_losses.motion_balance(result.shares)
            judged = {name: views[name] for name in JUDGED}
            if adversarial:
                losses |= self.adversarial_losses(judged)
        (self._weighted(losses) / config.accumulate).backward()
        if adversarial:
            losses["discriminator"] = self.discriminator_loss(judged)
            (losses["discriminator"] / config.accumulate).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _weighted(self, losses: Losses) -> Tensor:
        weights = asdict(self.config.weights)
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.config.bfloat16)

    def keypoint_losses(self, batch: FaceBatch, motion: PairMotion, warp: RandomWarp) -> Losses:
        """Compute the losses of keypoints and pose that have a weight."""
        guides = batch.landmarks_s[:, GUIDE_ROWS], batch.landmarks_d[:, GUIDE_ROWS]
        both, marks = torch.cat([motion.x_s, motion.x_d]), torch.cat([batch.landmarks_s, batch.landmarks_d])
        above, below = (marks[:, lids_and_lips] for lids_and_lips in ABOVE_AND_BELOW)
        wanted: dict[str, Callable[[], Tensor]] = {
            "equivariance": lambda: keypoint_losses.equivariance(motion.x_d, motion.x_warped, warp),
            "keypoint_prior": lambda: keypoint_losses.keypoint_prior(both, GUIDED),
            "head_pose": lambda: keypoint_losses.head_pose(motion.angles_deg, batch.rotation),
            "deformation_prior": lambda: keypoint_losses.deformation_prior(motion.expression),
            "guide": lambda: keypoint_losses.guide(motion.x_s, motion.x_d, *guides, GUIDED),
            "openness": lambda: keypoint_losses.openness(both, above, below, UPPER, LOWER),
        }
        return {name: loss() for name, loss in wanted.items() if getattr(self.config.weights, name) > 0}

    def picture_losses(self, views: dict[str, tuple[Tensor, Tensor]]) -> Losses:
        """Compute the losses of the picture that have a weight; `views` holds shown and real picture of each region."""
        look = self.perception
        scales = [self.config.finest / 2**n for n in range(self.config.scales)]
        wanted: dict[str, Callable[[], Tensor]] = {
            "perceptual": lambda: picture_losses.perceptual(look, *views["whole"], scales),
            "perceptual_face": lambda: picture_losses.perceptual(look, *views["face"], scales),
            "perceptual_lips": lambda: picture_losses.perceptual(look, *views["lips"], [1.0]),
            "perceptual_eyes": lambda: picture_losses.perceptual(look, *views["eyes"], [1.0]),
            "reconstruction": lambda: picture_losses.reconstruction(*views["whole"]),
        }
        if self.identity is not None:
            embed = self.identity
            wanted["identity"] = lambda: picture_losses.identity(embed, *views["face"])
        return {name: loss() for name, loss in wanted.items() if getattr(self.config.weights, name) > 0}

    def adversarial_losses(self, views: dict[str, tuple[Tensor, Tensor]]) -> Losses:
        """Compute what the discriminators tell the generator; they do not learn from it."""
        self.discriminators.requires_grad_(False)
        judges = self.discriminators
        pairs = [(judges[name](shown), judges[name](real)) for name, (shown, real) in views.items()]
        self.discriminators.requires_grad_(True)
        return {
            "adversarial": torch.stack([generator_hinge(shown[-1].float()) for shown, _ in pairs]).sum(),
            "feature_matching": torch.stack([feature_matching(shown, real) for shown, real in pairs]).sum(),
        }

    def discriminator_loss(self, views: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Compute what the discriminators learn from, over all regions."""
        with self._autocast():
            verdicts = self.judge({name: torch.cat([real, shown.detach()]) for name, (shown, real) in views.items()})
        return torch.stack([discriminator_hinge(*verdict.float().chunk(2)) for verdict in verdicts]).sum()

    def averaged(self) -> OfficialPortrait:
        """Build a model for use from the averaged weights."""
        return assemble(self.average, self.networks.config, self.device)

    def validate(self) -> Figures:
        """Reenact people who are not trained on, with the averaged weights."""
        if self.validation is None:
            return {}
        return reenactment(self.averaged(), self.validation, self.perception)

    def pictures(self) -> Tensor | None:
        """Show source, driving picture and result of a few validation clips, one below the other, (3, H, W)."""
        return None if self.validation is None else contact_sheet(self.averaged(), self.validation)


class _Judges(nn.Module):
    """All discriminators as one network, so that several processes share one backward pass."""

    def __init__(self, discriminators: nn.ModuleDict) -> None:
        super().__init__()
        self.discriminators = discriminators

    def forward(self, pictures: dict[str, Tensor]) -> list[Tensor]:
        """Return each discriminator's verdict of its region."""
        return [self.discriminators[name](picture)[-1] for name, picture in pictures.items()]


def views_of(name: str, shown: Tensor, batch: FaceBatch, size: int) -> tuple[Tensor, Tensor]:
    """Cut a region out of generated and driving pictures; several squares follow one another in the batch."""
    chosen = REGIONS[name]
    if chosen is None:
        return shown, batch.driving
    squares, margin = chosen
    side = size if name == "face" else size // 2
    marks = [batch.landmarks_d[:, rows(points)] for points in squares]

    def cut(picture: Tensor) -> Tensor:
        return torch.cat([picture_losses.region(picture.float(), square, margin, side) for square in marks])

    return cut(shown), cut(batch.driving)


def split(batch: FaceBatch, parts: int) -> Iterator[FaceBatch]:
    """Divide a batch into equal parts."""
    pairs = (batch.source, batch.driving, batch.landmarks_s, batch.landmarks_d, *batch.rotation.chunk(2))
    for source, driving, marks_s, marks_d, turned_s, turned_d in zip(*(one.chunk(parts) for one in pairs), strict=True):
        yield FaceBatch(source, driving, marks_s, marks_d, torch.cat([turned_s, turned_d]))
