"""Figures of merit: pictures against pictures, curves against curves."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from audio2motion.training.metrics import lag_correlations
from liveportrait.mini.regions import LIPS_INNER, LIPS_OUTER
from liveportrait.training import metrics as training

Picture = NDArray[np.uint8]
Curve = Points = NDArray[np.float32]

MAX_LAG = 6
MIN_FRAMES = 10
# Face-mesh points: inner lips, mouth corners, eye corners (inner and outer of both), lids.
UPPER_LIP, LOWER_LIP, LIP_CORNERS = 13, 14, (78, 308)
LEFT_CORNERS, RIGHT_CORNERS = (33, 133), (362, 263)
LEFT_LIDS, RIGHT_LIDS = (159, 145), (386, 374)
SMOOTH_LIGHT = 0.06  # deviation, in units of the box, of what counts as smooth


def psnr(a: NDArray, b: NDArray) -> float:
    """Return the peak signal-to-noise ratio in dB of two pictures, 0 to 255."""
    return training.psnr(*(torch.from_numpy(np.asarray(picture, np.float32)) / 255 for picture in (a, b)))


def l1(a: Picture, b: Picture) -> float:
    """Mean absolute difference in units of the full range."""
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean() / 255)


def ssim(a: Picture, b: Picture) -> float:
    """Structural similarity of two uint8 RGB pictures, on luma, 11-pixel Gaussian window.

    Source: Wang et al., "Image quality assessment", 2004, Eq. 13.
    """
    x, y = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (a, b))

    def blur(p: NDArray) -> NDArray:
        return cv2.GaussianBlur(p, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))))


def lab(colour: NDArray) -> NDArray[np.float32]:
    """Convert an sRGB colour (3,), 0 to 255, to CIE L*a*b*."""
    pixel = np.asarray(colour, np.float32).reshape(1, 1, 3) / 255
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB), np.float32).reshape(3)


def ciede2000(first: NDArray, second: NDArray) -> float:
    """Return how different two L*a*b* colours look; 1 is just visible.

    Source: Sharma et al., "The CIEDE2000 color-difference formula", 2005, Eq. 2-22.
    """
    (l1, a1, b1), (l2, a2, b2) = (np.asarray(colour, float) for colour in (first, second))
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    hue = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    light, c = (l1 + l2) / 2, (c1 + c2) / 2
    cosines = [np.cos(np.radians(k * hue + phase)) for k, phase in ((1, -30), (2, 0), (3, 6), (4, -63))]
    t = 1 + np.dot([-0.17, 0.24, 0.32, -0.20], cosines)
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c, 1 + 0.015 * c * t
    twist = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    r = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(twist)
    dl, dc = (l2 - l1) / s_l, (c2 - c1) / s_c
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / s_h
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + r * dc * dh))


def mouth_box(points: Points, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of the square around the outer lips, 1.6 times as wide as the mouth.

    Args:
        points: Face-mesh landmarks in pixels, shape (478, 2 or 3).
        shape: Of the picture.
    """
    return mouth_box_of(points[list(LIPS_OUTER)], shape)


def mouth_box_of(lips: Points, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the same box for the outer lips alone, shape (N, 2 or 3)."""
    return training.mouth_box(torch.from_numpy(lips[:, :2]), *shape[:2])


def mouth_oracles(shown: Picture, real: Picture, points: Points, box: tuple[slice, slice]) -> dict[str, float]:
    """Tell where a mouth's error lies: the PSNR of its box if one thing were taken from the real picture.

    Args:
        shown: What was made, RGB.
        real: What should have been.
        points: The real face's landmarks in pixels, shape (478, 2 or 3).
        box: From `mouth_box`.

    Returns:
        PSNR in dB with the real inside of the mouth; with the lips too; with real smooth light and shadow; aligned with
        the real picture by optical flow.
    """
    mine, true = shown[box].astype(np.float32), real[box].astype(np.float32)
    corner = (box[1].start, box[0].start)
    figures = {}
    for name, outline in (("inside", LIPS_INNER), ("lips", LIPS_OUTER)):
        area = np.zeros(mine.shape[:2], np.float32)
        cv2.fillPoly(area, [np.round(points[list(outline), :2] - corner).astype(np.int32)], (1.0,))
        figures[f"with real {name}"] = psnr(mine + area[..., None] * (true - mine), true)
    sigma = SMOOTH_LIGHT * len(mine)
    light = cv2.GaussianBlur(true - mine, (0, 0), sigma)
    real_luma, shown_luma = (cv2.cvtColor(picture[box], cv2.COLOR_RGB2GRAY) for picture in (real, shown))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(real_luma, shown_luma, None)  # type: ignore[call-overload] # None is allowed
    y, x = np.mgrid[: mine.shape[0], : mine.shape[1]].astype(np.float32)
    moved = cv2.remap(mine, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return figures | {"with real light": psnr(mine + light, true), "aligned": psnr(moved, true)}


def inter_ocular(points: Points) -> Curve:
    """Distance between the eyes' centres, (..., 478, 2 or 3) → (...)."""
    left, right = (points[..., list(c), :2].mean(-2) for c in (LEFT_CORNERS, RIGHT_CORNERS))
    return np.linalg.norm(left - right, axis=-1)


def lip_opening(points: Points) -> Curve:
    """Inner lip distance over the inter-ocular distance, (T, 478, 2 or 3) → (T,)."""
    return _apart(points, UPPER_LIP, LOWER_LIP) / inter_ocular(points)


def lip_width(points: Points) -> Curve:
    """Mouth width over the inter-ocular distance."""
    return _apart(points, *LIP_CORNERS) / inter_ocular(points)


def eye_openness(points: Points) -> Curve:
    """Lid distance over eye width, mean of both eyes."""
    left = _apart(points, *LEFT_LIDS) / _apart(points, *LEFT_CORNERS)
    return (left + _apart(points, *RIGHT_LIDS) / _apart(points, *RIGHT_CORNERS)) / 2


def lip_distance(a: Points, b: Points) -> Curve:
    """Mean distance of the outer lips' points over the inter-ocular distance of b, (T, 478, 2 or 3) → (T,)."""
    lips = list(LIPS_OUTER)
    return np.linalg.norm(a[..., lips, :2] - b[..., lips, :2], axis=-1).mean(-1) / inter_ocular(b)


def landmark_distance(a: Points, b: Points) -> Curve:
    """Mean distance of all landmarks over the inter-ocular distance of b, (T, 478, 2 or 3) → (T,).

    Between a rendered face and the driver's it is what of the motion was not transferred.
    """
    return np.linalg.norm(a[..., :2] - b[..., :2], axis=-1).mean(-1) / inter_ocular(b)


def lip_lags(generated: Curve, real: Curve) -> dict[int, float]:
    """Return the correlation of two curves (T,) for each lag in frames; positive: the generated lips are late."""
    return lag_correlations(torch.from_numpy(real), torch.from_numpy(generated), MAX_LAG)


def blinks_per_minute(openness: Curve, fps: float) -> float:
    """Count falls of the eye openness below 60 % of its median."""
    shut = openness < 0.6 * np.median(openness)
    return float((shut[1:] & ~shut[:-1]).sum() / (len(openness) / fps / 60))


def _apart(points: Points, first: int, second: int) -> Curve:
    return np.linalg.norm(points[..., first, :2] - points[..., second, :2], axis=-1)
