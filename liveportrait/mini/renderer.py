"""The embedded renderer: flow = spline + learned residual; mouth and eyes are painted over the warped picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.errors import WeightsError
from liveportrait.hub import sha256
from liveportrait.mini.dense_residual import place_dense_residual
from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.flow import ResidualFlow
from liveportrait.mini.graph import Graph, write_graph
from liveportrait.mini.painter import PatchDecoder, PatchEncoder
from liveportrait.mini.patches import (
    LEFT_EYE_PATCH,
    MOUTH,
    RIGHT_EYE_PATCH,
    PatchKind,
    draw_masks,
    edge_fade,
    paste_patch,
    patch_frame,
    patch_points,
    sample,
    shown_share,
)
from liveportrait.mini.prior_flow import FLOW_SIZE, prior_flow
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import FACE_OVAL, rows

GRAPHS = ("flow", "mouth", "eyes")
SEEN_SIZE = 64  # of the pictures that the flow network looks at
FACE_SOFTNESS = 0.03
USUAL_SKIN = (0.60, 0.43, 0.35)  # mean colour of the skin around a mouth over the people of the training footage


@dataclass(frozen=True)
class MiniConfig:
    """Sizes of the embedded networks.

    Attributes:
        num_mouth: Mouth components of the expression basis.
        num_brows: Brow components.
        flow_channels: Width of the residual flow network.
        mouth_channels: Width of the mouth's encoder and decoder.
        eye_channels: Width of the eyes' encoder and decoder.
        mouth_blocks: Coarse SPADE blocks of the mouth's decoder.
        eye_blocks: Coarse SPADE blocks of the eyes' decoder.
    """

    num_mouth: int = 16
    num_brows: int = 6
    flow_channels: int = 32
    mouth_channels: int = 96
    eye_channels: int = 48
    mouth_blocks: int = 3
    eye_blocks: int = 2


@dataclass(frozen=True)
class Painted:
    """A painted patch and what it was painted over, each of shape (T, C, S, S).

    Attributes:
        warped: The warped source.
        color: The decoder's picture.
        occlusion: Share of the decoder's picture, zero at the patch's border.
        masks: The driving masks.
    """

    warped: Tensor
    color: Tensor
    occlusion: Tensor
    masks: Tensor

    @property
    def change(self) -> Tensor:
        """What the paint adds to the warped patch."""
        return self.occlusion * (self.color - self.warped)

    @property
    def blended(self) -> Tensor:
        """The finished patch."""
        return self.warped + self.change

    def darkened(self, factor: Tensor) -> Painted:
        """Undo `brighten`."""
        return replace(self, warped=self.warped / factor, color=self.color / factor)

    def lay_over(self, crop: Tensor, frame: Tensor) -> None:
        """Lay the paint over warped crops, in place.

        Outside mouth and eye the crop keeps detail that is finer than the patch; inside it would be that of stretched
        lips.

        Args:
            crop: Warped pictures, shape (T, 3, H, W).
            frame: The patch's place in each, shape (T, 2, 3).
        """
        veil = self.occlusion * self.masks[:, :1]
        paste_patch(crop, frame, self.change + veil * self.warped, veil)


@dataclass(frozen=True)
class Warp:
    """How a source is bent and lit, on a coarse grid.

    Attributes:
        flow: Where in the source each output position comes from, shape (T, FLOW_SIZE, FLOW_SIZE, 2).
        prior: Its analytic part, same shape.
        light: What is added to the warped source, shape (T, 3, FLOW_SIZE, FLOW_SIZE).
    """

    flow: Tensor
    prior: Tensor
    light: Tensor

    def apply(self, image: Tensor) -> Tensor:
        """Warp and light pictures (T, 3, H, W)."""
        height, width = image.shape[2:]
        light = F.interpolate(self.light, (height, width), mode="bilinear")
        return sample(image, resize_flow(self.flow, height, width)).add_(light)

    def apply_at(self, image: Tensor, points: Tensor) -> Tensor:
        """Warp and light pictures (T, 3, H, W) at output positions (T, h, w, 2) only."""
        fields = sample(torch.cat([self.flow.permute(0, 3, 1, 2), self.light], 1), points)
        return sample(image, fields[:, :2].permute(0, 2, 3, 1)) + fields[:, 2:]

    def darkened(self, factor: Tensor) -> Warp:
        """Undo `brighten`."""
        return replace(self, light=self.light / factor)

    def detach(self) -> Warp:
        """Return the same warp, as if nobody could change it."""
        return Warp(self.flow.detach(), self.prior, self.light.detach())


class PatchPainter(nn.Module):
    """Encoder and decoder for one kind of patch; both eyes share theirs."""

    fade: Tensor

    def __init__(self, kind: PatchKind, channels: int, blocks: int) -> None:
        super().__init__()
        self.encoder = PatchEncoder(3 + kind.num_masks, channels)
        self.decoder = PatchDecoder(3 + kind.num_masks + 2, channels, blocks)
        self.register_buffer("fade", edge_fade(kind.size), persistent=False)

    def condition(self, warped: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
        """Gather what the decoder looks at.

        Args:
            warped: Shape (T, 3, S, S); its inside is hidden where the source did not show it.
            masks: Driving masks, shape (T, m, S, S).
            shown: From `shown_share`.

        Returns:
            The two and each pixel's place, shape (T, 3 + m + 2, S, S).
        """
        where = pixel_grid(*warped.shape[2:]).permute(2, 0, 1).to(warped).expand(len(warped), -1, -1, -1)
        return torch.cat([warped * (1 - masks[:, :1] * (1 - shown)), masks, where], 1)


class MiniRenderer(nn.Module):
    """F, W and G of the embedded model over one face model.

    Attributes:
        memory: Features of a mouth that training has seen open and shut, shape (1, 3 · channels, S/4, S/4), or None. A
            portrait that keeps its mouth shut does not tell what is in it; guessed from its own features it would be
            the mean of many mouths, a pale blur. Around such a mouth the warped picture is right as it is.
    """

    memory: Tensor | None

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32
        self.graphs: dict[nn.Module, Graph] = {}
        self.register_buffer("memory", None, persistent=False)
        self.face = FaceModel(config.num_mouth, config.num_brows)
        self.flow = ResidualFlow(config.flow_channels)
        self.mouth = PatchPainter(MOUTH, config.mouth_channels, config.mouth_blocks)
        self.eyes = PatchPainter(LEFT_EYE_PATCH, config.eye_channels, config.eye_blocks)

    def run(self, network: nn.Module, *inputs: Tensor) -> Any:
        """Call a network in the renderer's precision, or its graph; geometry around it stays in float32."""
        graph = self.graphs.get(network)
        if graph is not None and graph.suits(inputs, self.precision):
            return graph.run(inputs, self.precision)
        device = self.face.mean.device.type
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            return network(*inputs)

    def write_graphs(self, directory: Path) -> dict[str, str]:
        """Write what runs for every frame as graphs: flow.xml, mouth.xml and eyes.xml, with their .bin files.

        Returns:
            The SHA-256 of each file, by name.
        """
        write_graph(self.flow, [torch.rand(2, self.flow.INPUTS, SEEN_SIZE, SEEN_SIZE)], directory / "flow.xml")
        for name, kind, painter in (("mouth", MOUTH, self.mouth), ("eyes", LEFT_EYE_PATCH, self.eyes)):
            features = torch.rand(2, 3 * painter.encoder.channels, kind.size // 4, kind.size // 4)
            condition = torch.rand(2, painter.decoder.condition, kind.size, kind.size)
            write_graph(painter.decoder, [features, condition], directory / f"{name}.xml")
        return {file: sha256(directory / file) for name in GRAPHS for file in (f"{name}.xml", f"{name}.bin")}

    def read_graphs(self, directory: Path, hashes: Mapping[str, str]) -> None:
        """Let processors run graphs in place of the networks.

        Args:
            directory: Where they lie.
            hashes: From `write_graphs`; a graph without one is not read.

        Raises:
            WeightsError: A file is not the one that was written; OpenVINO may crash over any other.
        """
        for name, network in zip(GRAPHS, (self.flow, self.mouth.decoder, self.eyes.decoder), strict=True):
            if f"{name}.xml" in hashes:
                for file in (f"{name}.xml", f"{name}.bin"):
                    _check_graph(directory / file, hashes.get(file))
                self.graphs[network] = Graph(directory / f"{name}.xml")

    def patches(self) -> list[tuple[PatchKind, PatchPainter]]:
        """List what is painted, and by which network."""
        return [(MOUTH, self.mouth), (LEFT_EYE_PATCH, self.eyes), (RIGHT_EYE_PATCH, self.eyes)]

    def encode(self, image: Tensor, x_s: Tensor) -> list[Tensor]:
        """F: encode a source's patches.

        Args:
            image: Source crops, shape (T, 3, H, W).
            x_s: Source keypoints, shape (T, K, 3).

        Returns:
            Features of mouth, left and right eye.
        """
        pose, features = self.face.pose(x_s), []
        for kind, painter in self.patches():
            frame = patch_frame(kind, pose)
            patch = sample(image, patch_points(frame, kind.size))
            features.append(self.run(painter.encoder, torch.cat([patch, draw_masks(kind, frame, x_s)], 1)))
        return features

    def warp(self, small: Tensor, x_s: Tensor, x_d: Tensor) -> Warp:
        """W: bend and light a source.

        Args:
            small: Source crops, shape (T, 3, SEEN_SIZE, SEEN_SIZE).
            x_s: Source keypoints, shape (1 or T, K, 3).
            x_d: Driving keypoints, shape (T, K, 3).
        """
        prior = prior_flow(self.face, x_s, x_d)
        seen, grid = resize_flow(prior, SEEN_SIZE, SEEN_SIZE), pixel_grid(SEEN_SIZE, SEEN_SIZE).to(x_d)
        ovals = [x[:, rows(FACE_OVAL), :2].expand(len(x_d), -1, -1) for x in (x_s, x_d)]
        faces = polygon_masks(ovals, SEEN_SIZE, FACE_SOFTNESS)
        inputs = torch.cat([sample(small, seen), small, 4.0 * (seen - grid).permute(0, 3, 1, 2), faces], 1)
        residual, light = self.run(self.flow, inputs)
        light = F.interpolate(light, (FLOW_SIZE, FLOW_SIZE), mode="bilinear")
        return Warp(prior + resize_flow(residual, FLOW_SIZE, FLOW_SIZE), prior, light)

    def apply_dense_residual(self, warp: Warp, small: Tensor, skin: Tensor, x_d: Tensor) -> Warp:
        """Let the skin of a warped source slide and be shaded as a driver's.

        Args:
            warp: From `warp`.
            small: Source crops, shape (T, 3, SEEN_SIZE, SEEN_SIZE).
            skin: From `read_dense_residual`, shape (T, 3, SKIN_SIZE, SKIN_SIZE).
            x_d: Driving keypoints, shape (T, K, 3).
        """
        slide, brighter = place_dense_residual(skin, self.face.pose(x_d), x_d, FLOW_SIZE)
        flow = warp.flow + slide
        return Warp(flow, warp.prior, warp.light + brighter * (sample(small, flow) + warp.light))

    def paint(
        self, image: Tensor, features: list[Tensor], warp: Warp, x_s: Tensor, x_d: Tensor
    ) -> list[tuple[Tensor, Painted]]:
        """G: paint mouth and eyes over the warped source.

        Args:
            image: Source crops, shape (T, 3, H, W).
            features: From `encode`.
            warp: From `warp`.
            x_s: Source keypoints, shape (1 or T, K, 3).
            x_d: Driving keypoints, shape (T, K, 3).

        Returns:
            For each patch its place (T, 2, 3) and what was painted.
        """
        pose = self.face.pose(x_d)
        results = []
        for (kind, painter), own in zip(self.patches(), features, strict=True):
            frame = patch_frame(kind, pose)
            warped, masks = warp.apply_at(image, patch_points(frame, kind.size)), draw_masks(kind, frame, x_d)
            shown = shown_share(kind, x_s, x_d)
            condition = painter.condition(warped, masks, shown)
            if kind is MOUTH and self.memory is not None:
                color, occlusion = self.run(painter.decoder, torch.lerp(self.memory, own.float(), shown), condition)
                color = (color * torch.lerp(tint(warped, masks), color.new_ones(()), shown)).clamp(0, 1)
                inside = F.max_pool2d(masks[:, :1], 3, 1, 1)
                occlusion = occlusion * (inside + shown * (1 - inside))
            else:
                color, occlusion = self.run(painter.decoder, own, condition)
            results.append((frame, Painted(warped, color, occlusion * painter.fade, masks)))
        return results


def tint(warped: Tensor, masks: Tensor) -> Tensor:
    """Tell in what colours skin is lit around a mouth, against what is usual: factors, shape (T, 3, 1, 1)."""
    skin = masks[:, 2:3] * (1 - masks[:, 1:2])
    color = (warped * skin).sum((2, 3), keepdim=True) / skin.sum((2, 3), keepdim=True).clamp_min(1.0)
    ratio = color.clamp_min(0.02) / color.new_tensor(USUAL_SKIN)[:, None, None]
    return (ratio / ratio.mean(1, keepdim=True)).sqrt()


def _check_graph(file: Path, expected: str | None) -> None:
    try:
        found = sha256(file)
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read ({error.strerror}); fetch it again") from error
    if found != expected:
        raise WeightsError(f"{file}: is not the graph that config.json names by its SHA-256; fetch it again")


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Upsample a flow field (T, G, G, 2) to (T, height, width, 2)."""
    planes = flow.permute(0, 3, 1, 2).contiguous()  # four times as fast as two channels that lie interleaved
    return F.interpolate(planes, (height, width), mode="bilinear").permute(0, 2, 3, 1)
