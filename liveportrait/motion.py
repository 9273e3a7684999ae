"""Data types shared by all packages: Crop, Motion, SpeechMotion and Portrait. The batch axis T counts frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

FlowSearch = Callable[[Tensor, Tensor], Tensor]
"""Optical flow: takes two batches of grey pictures, both (T, H, W) in [0, 1], and returns for each pixel of the first
its displacement to the second in (right, down) pixels, shape (T, 2, H, W)."""


class PerFrame:
    """Frame indexing and device transfer for dataclasses whose tensors share a leading frame axis."""

    def _map(self, function):
        changes = {
            field.name: function(value)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor | PerFrame)
        }
        return replace(self, **changes)  # type: ignore[type-var]

    def __getitem__(self, index: int | slice | Tensor):
        """Select frames; an integer keeps the frame axis with length one."""
        if isinstance(index, int):
            index = slice(index, index + 1 or None)
        return self._map(lambda value: value[index])

    def to(self, *args):
        """Move every tensor, like `Tensor.to`."""
        return self._map(lambda value: value.to(*args))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Join parts along the frame axis.

        Raises:
            ValueError: `parts` is empty.
        """
        if not parts:
            raise ValueError(f"{cls.__name__}.cat needs at least one part")
        joined: dict[str, Any] = {
            field.name: None
            if getattr(parts[0], field.name) is None
            else torch.cat([getattr(part, field.name) for part in parts])
            for field in fields(cls)  # type: ignore[arg-type]
        }
        return cls(**joined)


@dataclass(frozen=True)
class Layers(PerFrame):
    """Crops split into a person and the background: opacity · person + (1 - opacity) · background gives the crops.

    Attributes:
        person: RGB pictures of the person, shape (T, 3, H, W), float32 in [0, 1].
        opacity: How much of the background the person hides, shape (T, 1, H, W), in [0, 1].
        background: RGB pictures of the background, filled where it is hidden, shape (T, 3, H, W).
    """

    person: Tensor
    opacity: Tensor
    background: Tensor


@dataclass(frozen=True)
class Crop(PerFrame):
    """Face crops, the input of a model.

    Attributes:
        image: RGB pictures, shape (T, 3, H, W), float32 in [0, 1].
        landmarks: MediaPipe face-mesh points, shape (T, 478, 3), or None if there are none (animals).
            x points right, y down, z into the scene; -1 and +1 are the edges of the crop; z has the scale of x.
        edges: The four edges of the picture that the crop was cut from, shape (T, 4, 3), in the units of x; or None if
            it is not known how far the picture reaches. a·x + b·y + c is the distance of (x, y) from an edge (a, b, c),
            positive inside the picture. What lies outside was invented when the crop was cut, and should not be shown.
        layers: The person and the background, or None if everything near the face moves with it.
    """

    image: Tensor
    landmarks: Tensor | None = None
    edges: Tensor | None = None
    layers: Layers | None = None

    def __len__(self) -> int:
        return self.image.shape[0]


@dataclass(frozen=True)
class Motion(PerFrame):
    """Pose and expression of a face in every frame, in the row-vector convention of `liveportrait.keypoints`.

    Attributes:
        rotation: R, shape (T, 3, 3).
        expression: δ, shape (T, K, 3); K depends on the model.
        scale: s, shape (T, 1).
        translation: t, shape (T, 3).
        eye_ratio: Eye openness (left, right) in the picture, lid distance over eye width, shape (T, 2), or None.
        lip_ratio: Lip openness, inner lip distance over mouth width, shape (T, 1), or None.
        dense_residual: From `PortraitModel.read_dense_residual`, shape (T, 3, G, G), or None.
    """

    rotation: Tensor
    expression: Tensor
    scale: Tensor
    translation: Tensor
    eye_ratio: Tensor | None = None
    lip_ratio: Tensor | None = None
    dense_residual: Tensor | None = None

    def __len__(self) -> int:
        return self.rotation.shape[0]

    @property
    def num_keypoints(self) -> int:
        """K."""
        return self.expression.shape[1]

    @staticmethod
    def still(num_frames: int, num_keypoints: int) -> Motion:
        """Return neutral motion: identity rotation, zero expression, scale one, zero translation."""
        return Motion(
            rotation=torch.eye(3, dtype=torch.float32).repeat(num_frames, 1, 1),
            expression=torch.zeros(num_frames, num_keypoints, 3, dtype=torch.float32),
            scale=torch.ones(num_frames, 1, dtype=torch.float32),
            translation=torch.zeros(num_frames, 3, dtype=torch.float32),
        )


@dataclass(frozen=True)
class SpeechMotion(PerFrame):
    """Speech-driven motion for any face, relative to that face at rest: lips closed, eyes and head pose unchanged.

    Attributes:
        expression: Coefficients of the embedded face model's expression basis, shape (T, C), mouth coefficients first.
        lip_ratio: Target lip openness, inner lip distance over mouth width, shape (T, 1).
        eye_openness: Factor on the face's own eye openness (left, right); 1 is unchanged, 0 is shut; shape (T, 2).
        gaze_deg: Eye rotation in degrees, positive right and down in the picture, shape (T, 2).
        rotation: Head rotation relative to rest, shape (T, 3, 3), applied as `rotation @ R_s`.
        translation: Head translation in units of half the crop, shape (T, 3).
    """

    expression: Tensor
    lip_ratio: Tensor
    eye_openness: Tensor
    gaze_deg: Tensor
    rotation: Tensor
    translation: Tensor

    def __len__(self) -> int:
        return self.expression.shape[0]


@dataclass(frozen=True)
class Portrait(PerFrame):
    """An encoded source face, which can be rendered many times.

    Attributes:
        x_c: Canonical keypoints, shape (T, K, 3).
        motion: The source's own motion, T frames.
        x_s: Source keypoints, shape (T, K, 3).
        f_s: The model's source features; shape (T, 32, 16, 64, 64) for the official networks.
        crop: The crop that was encoded.
        mouth: Another picture of this face, whose open mouth shows the teeth to paint; None for the own mouth.
        teeth: Numbers of the sets of teeth that are shown if its lips are shut, shape (T,); None if the model has none.
    """

    x_c: Tensor
    motion: Motion
    x_s: Tensor
    f_s: Tensor
    crop: Crop
    mouth: Portrait | None = None
    teeth: Tensor | None = None

    def __len__(self) -> int:
        return self.x_s.shape[0]
