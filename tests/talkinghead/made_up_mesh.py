"""Landmarks of a face that nobody had to find."""

import numpy as np

from talkinghead.face import mesh


def mesh_points(width=100.0, center=(300.0, 200.0), angle=0.0):
    """Make mesh points up: all in the middle of the face except those that decide its crop.

    Args:
        width: Of the face in pixels.
        center: Of the face, (x, y).
        angle: By which it is turned, radians.

    Returns:
        Shape (478, 3).
    """
    points = np.zeros((478, 3), np.float32)
    place = {127: (-50, -20), 356: (50, -20), 152: (0, 60), 105: (-25, -40), 334: (25, -40)}
    place |= dict.fromkeys(mesh.LEFT_EYE, (-22, -20)) | dict.fromkeys(mesh.RIGHT_EYE, (22, -20))
    place |= {61: (-15, 30), 291: (15, 30), 10: (0, -90)}
    for index, xy in place.items():
        points[index, :2] = np.array(xy) * width / 100
    points[1, 2] = -30
    c, s = np.cos(angle), np.sin(angle)
    points[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]]) + center
    return points
