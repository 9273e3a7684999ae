"""Reads tests/golden/geometry*: vectors of the published geometry and the pictures they belong to."""

import hashlib
import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file

FOLDER = Path(__file__).resolve().parents[1] / "golden"


@cache
def geometry():
    """Every stored vector by name; geometry.json says what they are."""
    return load_file(FOLDER / "geometry.safetensors")


@cache
def golden_picture(name):
    """Draw a synthetic picture (coarse tiles plus noise) from its seed: "picture" or "crop"."""
    recipe = json.loads((FOLDER / "geometry.json").read_text())["pictures"][name]
    rng, (height, width, channels), cell = (
        np.random.Generator(np.random.PCG64(recipe["seed"])),
        recipe["shape"],
        recipe["cell"],
    )
    tiles = np.kron(rng.random((height // cell, width // cell, channels)), np.ones((cell, cell, 1)))
    picture = (255.0 * (0.7 * tiles + 0.3 * rng.random((height, width, channels)))).astype(np.uint8)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == recipe["sha256"]
    return picture


def golden_mask():
    """Read the published mask template, shape (512, 512), uint8."""
    return cv2.imread(str(FOLDER / "geometry_mask.png"), cv2.IMREAD_GRAYSCALE)
