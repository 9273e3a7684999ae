"""Named points of the MediaPipe face mesh (478 points with irises); left and right as seen in the picture."""

from __future__ import annotations

NUM_POINTS = 478

LEFT_EYE = (33, 133, 159, 145)
"""Outer corner, inner corner, upper lid, lower lid."""
RIGHT_EYE = (263, 362, 386, 374)
MOUTH_CORNERS = (61, 291)

BROWS = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
EYES = (33, 160, 159, 158, 133, 153, 145, 144, 263, 387, 386, 385, 362, 380, 374, 373)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 97, 326, 327, 64, 294, 48, 278)
LIPS = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)
LOWER_OUTLINE = (
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152,
    377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
)  # fmt: skip
"""From temple to temple through the chin."""

FRAMING = BROWS + EYES + NOSE + LIPS + LOWER_OUTLINE
"""The part of the face that LivePortrait's 203 points cover: no forehead. Crops are framed around these."""
