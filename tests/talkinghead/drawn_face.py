"""A drawn face that the detectors take for one."""

import cv2
import numpy as np

SKIN, SHADE, HAIR, LIPS, WHITE, DARK = (
    (225, 180, 155),
    (200, 150, 125),
    (60, 40, 30),
    (190, 90, 90),
    (250, 250, 250),
    (20, 15, 15),
)


def drawn_face(size=256, mouth=0.0):
    """Draw a portrait.

    Args:
        size: Side of the picture in pixels; the face is 0.38 of it high, from brows to chin.
        mouth: How far the lips are apart, 0 to 1.

    Returns:
        RGB, shape (size, size, 3), uint8.
    """
    scale, canvas = size / 128, np.full((4 * size, 4 * size, 3), (150, 170, 190), np.uint8)

    def ellipse(center, axes, color, start=0, end=360, width=-1):
        x, y, a, b = (round(value * scale) for value in (*center, *axes))
        cv2.ellipse(
            canvas, (x, y), (a, b), 0, start, end, color, width if width < 0 else round(width * scale), cv2.LINE_AA
        )

    ellipse((256, 215), (125, 150), HAIR)
    ellipse((256, 380), (41, 60), SHADE)
    ellipse((256, 500), (190, 90), (70, 80, 120))
    ellipse((256, 262), (98, 130), SKIN)
    ellipse((256, 170), (90, 45), HAIR)
    for x in (214, 298):
        ellipse((x, 245), (20, 10), WHITE)
        ellipse((x, 245), (10, 10), (70, 50, 40))
        ellipse((x, 245), (4, 4), DARK)
        ellipse((x, 245), (21, 11), HAIR, 180, 360, 3)
        ellipse((x, 226), (27, 9), HAIR, 190, 350, 7)
    ellipse((256, 296), (17, 9), SHADE)
    for x in (248, 264):
        ellipse((x, 299), (4, 3), DARK)
    ellipse((256, 338), (34, 12 + 10 * mouth), LIPS)
    ellipse((256, 338), (30, 2 + 16 * mouth), DARK)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
