"""Volume of the convex hull of a small set of points."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

Face = tuple[int, int, int]
Point = list[float]


def hull_volume(points: Tensor) -> float:
    """Compute the volume of the convex hull of 3-D points.

    Args:
        points: Shape (N, 3), N at least 4. Points in one plane have volume zero.

    Returns:
        The volume, computed in float64.

    Raises:
        ValueError: `points` has another shape.
    """
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 4:
        raise ValueError(f"expected points of shape (N, 3) with N >= 4, got {tuple(points.shape)}")
    # Normalise to zero mean and unit scale, so that one tolerance fits all inputs.
    centred = points.detach().cpu().double() - points.detach().cpu().double().mean(0)
    spread = float(centred.abs().max())
    if spread == 0.0:
        return 0.0
    scaled: list[Point] = (centred / spread).tolist()
    faces = _hull_faces(scaled)
    origin = [0.0, 0.0, 0.0]
    return sum(_signed_volume(scaled[a], scaled[b], scaled[c], origin) for a, b, c in faces) * -(spread**3)


def _signed_volume(a: Point, b: Point, c: Point, d: Point) -> float:
    """Return the tetrahedron's volume, positive if a, b, c are counter-clockwise seen from d."""
    u, v, w = ([p[i] - a[i] for i in range(3)] for p in (b, c, d))
    return (
        (u[1] * v[2] - u[2] * v[1]) * w[0] + (u[2] * v[0] - u[0] * v[2]) * w[1] + (u[0] * v[1] - u[1] * v[0]) * w[2]
    ) / 6


def _hull_faces(points: list[Point], tolerance: float = 1e-12) -> set[Face]:
    """Compute the hull incrementally: replace the faces visible from a new point by a cone over their outline."""
    start = _tetrahedron(points, tolerance)
    if start is None:
        return set()
    a, b, c, d = start
    faces: set[Face] = {(a, b, c), (a, c, d), (a, d, b), (b, d, c)}
    for new in range(len(points)):
        if new in start:
            continue
        seen = {
            (a, b, c) for a, b, c in faces if _signed_volume(points[a], points[b], points[c], points[new]) > tolerance
        }
        edges = {edge for f in seen for edge in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))}
        outline = [edge for edge in edges if (edge[1], edge[0]) not in edges]
        faces = (faces - seen) | {(i, j, new) for i, j in outline}
    return faces


def _tetrahedron(points: list[Point], tolerance: float) -> tuple[int, int, int, int] | None:
    """Return four non-coplanar points, ordered so that all faces point outwards, or None."""
    order = torch.tensor(points).norm(dim=1).argsort(descending=True).tolist()
    for a, b, c, d in itertools.combinations(order, 4):
        volume = _signed_volume(points[a], points[b], points[c], points[d])
        if abs(volume) > tolerance:
            return (a, b, c, d) if volume < 0 else (a, c, b, d)
    return None
