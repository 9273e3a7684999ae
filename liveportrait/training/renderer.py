"""Train the embedded renderer.

    python liveportrait/training/perception.py --output runs/perception.safetensors
    python liveportrait/training/renderer.py --data DATA --run runs/renderer    # two CPU cores, two to three hours
    python liveportrait/training/renderer.py --data DATA --run runs/renderer --setting gpu

Stops and resumes at any time: the run folder holds the last checkpoint, the resolved config and the log. Every step's
data depend on the seed and the step alone. `--export DIR` writes the averaged weights as they ship.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from liveportrait.training.perception import Features, Perception, load_perception
from liveportrait.training.pairs import ClipSet, PairSampler, Shares, load_clips, load_stills
from liveportrait.training.losses import Discriminator, around_mouth, flow_loss, discriminator_loss, paint_loss, generator_loss
from safetensors.torch import load_file
from torch import Tensor, nn

from liveportrait.mini.face_model import FaceModel, lip_ratio
from liveportrait.mini.model import save
from liveportrait.mini.patches import patch_points, sample
from liveportrait.mini.renderer import SEEN_SIZE, MiniConfig, MiniRenderer, Painted
from liveportrait.training.metrics import self_reenactment
from liveportrait.writing import new_file

Gradients = Sequence[Tensor | None]
SEEN_STAGES, WINDOW = 4, 64
"""What is looked at of a patch: the fifth stage and all of a mouth's pixels would take three times as long."""


@dataclass(frozen=True)
class RendererTrainConfig:
    """Every number of a training run; `--set name=value` changes one.

    Attributes:
        steps: Length of the schedule.
        batch: Pairs per step.
        learning_rate: Peak, for painter and flow; the judge's is the same.
        warmup: Steps of linear rise.
        perceptual_weight: Weight of how different a patch looks (LPIPS).
        adversarial_start: First step whose patches have to persuade a judge, too.
        adversarial_weight: Weight of its verdict.
        occlusion_weight: Price of paint where warping would do.
        average: Decay of the weight average that ships.
        flow_picture: Side of the pictures that judge the flow.
        mouth_weight: How much more the surroundings of the mouth count for flow and light.
        parts: What learns: "all"; "flow", flow and light alone, in shorter steps; "paint", the painters alone.
        hole_weight: How much more the inside of mouth and eyes counts than the skin around them.
        open_share: Share of pairs that go from a closed mouth to an open one.
        shut_share: Share of pairs, among those, whose source is the driving picture with its mouth shut by hand.
        close_share: Share of pairs that go from an open mouth to a closed one.
        still_share: Share of pairs that are made of a still.
        detail: How much less clips count whose faces had few pixels where they came from: share of 200, to this power.
        validate_every: Steps between validations and checkpoints.
        bfloat16: Run the networks in bfloat16.
        threads: Shares of a batch that are computed side by side, each by one processor core.
        seed: Of everything.
        device: Where to train.
    """

    steps: int = 5000
    batch: int = 12
    learning_rate: float = 5e-4
    warmup: int = 100
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
    validate_every: int = 250
    bfloat16: bool = True
    threads: int = 2
    seed: int = 0
    device: str = "cpu"


PRESETS = {
    "cpu": RendererTrainConfig(),
    "gpu": RendererTrainConfig(
        steps=60_000, batch=64, adversarial_start=20_000, average=0.9995, validate_every=1000, threads=1, device="cuda"
    ),
}


class RendererTrainer:
    """Networks, optimisers and the loop's state."""

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
        self.config, self.validation, self.perception, self.step = config, validation, perception, 0
        self.renderer = MiniRenderer(networks)
        self.renderer.face.load_state_dict(face)
        self.renderer.precision = torch.bfloat16 if config.bfloat16 else torch.float32
        self.discriminators = nn.ModuleList(Discriminator(kind.num_masks) for kind, _ in self.renderer.patches()[:2])
        shares = Shares(config.open_share, config.shut_share, config.close_share, config.still_share, config.detail)
        knowing = FaceModel()
        knowing.load_state_dict(face)
        self.sampler = PairSampler(train, stills, knowing, config.seed, shares)
        for module in (self.renderer, self.discriminators, self.perception):
            module.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pool = ThreadPoolExecutor(config.threads)
        self.average = {name: value.clone() for name, value in self.renderer.state_dict().items()}
        rate = config.learning_rate
        self.painter_steps = torch.optim.Adam(self.renderer.parameters(), rate, betas=(0.9, 0.99))
        self.discriminator_steps = torch.optim.Adam(self.discriminators.parameters(), rate, betas=(0.5, 0.99))

    def rate(self) -> float:
        """Learning rate of this step: linear rise, then a cosine fall to 2 %."""
        rise = min(1.0, (self.step + 1) / self.config.warmup)
        fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * self.step / self.config.steps)).item())
        return self.config.learning_rate * rise * (0.02 + 0.98 * fall)

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
        for (kind, _), (place, patch) in zip(renderer.patches(), results, strict=True):
            points = patch_points(place, kind.size)
            painted.append(replace(patch, warped=warp.apply_at(source, points)))
            real.append(sample(driving, points))
        return loss, painted, real

    def train_step(self) -> dict[str, float]:
        """Draw a batch, share it among the threads, and update everything once."""
        config = self.config
        for group in self.painter_steps.param_groups + self.discriminator_steps.param_groups:
            group["lr"] = self.rate()
        batch = self.sampler.batch(self.step, config.batch)
        shares = zip(*(part.to(config.device).chunk(config.threads) for part in batch), strict=True)
        results = list(self.pool.map(self.gradients, shares))
        for modules, optimiser, which in ((self.renderer, self.painter_steps, 1), (self.discriminators, self.discriminator_steps, 2)):
            for parameter, *found in zip(modules.parameters(), *(result[which] for result in results), strict=True):
                parameter.grad = None if found[0] is None else sum(found) / len(found)  # type: ignore[assignment]
            nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
            optimiser.step()
        for name, value in self.renderer.state_dict().items():
            self.average[name].lerp_(value, 1 - min(config.average, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return {name: sum(result[0][name] for result in results) / len(results) for name in results[0][0]}

    def gradients(self, share: tuple[Tensor, ...]) -> tuple[dict[str, float], Gradients, Gradients]:
        """Find the losses of a share of the batch and their gradients for the renderer and for the judges."""
        config = self.config
        flow, painted, real = self.forward(*share)
        losses = {"flow": flow}
        for name, patch, target in zip(("mouth", "left", "right"), painted, real, strict=False):
            losses[name] = paint_loss(patch, target, config.hole_weight, config.occlusion_weight)
        total, discriminator_gradients = sum(losses.values()), [None] * len(list(self.discriminators.parameters()))
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
            seen = list(self.look(painted, real))
            if seen:
                losses["looks"] = sum(self.perception.distance(shown, true).mean() for _, shown, true, _ in seen)  # type: ignore[assignment]
                total = total + config.perceptual_weight * losses["looks"]
            if seen and self.step >= config.adversarial_start:
                losses["judge"] = sum(discriminator_loss(*one) for one in seen)  # type: ignore[assignment]
                discriminator_gradients = torch.autograd.grad(losses["judge"], list(self.discriminators.parameters()))
                persuading = sum(generator_loss(judge, shown, masks) for judge, shown, _, masks in seen)
                total = total + config.adversarial_weight * persuading
        gradients = torch.autograd.grad(total, list(self.renderer.parameters()), allow_unused=True)  # type: ignore
        return {name: float(value.detach()) for name, value in losses.items()}, gradients, discriminator_gradients

    def look(self, painted: list[Painted], real: list[Tensor]) -> Iterator[tuple[Discriminator, Features, Features, Tensor]]:
        """Look at a window of each patch, another one in every step.

        Yields:
            For each patch its judge, the features of the painted and of the real window, and its driving masks.
        """
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        mouth, eyes = self.discriminators
        for judge, patch, target in zip((mouth, eyes, eyes), painted, real, strict=False):
            left, top = torch.randint(max(1, target.shape[-1] - WINDOW + 1), (2,), generator=random).tolist()
            window = (..., slice(top, top + WINDOW), slice(left, left + WINDOW))
            shown, true = (self.perception.features(picture[window]) for picture in (patch.blended, target))
            yield judge, shown, true, patch.masks[window]  # type: ignore[misc]

    def state(self) -> dict:
        """Everything that a resumed run needs."""
        return {
            "step": self.step,
            "renderer": self.renderer.state_dict(),
            "average": self.average,
            "judges": self.discriminators.state_dict(),
            "painter_steps": self.painter_steps.state_dict(),
            "judge_steps": self.discriminator_steps.state_dict(),
        }

    def load(self, state: dict) -> None:
        """Go on from `state`."""
        self.step, self.average = state["step"], state["average"]
        for name in ("renderer", "judges", "painter_steps", "judge_steps"):
            getattr(self, name).load_state_dict(state[name])

    def validate(self) -> dict[str, float]:
        """Self-reenactment figures of the averaged weights."""
        clips = self.validation
        return self_reenactment(averaged(self.average, self.renderer.config), clips.frames, clips.points, clips.bounds)


def averaged(weights: dict[str, Tensor], networks: MiniConfig = MiniConfig()) -> MiniRenderer:  # noqa: B008 — frozen
    """Return the renderer with averaged weights, for validation and export."""
    renderer = MiniRenderer(networks)
    renderer.load_state_dict({name: value.cpu() for name, value in weights.items()})
    return renderer.eval()


@torch.no_grad()
def remember(renderer: MiniRenderer, clips: ClipSet, who: str | None) -> Tensor:
    """Return the features of a person's mouth where it is most shut, for `MiniRenderer.memory`.

    Without a name it is the person whose face is largest in the original video, because that mouth is sharpest.
    """
    who = who or max(zip(clips.face_pixels, clips.identities, strict=True))[1]
    own = [range(*bounds) for bounds, name in zip(clips.bounds, clips.identities, strict=True) if name == who]
    if not own:
        raise typer.BadParameter(f"nobody is called {who!r} in the training clips")
    openness = lip_ratio(clips.points)[:, 0]
    frame = min((n for clip in own for n in clip), key=lambda n: float(openness[n]))
    picture = torch.from_numpy(clips.frames[frame].copy()).permute(2, 0, 1)[None].float() / 255
    return renderer.encode(picture, clips.points[frame : frame + 1])[0].float()


def override(config: RendererTrainConfig, changes: list[str]) -> RendererTrainConfig:
    """Apply name=value pairs; unknown names are errors."""
    types = {field.name: type(getattr(config, field.name)) for field in fields(config)}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in types:
            raise typer.BadParameter(f"unknown setting {name!r}; one of {', '.join(types)}")
        value = text.lower() in ("1", "true", "yes") if types[name] is bool else types[name](text)
        config = replace(config, **{name: value})
    return config


def main(
    data: Annotated[Path, typer.Option(help="Folder with train/, val/, their landmarks and perhaps stills/.")],
    run: Annotated[Path, typer.Option(help="Folder for checkpoints, cache and log; resumed if it exists.")],
    face: Annotated[Path, typer.Option(help="Face model of fit_face_model.py.")] = Path("runs/face_model.safetensors"),
    perception: Annotated[Path, typer.Option(help="Network of perception.py.")] = Path("runs/perception.safetensors"),
    setting: Annotated[str, typer.Option(help="cpu or gpu.")] = "cpu",
    change: Annotated[list[str], typer.Option("--set", help="name=value, over the setting.")] = [],  # noqa: B006
    minutes: Annotated[float, typer.Option(help="Stop after this long; run again to go on.")] = 1e9,
    export: Annotated[Path | None, typer.Option(help="Write the averaged weights here and stop.")] = None,
    memory: Annotated[
        str | None, typer.Option(help="Identity whose mouth the exported weights remember; default: the largest face.")
    ] = None,
) -> None:
    """Train, resume or export."""
    checkpoint = run / "last.pt"
    if export is not None:
        renderer = averaged(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
        renderer.memory = remember(
            renderer, load_clips(data, "train", run.parent / "cache", permissive_only=True), memory
        )
        save(renderer, export)
        return
    config, begin = override(PRESETS[setting], change), time.monotonic()
    if config.device == "cpu":
        torch.set_num_threads(1 if config.threads > 1 else torch.get_num_threads())
    run.mkdir(parents=True, exist_ok=True)
    train = load_clips(data, "train", run.parent / "cache", permissive_only=True)
    stills = load_stills(data, run.parent / "cache" / "stills.npz")
    validation = load_clips(data, "val", run.parent / "cache", permissive_only=False)
    trainer = RendererTrainer(config, load_file(face), train, stills, validation, load_perception(perception, SEEN_STAGES))
    if checkpoint.exists():
        trainer.load(torch.load(checkpoint, map_location=config.device, weights_only=True))
    (run / "config.json").write_text(json.dumps(asdict(config), indent=2))
    with (run / "log.jsonl").open("a") as log:
        while trainer.step < config.steps and time.monotonic() - begin < 60 * minutes:
            entry = {"step": trainer.step, **trainer.train_step()}
            if trainer.step % 50 == 0:
                entry["minutes"] = (time.monotonic() - begin) / 60
                print(json.dumps({k: round(v, 4) for k, v in entry.items()}), file=log, flush=True)
            if trainer.step % config.validate_every == 0 or trainer.step == config.steps:
                print(json.dumps({"step": trainer.step, **trainer.validate()}), file=log, flush=True)
                with new_file(checkpoint, replace=True) as partial:
                    torch.save(trainer.state(), partial)


if __name__ == "__main__":
    typer.run(main)
