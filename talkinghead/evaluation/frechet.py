"""FID: how far apart two sets of pictures are, by what a network sees in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def frechet_distance(shown: NDArray, real: NDArray) -> float:
    """Return the Fréchet distance of the Gaussians that fit two sets of features; lower is better, 0 for equal ones.

    |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½), with means m and covariances C.

    The distance of finite sets is too large, the more so the fewer pictures there are; compare only figures of equally
    many.

    Args:
        shown: Features of the generated pictures, shape (N, D).
        real: Features of the real ones, shape (M, D).

    Raises:
        ValueError: A set has fewer than two pictures.

    Source: Heusel et al., "GANs trained by a two time-scale update rule", 2017, Eq. 6.
    """
    if min(len(shown), len(real)) < 2:
        raise ValueError(f"{len(shown)} and {len(real)} pictures: each set needs two or more")
    first, second = (np.asarray(each, np.float64) for each in (shown, real))
    shift = first.mean(0) - second.mean(0)
    c1, c2 = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (first, second))
    root = _square_root(c1)
    cross = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()  # the trace of (C₁ C₂)^½
    return float(max(shift @ shift + np.trace(c1) + np.trace(c2) - 2 * cross, 0.0))


def _square_root(covariance: NDArray) -> NDArray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
