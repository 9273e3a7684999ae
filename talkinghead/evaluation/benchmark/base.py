"""The official networks: every stage, both ways of sampling, and the precisions that the device can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from liveportrait import weights
from liveportrait.config import OfficialConfig, Precision
from liveportrait.errors import WeightsError
from liveportrait.model import DTYPES
from liveportrait.modules.sampling import identity_grid, sample_volume, shift_volume
from liveportrait.motion import Crop, Motion, Portrait
from liveportrait.official import OfficialPortrait
from talkinghead.evaluation.benchmark.timing import Row, Settings, measure, precisions

PAPER_MS = 12.8
"""Milliseconds that the LivePortrait paper gives for W and G on a frame, on an RTX 4090."""


def run(settings: Settings) -> Iterator[Row]:
    """Measure every stage at every batch size."""
    model = _model(settings).to(settings.device)
    for precision in precisions(settings.device):
        product = _product(precision, settings)
        yield product
        # Rounding the weights once more does not change the time.
        model.set_precision(precision)
        for batch in settings.batches:
            yield from _stages(model, batch, f"{precision} eager", product, settings)
        if settings.device == "cuda":
            yield from _compiled(model, precision, product, settings)
    yield from _sampling(settings)


def _product(precision: Precision, s: Settings) -> Row:
    """Measure a large matrix product, which shows about how much the device can compute."""
    side = 8192 if s.device == "cuda" else 2048
    matrix = torch.randn(side, side, device=s.device).to(DTYPES[precision])
    return measure(f"product of matrices of {side}", 1, precision, lambda: matrix @ matrix, 0, s)


def judged(row: Row, product: Row) -> Row:
    """Put W and G beside the paper's time for a frame, and beside the speed of a matrix product at that precision."""
    times = row.milliseconds / row.batch / PAPER_MS
    share = row.gflop / row.milliseconds / (product.gflop / product.milliseconds)
    return replace(row, stage="W+G over the paper; share of peak", setting=f"{times:.2f} x; {share:.0%}")


def _model(settings: Settings) -> OfficialPortrait:
    if settings.model is None:
        torch.manual_seed(0)
        return OfficialPortrait(OfficialConfig(), needs_landmarks=True).eval().requires_grad_(False)
    model = weights.load(settings.model)
    if not isinstance(model, OfficialPortrait):
        raise WeightsError(f"{settings.model}: not an official model; give base, animals or a folder of one")
    return model


def _count(*networks: nn.Module) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


@torch.no_grad()
def _portrait(model: OfficialPortrait, batch: int, device: str) -> tuple[Portrait, Tensor]:
    """One source and a batch of driving keypoints."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    x_s = 0.3 * draw(1, 21, 3)
    crop = Crop(draw(1, 3, 256, 256))
    with model.running():
        f_s = model.appearance_extractor(crop.image)
    source = Portrait(x_s, Motion.still(1, 21).to(device), x_s, f_s, crop)
    return source, x_s + 0.05 * draw(batch, 21, 3)


def _stages(model: OfficialPortrait, batch: int, setting: str, product: Row, s: Settings) -> Iterator[Row]:
    source, x_d = _portrait(model, batch, s.device)
    crop = Crop(torch.rand(batch, 3, 256, 256, device=s.device))
    lips = torch.full((batch, 1), 0.3, device=s.device)

    def small() -> Tensor:
        return model.stitching(source.x_s, x_d + model.retarget_lip(source.x_s, lips[:1], lips))

    with model.running():
        prepared = model.warping.prepare(source.f_s)
        x_s = source.x_s.expand_as(x_d)
        feature = model.warping(prepared, x_s, x_d).feature
        calls = (
            ("F appearance", lambda: model.appearance_extractor(crop.image), [model.appearance_extractor]),
            ("M motion", lambda: model.motion_extractor(crop.image), [model.motion_extractor]),
            ("W warping", lambda: model.warping(prepared, x_s, x_d), [model.warping]),
            ("G generator", lambda: model.generator(feature), [model.generator]),
        )
        for name, call, networks in calls:
            yield measure(name, batch, setting, call, _count(*networks), s)
    yield measure("S and R_lip", batch, setting, small, _count(model.stitching, model.retarget_lip), s)
    whole = _count(model.warping, model.generator)
    row = measure("W+G, as render calls them", batch, setting, lambda: model.render(source, x_d), whole, s)
    yield row
    yield judged(row, product)


def _compiled(model: OfficialPortrait, precision: Precision, product: Row, s: Settings) -> Iterator[Row]:
    """W and G compiled, as upstream offers; the first calls compile and are not timed."""
    eager = model.warping, model.generator
    model.warping, model.generator = (torch.compile(network) for network in eager)  # type: ignore[assignment]
    try:
        for batch in s.batches:
            source, x_d = _portrait(model, batch, s.device)
            for _ in range(3):
                model.render(source, x_d)
            call = partial(model.render, source, x_d)
            row = measure("W+G", batch, f"{precision} compiled", call, _count(*eager), s)
            yield row
            yield judged(row, product)
    finally:
        model.warping, model.generator = eager


def _sampling(s: Settings) -> Iterator[Row]:
    """The two samplings inside W, each in every way that gives the same answer."""
    volume, compressed = (torch.randn(1, c, 16, 64, 64, device=s.device) for c in (32, 4))
    for batch in s.batches:
        shifts = 0.2 * torch.randn(batch, 22, 3, device=s.device)
        grid = identity_grid(volume) + 0.1 * torch.randn(batch, 16, 64, 64, 3, device=s.device)
        moved = (identity_grid(volume) + shifts[:, :, None, None, None]).flatten(1, 2)
        ways: dict[str, Callable[[], Tensor]] = {}
        for sampler in ("native", "planar"):
            ways[f"sample f_s, {sampler}"] = partial(sample_volume, volume, grid, sampler)
            ways[f"22 motions, {sampler}"] = partial(sample_volume, compressed, moved, sampler)
        ways["22 motions, matrix products"] = partial(shift_volume, compressed, shifts)
        for name in sorted(ways):
            yield measure(name, batch, "fp32 eager", ways[name], 0, s)
    yield from _rearranged(s)


def _rearranged(s: Settings) -> Iterator[Row]:
    """The rearranged convolutions against the plain ones that they equal."""
    from liveportrait.modules.exact_conv import DepthSplitConv3d, SingleOutputConv2d, conv_of_upsampled

    mask = DepthSplitConv3d(142, 22, 7, padding=3).to(s.device)
    occlusion = SingleOutputConv2d(2272, 1, 7, padding=3).to(s.device)
    shared = nn.Conv2d(256, 128, 3, padding=1).to(s.device)
    volume = torch.randn(1, 142, 16, 64, 64, device=s.device)
    feature = torch.randn(1, 256, 64, 64, device=s.device)
    pairs = (
        ("mask", lambda: nn.Conv3d.forward(mask, volume), lambda: mask(volume)),
        (
            "occlusion",
            lambda: nn.Conv2d.forward(occlusion, volume.flatten(1, 2)),
            lambda: occlusion(volume.flatten(1, 2)),
        ),
        (
            "conditioning x4",
            lambda: shared(F.interpolate(feature, scale_factor=4)),
            lambda: conv_of_upsampled(feature, shared.weight, shared.bias, 4),
        ),
    )
    for name, plain, rearranged in pairs:
        yield measure(f"{name}, plain", 1, "fp32 eager", plain, 0, s)
        yield measure(f"{name}, rearranged", 1, "fp32 eager", rearranged, 0, s)
