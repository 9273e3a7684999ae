"""Teeth for portraits whose lips are shut: real ones, which stay where they are in the head while the lips move."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.face_model import FaceModel, HeadPose
from liveportrait.mini.mouth_color import colourfulness, skin_ratio
from liveportrait.mini.painted import Painted
from liveportrait.mini.patches import (
    MOUTH,
    PatchKind,
    blurred,
    draw_masks,
    parted,
    patch_frame,
    patch_points,
    sample,
    to_patch,
)
from liveportrait.mini.regions import LIPS_INNER, rows

TEETH = PatchKind((0.0, 1.4, -0.42), 0.52, False, 128, (LIPS_INNER,))
"""Where the pictures lie in the head: around the opened lips."""

USUAL_TEETH = 0.5  # mean of the teeth in every picture of the bank, for each colour
UPPER_LIP = -0.38  # height of shut lips in the patch, mean over portraits
FARTHEST = 0.5  # that teeth are shifted for lips that lie elsewhere, in patch units
DARKEST_SKIN = -0.7  # mean log skin colour, over the usual one, below which teeth darken as the skin does

NO_TEETH = -1
"""Number of no set, for drawn faces whose mouth is a line: real teeth stand out from it."""
FLATTEST_SKIN, FAINTEST_LIPS = 0.0007, 0.12
"""Below both, a face is drawn: how much skin differs from its neighbours, and lips from skin; colours are at most 1."""

_UPPER_ROW, _CORNERS = slice(1, 10), (0, 10)  # of LIPS_INNER


class TeethBank(nn.Module):
    """N sets of teeth.

    Attributes:
        pictures: RGB and opacity, shape (N, 4, S, S), uint8. Around the teeth is the dark of the mouth; their mean is
            USUAL_TEETH.
        skins: Logarithm of the skin's colour around each set, over the usual skin's, shape (N, 3).
        light: How the skin colours teeth, shape (3, 4), as `MiniRenderer.light`.
    """

    pictures: Tensor
    skins: Tensor
    light: Tensor

    def __init__(self, pictures: Tensor, skins: Tensor, light: Tensor) -> None:
        super().__init__()
        self.register_buffer("pictures", pictures, persistent=False)
        self.register_buffer("skins", skins, persistent=False)
        self.register_buffer("light", light, persistent=False)

    def __len__(self) -> int:
        return len(self.pictures)

    def choose(self, image: Tensor, x_s: Tensor, face: FaceModel) -> Tensor:
        """Choose for each portrait the set whose owner's skin and light are most like its own.

        Args:
            image: Source crops, shape (T, 3, H, W).
            x_s: Source keypoints, shape (T, K, 3).
            face: The face model.

        Returns:
            Numbers of sets, shape (T,); NO_TEETH for drawn faces without lips.
        """
        frame = patch_frame(MOUTH, face.pose(x_s))
        patch, masks = sample(image, patch_points(frame, MOUTH.size)), draw_masks(MOUTH, frame, x_s)
        skin = skin_ratio(patch, masks).log()
        return self.nearest(skin).masked_fill(is_drawn(patch, masks), NO_TEETH)

    def nearest(self, skins: Tensor) -> Tensor:
        """Return the sets whose owners' skin is most like others, logarithms as in `skins`: (T, 3) to (T,)."""
        return torch.cdist(skins, self.skins.to(skins)).argmin(1)

    def take(self, number: Tensor, x_s: Tensor, face: FaceModel) -> Teeth:
        """Fetch sets (T,) of teeth and fit them to portraits with keypoints x_s, shape (T, K, 3)."""
        lips = to_patch(patch_frame(TEETH, face.pose(x_s)), x_s[:, rows(LIPS_INNER), :2])
        pictures = self.pictures[number.clamp_min(0)].float() / 255
        present = number != NO_TEETH
        pictures[:, 3:] *= present[:, None, None, None]
        return Teeth(pictures, shift_of(lips), self.light.to(x_s), present)


def shift_of(lips: Tensor) -> Tensor:
    """Return where teeth lie, (right, down), from a source's inner lips in their patch: (T, 20, 2) to (T, 2)."""
    shift = torch.stack([lips[:, _CORNERS, 0].mean(1), lips[:, _UPPER_ROW, 1].mean(1) - UPPER_LIP], 1)
    return shift.clamp(-FARTHEST, FARTHEST)


@dataclass(frozen=True)
class Teeth:
    """Teeth of T portraits.

    Attributes:
        pictures: RGB and opacity, shape (T, 4, S, S).
        shift: Where they lie in the patch, (right, down), shape (T, 2).
        light: As in `TeethBank`.
        present: Whether a portrait has any, shape (T,).
    """

    pictures: Tensor
    shift: Tensor
    light: Tensor
    present: Tensor

    def paint(self, pose: HeadPose, x_d: Tensor, skin: Tensor, shown: Tensor) -> tuple[Tensor, Painted]:
        """Show the teeth between the lips.

        Args:
            pose: Poses of the driving keypoints.
            x_d: Driving keypoints, shape (T, K, 3).
            skin: From `skin_ratio`, shape (T, 3).
            shown: How much of the mouth's inside the source shows itself, shape (T, 1, 1, 1).

        Returns:
            Position (T, 2, 3) and patch.
        """
        frame = patch_frame(TEETH, pose)
        moved = torch.einsum("tij,tj->ti", frame[:, :, :2], self.shift.expand(len(x_d), 2))
        frame = torch.cat([frame[:, :, :2], (frame[:, :, 2] + moved)[..., None]], 2)
        color = coloured(self.pictures, skin, self.light)
        between = parted(draw_masks(TEETH, frame, x_d))
        opacity = self.pictures[:, 3:] * between * (1 - shown)
        return frame, Painted(color, color, opacity, torch.ones_like(opacity))

    def at(self, which: Tensor) -> Teeth:
        """Return the teeth of some frames; those of one portrait are all frames' own."""
        if len(self.shift) == 1:
            return self
        return replace(self, pictures=self.pictures[which], shift=self.shift[which], present=self.present[which])

    def find(self, pose: HeadPose, points: Tensor, skin: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teeth at some positions of the crop.

        Args:
            pose: Poses of the driving keypoints.
            points: Positions, shape (T, h, w, 2).
            skin: From `skin_ratio`, shape (T, 3).
            masks: The inside of the lips at these positions, and more, shape (T, m, h, w).

        Returns:
            Colour and opacity between the lips, shape (T, 4, h, w), and the positions in the pictures of the teeth,
            with their edges at ±1, shape (T, h, w, 2).
        """
        places = to_patch(patch_frame(TEETH, pose), points) - self.shift[:, None, None]
        return show_teeth(self.pictures.expand(len(points), -1, -1, -1), places, skin, self.light, masks), places


def show_teeth(pictures: Tensor, places: Tensor, skin: Tensor, light: Tensor, masks: Tensor) -> Tensor:
    """Show pictures of teeth (T, 4, S, S) at `places` in them, coloured by the skin; arguments as in `Teeth.find`."""
    found = F.grid_sample(pictures, places, align_corners=False)
    return torch.cat([coloured(found, skin, light).clamp(0, 1), found[:, 3:] * parted(masks)], 1)


def coloured(pictures: Tensor, skin: Tensor, light: Tensor) -> Tensor:
    """Give pictures of teeth (T, 4, S, S) the colour that goes with the skin: shape (T, 3, S, S)."""
    return pictures[:, :3] / USUAL_TEETH * teeth_color(skin, light)[..., None, None]


def is_drawn(patch: Tensor, masks: Tensor) -> Tensor:
    """Tell which mouths are mere lines on flat skin, from patches (T, 3, S, S) and masks of MOUTH; shape (T,)."""
    texture, contrast = zip(*(_texture_and_contrast(*one) for one in zip(patch, masks > 0.5, strict=True)), strict=True)
    return (torch.stack(texture) < FLATTEST_SKIN) & (torch.stack(contrast) < FAINTEST_LIPS)


def _texture_and_contrast(patch: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how much pixels of skin differ from their neighbours, and the colour of lips from that of skin."""
    inside, lips, face = masks
    around = F.max_pool2d(lips[None].float(), 9, 1, 4)[0] > 0
    skin, red = face & ~around, lips & ~(F.max_pool2d(inside[None].float(), 3, 1, 1)[0] > 0)
    grey = patch.mean(0)
    change = (blurred(grey[None], 3)[0] - grey).abs()
    if not skin.any() or not red.any():
        return change.new_tensor(1.0), change.new_tensor(1.0)
    colours = [patch[:, where].median(1).values for where in (red, skin)]
    return change[skin].median(), (colours[0] - colours[1]).norm()


def teeth_color(skin: Tensor, light: Tensor) -> Tensor:
    """Estimate the mean colour of teeth from that of the skin around them, from `skin_ratio`; both (T, 3).

    Green is at most three quarters of the way from blue to red: under yellow varnish teeth would look green. In grey
    pictures teeth are grey.
    """
    colours, skin = colourfulness(skin), skin.log()
    darker = (skin.mean(1, keepdim=True) - DARKEST_SKIN).clamp_max(0)
    red, green, blue = (F.pad(skin - darker, (0, 1), value=1.0) @ light.T + darker).exp().unbind(1)
    found = torch.stack([red, limited_green(red, green, blue), blue], 1)
    return torch.lerp(found.mean(1, keepdim=True), found, colours)


def limited_green(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Return green, at most three quarters of the way from blue to red."""
    return torch.minimum(green, 0.75 * red + 0.25 * blue)


def bank_shapes(count: int) -> dict[str, Tensor]:
    """Return what a file of weights holds of a bank of teeth: shapes and types by name."""
    side = TEETH.size
    return {
        "teeth.pictures": torch.empty(count, 4, side, side, dtype=torch.uint8, device="meta"),
        "teeth.skins": torch.empty(count, 3, device="meta"),
        "teeth.light": torch.empty(3, 4, device="meta"),
    }
