"""What the painters paint, and whose mouth they paint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from liveportrait.mini.patches import paste_patch


@dataclass(frozen=True)
class Painted:
    """A painted patch and the warped picture under it, each of shape (T, C, S, S).

    Attributes:
        warped: The warped source.
        color: The decoder's picture.
        occlusion: Opacity of the decoder's picture, zero at the patch's border.
        masks: The driving masks.
    """

    warped: Tensor
    color: Tensor
    occlusion: Tensor
    masks: Tensor

    @property
    def veil(self) -> Tensor:
        """Return the share of the warped picture to fade out: its detail is wrong inside mouth and eyes."""
        return self.occlusion * self.masks[:, :1]

    @property
    def addition(self) -> Tensor:
        """Return what to add to the warped picture, clipped to [0, 1], where it has been faded out by `veil`."""
        shown = self.warped.clamp(0, 1)
        return self.occlusion * (self.color - shown) + self.veil * shown

    @property
    def blended(self) -> Tensor:
        """Return the finished patch."""
        return self.warped + self.occlusion * (self.color - self.warped)

    def darkened(self, factor: Tensor) -> Painted:
        """Undo `brighten`."""
        return replace(self, warped=self.warped / factor, color=self.color / factor)

    def blend_into(self, crop: Tensor, frame: Tensor) -> None:
        """Blend the patches into warped crops, in place.

        The crop keeps detail finer than the patch outside mouth and eyes; inside, that detail would come from
        stretched lips.

        Args:
            crop: Warped pictures in [0, 1], shape (T, 3, H, W).
            frame: Position of the patch in each crop, shape (T, 2, 3).
        """
        paste_patch(crop, frame, self.addition, self.veil)


class PaintedPatch(NamedTuple):
    """What is painted on some frames.

    Attributes:
        which: The frames, shape (n,); or a slice for all of them.
        place: Position of the patch in each, shape (n, 2, 3).
        painted: The patches.
    """

    which: Tensor | slice
    place: Tensor
    painted: Painted

    def darkened(self, factor: Tensor) -> PaintedPatch:
        """Undo `brighten`; the factor has shape (1 or T, 1, 1, 1)."""
        return self._replace(painted=self.painted.darkened(factor if len(factor) == 1 else factor[self.which]))

    def blend_into(self, crop: Tensor) -> None:
        """Blend the patches into the warped crops of all frames, in place."""
        some = crop[self.which]
        self.painted.blend_into(some, self.place)
        crop[self.which] = some


@dataclass(frozen=True)
class OpenMouth:
    """Another picture of the same face, whose open mouth shows the teeth to paint.

    Attributes:
        x: Its keypoints, shape (1, K, 3).
        image: Its crop, brightened, shape (1, 3, S, S).
        features: The painter's features of its mouth, shape (1, 3 · channels, S/4, S/4).
    """

    x: Tensor
    image: Tensor
    features: Tensor
