"""The embedded renderer: warp with prior and residual flow, then paint mouth and eyes over the warped picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.graph import Graph, graph_hashes, read_graph, write_graph
from liveportrait.mini.dense_residual import place_dense_residual
from liveportrait.mini.face_model import FaceModel, HeadPose
from liveportrait.mini.flow import ResidualFlow
from liveportrait.mini.lid_color import LidColors
from liveportrait.mini.mouth_color import skin_ratio, tint, usual_light
from liveportrait.mini.other_mouth import inside_points
from liveportrait.mini.painted import OpenMouth, Painted, PaintedPatch
from liveportrait.mini.painter import PatchDecoder, PatchEncoder
from liveportrait.mini.patches import (
    LEFT_EYE_PATCH,
    MOUTH,
    RIGHT_EYE_PATCH,
    PatchKind,
    draw_masks,
    edge_fade,
    eye_motion,
    parted,
    patch_frame,
    patch_points,
    sample,
    shown_share,
    to_patch,
    widened,
)
from liveportrait.mini.prior_flow import FLOW_SIZE, prior_flow
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import FACE_OVAL, rows
from liveportrait.mini.teeth import Teeth, TeethBank
from liveportrait.mini.teeth_painter import PAINTED, Opening, TeethPainter
from liveportrait.mini.warp import Warp, resize_flow

GRAPHS = ("flow", "paint_mouth", "paint_eyes")
SEEN_SIZE = 64  # side of the flow network's input pictures
FACE_SOFTNESS = 0.03
FINE_MOUTH = 3  # how much finer than the decoder's patch teeth of another picture are shown


@dataclass(frozen=True)
class MiniConfig:
    """Sizes of the embedded networks.

    Attributes:
        num_mouth: Mouth components of the expression basis.
        num_brows: Brow components.
        flow_channels: Width of the residual flow network.
        mouth_channels: Width of the mouth's encoder.
        mouth_decoder: Width of its decoder, or None if it is the same.
        mouth_hidden: Width of the path that conditions each norm of its decoder.
        eye_channels: Width of the eyes' encoder.
        eye_decoder: Width of their decoder, or None if it is the same.
        eye_hidden: Width of the path that conditions each norm of their decoder.
        mouth_blocks: Coarse SPADE blocks of the mouth's decoder.
        eye_blocks: Coarse SPADE blocks of the eyes' decoder.
        mouth_size: Side of the mouth's patch in pixels.
        painted_size: Side of the largest crops that encoders and decoders see; larger ones are downsampled for them.
        num_teeth: Sets of teeth for portraits with shut lips, or None.
        teeth_channels: Width of the painter of teeth, or None if the sets are shown as they are.
    """

    num_mouth: int = 16
    num_brows: int = 6
    flow_channels: int = 32
    mouth_channels: int = 96
    mouth_decoder: int | None = None
    mouth_hidden: int = 32
    eye_channels: int = 48
    eye_decoder: int | None = None
    eye_hidden: int = 32
    mouth_blocks: int = 3
    eye_blocks: int = 2
    mouth_size: int = 96
    painted_size: int = 256
    num_teeth: int | None = None
    teeth_channels: int | None = None


class PatchPainter(nn.Module):
    """Encoder and decoder for one kind of patch; both eyes share theirs."""

    fade: Tensor

    def __init__(self, kind: PatchKind, encoder: PatchEncoder, decoder: PatchDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        with torch.device("cpu"):  # also if only shapes are wanted, since arithmetic on the meta device is slow to load
            self.register_buffer("fade", edge_fade(kind.size), persistent=False)

    def forward(self, patch: Tensor) -> Tensor:
        """Encode a source patch and its masks (T, 3 + m, S, S), and prepare its features for the decoder."""
        return self.decoder.prepare(self.encoder(patch))

    def condition(self, warped: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
        """Build the condition of the decoder.

        Args:
            warped: Warped patch, shape (T, 3, S, S); its inside is masked out if it is not visible in the source.
            masks: Driving masks, shape (T, m, S, S).
            shown: From `shown_share`.

        Returns:
            Warped patch, masks and pixel coordinates, shape (T, 3 + m + 2, S, S).
        """
        where = pixel_grid(*warped.shape[2:]).permute(2, 0, 1).to(warped).expand(len(warped), -1, -1, -1)
        return torch.cat([warped * (1 - masks[:, :1] * (1 - shown)), masks, where], 1)


def mouth_painter(kind: PatchKind, config: MiniConfig) -> PatchPainter:
    """Build the mouth's painter with random weights."""
    width, seen = config.mouth_channels, 3 + kind.num_masks
    decoder = PatchDecoder(seen + 2, config.mouth_decoder or width, config.mouth_blocks, width, config.mouth_hidden)
    return PatchPainter(kind, PatchEncoder(seen, width), decoder)


def eye_painter(kind: PatchKind, config: MiniConfig) -> PatchPainter:
    """Build the eyes' painter with random weights."""
    width, seen = config.eye_channels, 3 + kind.num_masks
    decoder = PatchDecoder(seen + 2, config.eye_decoder or width, config.eye_blocks, width, config.eye_hidden)
    return PatchPainter(kind, PatchEncoder(seen, width), decoder)


class MiniRenderer(nn.Module):
    """F, W and G of the embedded model, with its face model.

    Attributes:
        memory: Features of a mouth seen open and closed in training, shape (1, 3 · channels, S/4, S/4), or None. They
            replace the source's features if its mouth is closed, from which the decoder would paint a blurred mean of
            many mouths. Around such a mouth the warped picture is kept.
        light: How the skin colours such a mouth, shape (3, 4): its product with the logarithms of the skin's red, green
            and blue, relative to the usual skin's, and 1 gives the logarithms of the mouth's factors.
        teeth: Shown before the remembered mouth, which is blurred; or None.
    """

    memory: Tensor | None
    light: Tensor
    teeth: TeethBank | None

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32
        self.graphs: dict[nn.Module, Graph] = {}
        self.register_buffer("memory", None, persistent=False)
        self._prepared_memory: tuple[Tensor, Tensor] | None = None  # the memory, and what is prepared of it
        self.register_buffer("light", usual_light(), persistent=False)
        self.teeth = None
        self.teeth_painter = None if config.teeth_channels is None else TeethPainter(config.teeth_channels)
        self.face = FaceModel(config.num_mouth, config.num_brows)
        self.flow = ResidualFlow(config.flow_channels)
        self.mouth_patch = replace(MOUTH, size=config.mouth_size)
        self.mouth = mouth_painter(self.mouth_patch, config)
        self.eyes = eye_painter(LEFT_EYE_PATCH, config)

    def run(self, network: nn.Module, *inputs: Tensor) -> Any:
        """Run a network, or its graph, in the renderer's precision; geometry stays in float32."""
        graph = self.graphs.get(network)
        if graph is not None and graph.suits(inputs, self.precision):
            return graph.run(inputs, self.precision)
        device = self.face.mean.device.type
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            return network(*inputs)

    def write_graphs(self, directory: Path) -> dict[str, str]:
        """Write the networks that run for every frame as graphs (flow, mouth and eyes; .xml and .bin each).

        The painter of teeth has none: its graph is no faster, and takes 100 MB.

        Returns:
            SHA-256 of each file by name.
        """
        write_graph(self.flow, [torch.rand(2, self.flow.INPUTS, SEEN_SIZE, SEEN_SIZE)], directory / "flow.xml")
        for name, (kind, painter) in zip(GRAPHS[1:], self.patches()[:2], strict=True):
            prepared = torch.rand(2, 3 * painter.decoder.channels, kind.size // 4, kind.size // 4)
            condition = torch.rand(2, painter.decoder.condition, kind.size, kind.size)
            write_graph(painter.decoder, [prepared, condition], directory / f"{name}.xml")
        return graph_hashes(directory, GRAPHS)

    def read_graphs(self, directory: Path, hashes: Mapping[str, str]) -> None:
        """Use graphs instead of the networks on a CPU.

        Args:
            directory: Directory of the graphs.
            hashes: From `write_graphs`; graphs without a hash are ignored.

        Raises:
            WeightsError: A file does not match its hash; OpenVINO may crash on invalid files.
        """
        for name, network in zip(GRAPHS, (self.flow, self.mouth.decoder, self.eyes.decoder), strict=True):
            if (graph := read_graph(directory, name, hashes)) is not None:
                self.graphs[network] = graph

    def compile_graphs(self) -> None:
        """Compile the graphs in advance, in the renderer's precision; errors as in `Graph.compile`."""
        for graph in self.graphs.values():
            graph.compile(self.precision)

    def patches(self) -> list[tuple[PatchKind, PatchPainter]]:
        """List the patches and the network that paints each."""
        return [(self.mouth_patch, self.mouth), (LEFT_EYE_PATCH, self.eyes), (RIGHT_EYE_PATCH, self.eyes)]

    def encode(self, image: Tensor, x_s: Tensor) -> list[Tensor]:
        """F: encode a source's patches.

        Args:
            image: Source crops, shape (T, 3, H, W).
            x_s: Source keypoints, shape (T, K, 3).

        Returns:
            Features of mouth, left and right eye, prepared for the decoders.
        """
        return [self.run(painter, seen) for painter, seen in self.source_patches(image, x_s)]

    def source_patches(self, image: Tensor, x_s: Tensor) -> Iterator[tuple[PatchPainter, Tensor]]:
        """Yield the patches of sources, with masks, and the network that encodes each; arguments as in `encode`."""
        pose = self.face.pose(x_s)
        for kind, painter in self.patches():
            frame = patch_frame(kind, pose)
            patch = sample(image, patch_points(frame, kind.size))
            yield painter, torch.cat([patch, draw_masks(kind, frame, x_s)], 1)

    def unpack(self, f_s: Tensor, count: int) -> list[Tensor]:
        """Split packed source features (1 or T, n) into one map per patch, each for `count` frames."""
        shapes = [(3 * painter.decoder.channels, kind.size // 4, kind.size // 4) for kind, painter in self.patches()]
        parts = f_s.expand(count, -1).split([c * h * w for c, h, w in shapes], 1)
        return [
            part.reshape(count, *shape).contiguous(memory_format=torch.channels_last)
            for part, shape in zip(parts, shapes, strict=True)
        ]

    def warp(self, small: Tensor, x_s: Tensor, x_d: Tensor) -> Warp:
        """W: compute the flow and lighting change of a source.

        Args:
            small: Source crops, shape (T, 3, SEEN_SIZE, SEEN_SIZE).
            x_s: Source keypoints, shape (1 or T, K, 3).
            x_d: Driving keypoints, shape (T, K, 3).
        """
        prior = prior_flow(self.face, x_s, x_d)
        return self.correct(prior, *self.run(self.flow, self.flow_inputs(prior, small, x_s, x_d)))

    def flow_inputs(self, prior: Tensor, small: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """Return what the flow network sees, shape (T, INPUTS, SEEN_SIZE, SEEN_SIZE); arguments as in `warp`."""
        seen, grid = resize_flow(prior, SEEN_SIZE, SEEN_SIZE), pixel_grid(SEEN_SIZE, SEEN_SIZE).to(x_d)
        outlines = torch.cat([x[:, rows(FACE_OVAL), :2] for x in (x_s, x_d)])
        before, after = polygon_masks([outlines], SEEN_SIZE, FACE_SOFTNESS).split([len(x_s), len(x_d)])
        faces = [before.expand(len(x_d), -1, -1, -1), after]
        return torch.cat([sample(small, seen), small, 4.0 * (seen - grid).permute(0, 3, 1, 2), *faces], 1)

    def correct(self, prior: Tensor, residual: Tensor, light: Tensor) -> Warp:
        """Make the warp of the prior flow and what the flow network returns."""
        light = F.interpolate(light, (FLOW_SIZE, FLOW_SIZE), mode="bilinear")
        return Warp(prior + resize_flow(residual, FLOW_SIZE, FLOW_SIZE), prior, light)

    def apply_dense_residual(self, warp: Warp, small: Tensor, dense_residual: Tensor, x_d: Tensor) -> Warp:
        """Add a dense residual to a warp.

        Args:
            warp: From `warp`.
            small: Source crops, shape (T, 3, SEEN_SIZE, SEEN_SIZE).
            dense_residual: From `read_dense_residual`, shape (T, 3, G, G).
            x_d: Driving keypoints, shape (T, K, 3).
        """
        slide, brighter = place_dense_residual(dense_residual, self.face.pose(x_d), x_d, FLOW_SIZE)
        flow = warp.flow + slide
        return Warp(flow, warp.prior, warp.light + brighter * (sample(small, flow) + warp.light))

    def paint(
        self,
        image: Tensor,
        features: list[Tensor],
        warp: Warp,
        x_s: Tensor,
        x_d: Tensor,
        mouth: OpenMouth | None = None,
        teeth: Teeth | None = None,
        lids: LidColors | None = None,
        *,
        sparing: bool = False,
    ) -> list[PaintedPatch]:
        """G: paint mouth and eyes over the warped source.

        Args:
            image: Source crops, shape (T, 3, H, W).
            features: From `encode`.
            warp: From `warp`.
            x_s: Source keypoints, shape (1 or T, K, 3).
            x_d: Driving keypoints, shape (T, K, 3).
            mouth: Shows the inside of the mouth instead of the source; None for the source's own.
            teeth: Shown where the source's own mouth is shut; None for what the decoder paints.
            lids: Colours of the lids; None for those that the decoder paints.
            sparing: Leave eyes that hardly move as they are warped.

        Returns:
            The painted patches, in the order in which they are blended.
        """
        pose = self.face.pose(x_d)
        place = patch_frame(self.mouth_patch, pose)
        warped = warp.apply_at(image, patch_points(place, self.mouth_patch.size))
        masks, shown = draw_masks(self.mouth_patch, place, x_d), shown_share(self.mouth_patch, x_s, x_d)
        if mouth is None:
            own = self.paint_own_mouth(features[0], warped, masks, shown)
        else:
            own = self._paint_other_mouth(mouth, place, warped, masks, x_d)
        eyes = self._paint_eyes(image, features[1:], warp, x_s, x_d, pose, sparing)
        if lids is not None:
            eyes = [eye._replace(painted=lids.at(eye.which).apply(eye.painted)) for eye in eyes]
        painted = [PaintedPatch(slice(None), place, own), *eyes]
        if mouth is None and teeth is not None and (shown < 1).any():
            painted += self._paint_teeth(teeth, painted[0], pose, x_d, shown)
        return painted

    def _paint_eyes(
        self, image: Tensor, features: list[Tensor], warp: Warp, x_s: Tensor, x_d: Tensor, pose: HeadPose, sparing: bool
    ) -> list[PaintedPatch]:
        """Paint both eyes in one call of their network, which is faster than two; arguments as in `paint`."""
        own = self.face.pose(x_s) if sparing else None
        begun, seen, conditions = [], [], []
        for (kind, _), feature in zip(self.patches()[1:], features, strict=True):
            place, share = patch_frame(kind, pose), x_d.new_ones(len(x_d), 1, 1, 1)
            if own is not None:
                share = eye_motion(kind, (patch_frame(kind, own), x_s), (place, x_d))
            which = share.flatten().nonzero()[:, 0]
            if not len(which):
                continue
            place, share, driving, source = place[which], share[which], x_d[which], x_s if len(x_s) == 1 else x_s[which]
            warped = warp.at(which).apply_at(image[which], patch_points(place, kind.size))
            masks = draw_masks(kind, place, driving)
            seen.append(feature[which])
            conditions.append(self.eyes.condition(warped, masks, shown_share(kind, source, driving)))
            begun.append((which, place, share, warped, masks))
        if not begun:
            return []
        results = self.run(self.eyes.decoder, torch.cat(seen), torch.cat(conditions))
        colors, occlusions = (both.split([len(each) for each in seen]) for both in results)
        return [
            PaintedPatch(which, place, Painted(warped, color, occlusion * self.eyes.fade * share, masks))
            for (which, place, share, warped, masks), color, occlusion in zip(begun, colors, occlusions, strict=True)
        ]

    def _paint_teeth(
        self, teeth: Teeth, mouth: PaintedPatch, pose: HeadPose, x_d: Tensor, shown: Tensor
    ) -> list[PaintedPatch]:
        """Paint teeth over a mouth, in the frames in which its lips are parted.

        Args:
            teeth: Those of the portrait.
            mouth: The painted mouth of all frames.
            pose: Poses of the driving keypoints.
            x_d: Driving keypoints, shape (T, K, 3).
            shown: From `shown_share`.
        """
        below, hidden = mouth.painted, 1 - shown
        skin = skin_ratio(below.warped, below.masks)
        if self.teeth_painter is None:
            return [PaintedPatch(slice(None), *teeth.paint(pose, x_d, skin, shown))]
        which = ((parted(below.masks) * hidden).amax((1, 2, 3)) * teeth.present).nonzero()[:, 0]
        if not len(which):
            return []
        pose, driving, skin = HeadPose(*(part[which] for part in pose)), x_d[which], skin[which]
        frame = patch_frame(PAINTED, pose)
        points, masks = patch_points(frame, PAINTED.size), draw_masks(PAINTED, frame, driving)
        seen, places = teeth.at(which).find(pose, points, skin, masks)
        under = sample(below.blended[which], to_patch(mouth.place[which], points))
        opening = Opening(under, seen, masks, places, skin, hidden[which])
        change, share = self.run(self.teeth_painter, opening.seen())
        painted = opening.shaded(opening.finished(opening.painted(change, share)))
        return [PaintedPatch(which, frame, painted)]

    def paint_own_mouth(self, own: Tensor, warped: Tensor, masks: Tensor, shown: Tensor) -> Painted:
        """Paint the mouth from the source's own, as far as it is `shown` there, else from the remembered one."""
        condition = self.mouth.condition(warped, masks, shown)
        if self.memory is None:
            color, occlusion = self.run(self.mouth.decoder, own, condition)
        else:
            mixed = torch.lerp(self._prepared(self.memory), own.float(), shown)
            color, occlusion = self.run(self.mouth.decoder, mixed, condition)
            color = (color * torch.lerp(tint(warped, masks, self.light), color.new_ones(()), shown)).clamp(0, 1)
            inside = widened(masks[:, :1])
            occlusion = occlusion * (inside + shown * (1 - inside))
        return Painted(warped, color, occlusion * self.mouth.fade, masks)

    def _paint_other_mouth(
        self, mouth: OpenMouth, frame: Tensor, warped: Tensor, masks: Tensor, x_d: Tensor
    ) -> Painted:
        """Paint a mouth whose inside comes from another picture; nothing of the source's own inside remains.

        Args:
            mouth: Shows the inside.
            frame: Position of the patch, shape (T, 2, 3).
            warped: The warped source in the patch, shape (T, 3, S, S).
            masks: Its driving masks.
            x_d: Driving keypoints, shape (T, K, 3).
        """
        count, inside = len(x_d), parted(masks)
        fine = replace(self.mouth_patch, size=FINE_MOUTH * warped.shape[-1])
        points = inside_points(self.face, mouth.x, x_d, patch_points(frame, fine.size))
        sharp = sample(mouth.image.expand(count, -1, -1, -1), points)
        taken = F.avg_pool2d(sharp, FINE_MOUTH)
        light = (skin_ratio(warped, masks) / skin_ratio(taken, masks)).clamp(0.5, 2.0)[..., None, None]
        mixed = torch.lerp(warped, (taken * light).clamp(0, 1), inside)
        shown = shown_share(self.mouth_patch, mouth.x, x_d)
        features = mouth.features.expand(count, -1, -1, -1)
        if self.memory is not None:
            features = torch.lerp(self._prepared(self.memory), features.float(), shown)
        color, occlusion = self.run(self.mouth.decoder, features, self.mouth.condition(mixed, masks, shown))
        lips = F.max_pool2d(masks[:, 1:2], 5, 1, 2)
        occlusion = torch.maximum(occlusion * lips, inside) * self.mouth.fade
        warped, color, occlusion = (
            F.interpolate(x, points.shape[1:3], mode="bilinear") for x in (warped, color, occlusion)
        )
        masks = draw_masks(fine, frame, x_d)
        color = torch.lerp(color, (sharp * light).clamp(0, 1), parted(masks) * shown)
        return Painted(warped, color, occlusion, masks)

    def _prepared(self, memory: Tensor) -> Tensor:
        """Return the memory as the mouth's decoder needs it; the last one is kept."""
        if self._prepared_memory is None or self._prepared_memory[0] is not memory:
            self._prepared_memory = memory, self.mouth.decoder.prepare(memory.float())
        return self._prepared_memory[1]
