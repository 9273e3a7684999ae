"""The embedded renderer: what a frame takes in PyTorch and with OpenVINO's graphs, stage by stage, on the example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from liveportrait import LivePortrait, Portrait
from liveportrait.errors import WeightsError
from liveportrait.mini import MiniLivePortrait
from liveportrait.mini.renderer import SEEN_SIZE, MiniRenderer
from talkinghead.cli.demo import demo_inputs
from talkinghead.evaluation.benchmark.timing import Row, Settings, measure, precisions
from talkinghead.face import FaceDetector, make_crop
from talkinghead.media.image import read_image


def run(settings: Settings) -> Iterator[Row]:
    """Measure networks and whole frames at every batch size."""
    model = LivePortrait.from_pretrained(settings.model or "mini").to(settings.device)
    if not isinstance(model, MiniLivePortrait):
        raise WeightsError(f"{settings.model}: not a model like mini; give a folder of one")
    portrait = _portrait(model, settings)
    for precision in precisions(settings.device):
        model.set_precision(precision)
        for batch in settings.batches:
            yield from _rows(model, portrait, batch, f"{precision} OpenVINO", settings)
            with _without_graphs(model.renderer):
                yield from _rows(model, portrait, batch, f"{precision} PyTorch", settings)


def _portrait(model: MiniLivePortrait, settings: Settings) -> Portrait:
    picture = read_image(demo_inputs().portrait)
    crop, _ = make_crop(picture, FaceDetector().detect(picture)[0].landmarks)
    return model.encode(crop.to(torch.device(settings.device)))


@contextmanager
def _without_graphs(renderer: MiniRenderer) -> Iterator[None]:
    graphs, renderer.graphs = renderer.graphs, {}
    try:
        yield
    finally:
        renderer.graphs = graphs


def _rows(model: MiniLivePortrait, portrait: Portrait, batch: int, setting: str, s: Settings) -> Iterator[Row]:
    renderer = model.renderer

    def draw(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, device=s.device)

    calls: list[tuple[str, nn.Module, list[Tensor]]] = [
        ("W flow and light", renderer.flow, [draw(renderer.flow.INPUTS, SEEN_SIZE, SEEN_SIZE)])
    ]
    for name, (kind, painter) in zip(("G mouth", "G an eye"), renderer.patches()[:2], strict=True):
        features = draw(3 * painter.decoder.channels, kind.size // 4, kind.size // 4)
        calls.append((name, painter.decoder, [features, draw(painter.decoder.condition, kind.size, kind.size)]))
    for name, network, inputs in calls:
        parameters = sum(value.numel() for value in network.parameters())
        yield measure(name, batch, setting, partial(renderer.run, network, *inputs), parameters, s)
    x_d = portrait.x_s + 0.005 * (draw(1, 3) - 0.5)
    parameters = sum(value.numel() for value in renderer.parameters())
    yield measure("render", batch, setting, partial(model.picture_renderer(portrait), x_d, None), parameters, s)
