"""Named point sets of the embedded model, as indices into MediaPipe's 478-point face mesh.

"Left" and "right" refer to the picture, not the person. Pairs are (upper, lower) points.
"""

from functools import lru_cache

LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS = LIPS_OUTER + LIPS_INNER
LIP_PAIRS = (
    (191, 95),
    (80, 88),
    (81, 178),
    (82, 87),
    (13, 14),
    (312, 317),
    (311, 402),
    (310, 318),
    (415, 324),
)
MOUTH_CORNERS = (78, 308)

LEFT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
RIGHT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
LEFT_LID_PAIRS = ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155))
RIGHT_LID_PAIRS = ((398, 382), (384, 381), (385, 380), (386, 374), (387, 373), (388, 390), (466, 249))
LEFT_EYE_CORNERS = (33, 133)
RIGHT_EYE_CORNERS = (362, 263)
LEFT_IRIS = (468, 469, 470, 471, 472)
RIGHT_IRIS = (473, 474, 475, 476, 477)

LEFT_BROW = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107)
RIGHT_BROW = (276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 294, 278, 344, 440, 275, 45, 220, 115, 48, 64)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)

# Points on the rigid part of the head, used to fit its pose.
RIGID = (
    168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263,
    10, 338, 297, 332, 284, 251, 389, 356, 454, 109, 67, 103, 54, 21, 162, 127, 234,
)  # fmt: skip

KEYPOINTS = tuple(
    sorted({*LIPS, *LEFT_EYE, *RIGHT_EYE, *LEFT_IRIS, *RIGHT_IRIS, *LEFT_BROW, *RIGHT_BROW, *NOSE, *FACE_OVAL})
)


@lru_cache(maxsize=64)
def rows(points: tuple[int, ...], keypoints: tuple[int, ...] = KEYPOINTS) -> list[int]:
    """Return the positions of mesh points in a keypoint list; never change it."""
    return [keypoints.index(point) for point in points]
