"""Cut sets of teeth out of pictures of open mouths, and fit how the skin around teeth tells their colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.errors import PortraitError
from liveportrait.mini.face_model import FaceModel, lip_ratio
from liveportrait.mini.mouth_color import colourfulness, skin_ratio
from liveportrait.mini.patches import MOUTH, draw_masks, patch_frame, patch_points, sample, to_patch
from liveportrait.mini.regions import KEYPOINTS, LIPS_INNER, rows
from liveportrait.mini.teeth import TEETH, USUAL_TEETH, TeethBank
from liveportrait.motion import Crop

FINE = 2
"""Pixels of the picture that teeth are cut from, for each of the bank's."""

SHARPER, DETAIL = 0.5, 5
"""How much finer detail is strengthened, since showing the picture blurs it again, and the window that tells it."""

CAVITY = (0.13, 0.07, 0.065)
"""Colour of the mouth behind teeth whose mean is USUAL_TEETH: a guess that looks right."""

BELOW = 14
"""Pixels below the picture's lower lip in which it fades out: farther down, the decoder paints the mouth."""

LIPS = 5
"""Width in pixels of the rim that is left out, since it shows the lips."""

LOWER_LIP = -0.2
"""Height in the patch of the lower lip, which teeth reach in a smile."""

NEAR, SMOOTH = 4, 9
"""Pixels below the upper lip that tell what it hides, and the width in which their colours are averaged."""

CORNERS, LOWER_ROW = (0, 10), slice(11, 20)  # of LIPS_INNER

INSIDE, FEWEST = 0.7, 15
"""Mask above which a pixel counts as inside, and how many of them a mouth needs for its teeth to be measured."""

OPEN = 0.1  # openness over width of mouths that tell the colour of teeth
VARIATION, DRAWS = 0.1, 20
"""Spread of the log light that is added to skin and teeth alike, for each colour and for all of them, and how often."""


@torch.no_grad()
def build_bank(face: FaceModel, crops: Iterable[tuple[str, Crop]], names: Sequence[str], seed: int = 0) -> TeethBank:
    """Build a bank of teeth.

    Args:
        face: The face model.
        crops: Name and crop of each portrait. All open mouths of pictures with colours tell the colour of teeth.
        names: Of those whose teeth are taken.
        seed: Of the light that is added to the portraits.

    Raises:
        PortraitError: A name is not among them, or fewer than four mouths are open in colour.
    """
    sets: dict[str, tuple[Tensor, Tensor]] = {}
    colors: list[tuple[Tensor, Tensor]] = []
    for name, crop in crops:
        assert crop.landmarks is not None
        x = crop.landmarks[:, list(KEYPOINTS)]
        frame = patch_frame(MOUTH, face.pose(x))
        patch = sample(crop.image, patch_points(frame, MOUTH.size))
        masks = draw_masks(MOUTH, frame, x)
        skin = skin_ratio(patch, masks).log()[0]
        if name in names:
            sets[name] = cut_teeth(face, crop.image, x), skin
        inside = masks[0, 0] > INSIDE
        in_colour = bool(colourfulness(skin[None].exp()) == 1)
        if in_colour and float(lip_ratio(x)) > OPEN and inside.sum() >= FEWEST:
            colors.append((skin, brighter_half(patch[0][:, inside]).clamp_min(0.02).log()))
    if missing := [name for name in names if name not in sets]:
        raise PortraitError(f"{missing[0]}: not among the portraits; give ids of the manifest that are not held out")
    if len(colors) < 4:
        raise PortraitError(f"{len(colors)} open mouths in colour among the portraits; fitting needs at least 4")
    skins, teeth = (torch.stack(each) for each in zip(*colors, strict=True))
    pictures = torch.stack([sets[name][0] for name in names])
    return TeethBank(pictures, torch.stack([sets[name][1] for name in names]), fit_color(skins, teeth, seed))


def cut_teeth(face: FaceModel, image: Tensor, x: Tensor) -> Tensor:
    """Cut the inside of an open mouth out of a picture.

    What the lips hide is made up: teeth reach up as far as is needed, and around them it is dark.

    Args:
        face: The face model.
        image: Shape (1, 3, H, W).
        x: Keypoints, shape (1, K, 3).

    Returns:
        RGB and opacity, shape (4, S, S), uint8.
    """
    frame = patch_frame(TEETH, face.pose(x))
    lips = to_patch(frame, x[:, rows(LIPS_INNER), :2])[0]
    shift = torch.stack([lips[CORNERS, 0].mean(), lips[LOWER_ROW, 1].max() - LOWER_LIP])
    frame[:, :, 2] += frame[0, :, :2] @ shift
    picture = F.avg_pool2d(sample(image, patch_points(frame, FINE * TEETH.size)), FINE)
    inside = -F.max_pool2d(-draw_masks(TEETH, frame, x), LIPS, 1, LIPS // 2)[0, 0] > 0.5
    picture = (picture + SHARPER * (picture - F.avg_pool2d(picture, DETAIL, 1, DETAIL // 2)))[0].clamp(0, 1)
    seen = picture[:, inside]
    height = torch.arange(TEETH.size)[:, None]
    top, bottom = torch.where(inside, height, TEETH.size).amin(0), torch.where(inside, height, -1).amax(0)
    columns = inside.any(0)
    known = (inside & (height >= top + 1)).float()
    filled = torch.lerp(_spread_up(picture, inside, columns), picture, F.avg_pool2d(known[None], 3, 1, 1))
    teeth = ((height <= bottom) & columns).float()[None]
    teeth = F.avg_pool2d(F.avg_pool2d(teeth, 3, 1, 1), 3, 1, 1)
    filled = (filled * (USUAL_TEETH / brighter_half(seen))[:, None, None]).clamp(0, 1)
    filled = torch.lerp(filled.new_tensor(CAVITY)[:, None, None].expand_as(filled), filled, teeth)
    opacity = (1 - (height - int(bottom.max()) - 2) / BELOW).clamp(0, 1).expand(1, -1, TEETH.size)
    return (torch.cat([filled, opacity]) * 255).round().byte()


def _spread_up(picture: Tensor, inside: Tensor, columns: Tensor) -> Tensor:
    """Continue each column (3, S, S) upwards from the lip with what is seen below it, smoothed across columns."""
    height = torch.arange(len(inside))[:, None]
    top = torch.where(inside, height, len(inside)).amin(0)
    near = (inside & (height < top + NEAR)).float()
    row = torch.stack([(picture * near).sum(1), near.sum(0).expand(3, -1)])
    sums = F.avg_pool1d(row * columns, SMOOTH, 1, SMOOTH // 2)
    return (sums[0] / sums[1].clamp_min(1e-6))[:, None].expand_as(picture)


def fit_color(skins: Tensor, teeth: Tensor, seed: int) -> Tensor:
    """Fit log colours of teeth linearly to those of the skin around them, (N, 3) each.

    Coloured light is added to both, since portraits differ in skin more than in light.

    Returns:
        Shape (3, 4).
    """
    random = torch.Generator().manual_seed(seed)
    inputs, wanted = [], []
    for _ in range(DRAWS):
        light = torch.randn(len(skins), 3, generator=random) + torch.randn(len(skins), 1, generator=random)
        inputs.append(F.pad(skins + VARIATION * light, (0, 1), value=1.0))
        wanted.append(teeth + VARIATION * light)
    return torch.linalg.lstsq(torch.cat(inputs), torch.cat(wanted)).solution.T.contiguous()


def brighter_half(pixels: Tensor) -> Tensor:
    """Return the mean colour of the brighter half of pixels (3, N): teeth, without gaps and gums."""
    brightness = pixels.mean(0)
    return pixels[:, brightness >= brightness.median()].mean(1)
