"""The embedded renderer: flow = spline + learned residual; mouth and eyes are painted over the warped picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.flow import ResidualFlow
from liveportrait.mini.painter import PatchDecoder, PatchEncoder
from liveportrait.mini.patches import (
    LEFT_EYE_PATCH,
    MOUTH,
    RIGHT_EYE_PATCH,
    PatchKind,
    draw_masks,
    edge_fade,
    patch_frame,
    patch_points,
    sample,
)
from liveportrait.mini.raster import pixel_grid, polygon_mask
from liveportrait.mini.regions import FACE_OVAL, rows
from liveportrait.mini.thin_plate import backward_flow

FLOW_SIZE = 64
FACE_SOFTNESS = 0.03


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


class PatchPainter(nn.Module):
    """Encoder and decoder for one kind of patch; both eyes share theirs."""

    fade: Tensor

    def __init__(self, kind: PatchKind, channels: int, blocks: int) -> None:
        super().__init__()
        self.encoder = PatchEncoder(3 + kind.num_masks, channels)
        self.decoder = PatchDecoder(3 + kind.num_masks + 2, channels, blocks)
        self.register_buffer("fade", edge_fade(kind.size), persistent=False)

    def paint(self, f_s: Tensor, warped: Tensor, masks: Tensor) -> Painted:
        """Paint over a warped patch (T, 3, S, S) with its driving masks (T, m, S, S)."""
        where = pixel_grid(*warped.shape[2:]).permute(2, 0, 1).to(warped).expand(len(warped), -1, -1, -1)
        color, occlusion = self.decoder(f_s, torch.cat([warped, masks, where], 1))
        return Painted(warped, color, occlusion * self.fade, masks)


class MiniRenderer(nn.Module):
    """F, W and G of the embedded model over one face model."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32
        self.face = FaceModel(config.num_mouth, config.num_brows)
        self.flow = ResidualFlow(config.flow_channels)
        self.mouth = PatchPainter(MOUTH, config.mouth_channels, config.mouth_blocks)
        self.eyes = PatchPainter(LEFT_EYE_PATCH, config.eye_channels, config.eye_blocks)

    def run(self, network: Callable[..., Any], *inputs: Any) -> Any:
        """Call a network in the renderer's precision; geometry around it stays in float32."""
        device = self.face.mean.device.type
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            return network(*inputs)

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

    def backward_flow(self, small: Tensor, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor]:
        """W: where in the source each output position comes from.

        Args:
            small: Source crops at FLOW_SIZE, shape (T, 3, FLOW_SIZE, FLOW_SIZE).
            x_s: Source keypoints, shape (T, K, 3).
            x_d: Driving keypoints, shape (T, K, 3).

        Returns:
            The whole flow and its analytic part, each (T, FLOW_SIZE, FLOW_SIZE, 2).
        """
        grid = pixel_grid(FLOW_SIZE, FLOW_SIZE).to(x_d)
        prior = backward_flow(x_s, x_d, grid)
        faces = [polygon_mask(x[:, rows(FACE_OVAL), :2], FLOW_SIZE, FACE_SOFTNESS) for x in (x_s, x_d)]
        shift = (prior - grid).permute(0, 3, 1, 2)
        inputs = torch.cat([sample(small, prior), small, 4.0 * shift, *faces], 1)
        return prior + self.run(self.flow, inputs), prior

    def paint(self, image: Tensor, features: list[Tensor], flow: Tensor, x_d: Tensor) -> list[tuple[Tensor, Painted]]:
        """G: paint mouth and eyes over the warped source.

        Args:
            image: Source crops, shape (T, 3, H, W).
            features: From `encode`.
            flow: From `backward_flow`, shape (T, FLOW_SIZE, FLOW_SIZE, 2).
            x_d: Driving keypoints, shape (T, K, 3).

        Returns:
            For each patch its place (T, 2, 3) and what was painted.
        """
        pose, channels_first = self.face.pose(x_d), flow.permute(0, 3, 1, 2)
        results = []
        for (kind, painter), f_s in zip(self.patches(), features, strict=True):
            frame = patch_frame(kind, pose)
            positions = sample(channels_first, patch_points(frame, kind.size)).permute(0, 2, 3, 1)
            masks = draw_masks(kind, frame, x_d)
            results.append((frame, self.run(painter.paint, f_s, sample(image, positions), masks)))
        return results


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Upsample a flow field (T, G, G, 2) to (T, height, width, 2)."""
    return F.interpolate(flow.permute(0, 3, 1, 2), (height, width), mode="bilinear").permute(0, 2, 3, 1)
