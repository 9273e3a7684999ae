"""Imports go one way: liveportrait ← audio2motion ← talkinghead ← scripts, tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("liveportrait", "audio2motion", "talkinghead")
HEAVY = {"cv2", "av", "PIL", "mediapipe", "typer", "rich", "librosa", "soundfile", "numpy"}


def imported_names(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_no_package_imports_one_above_it(layer):
    above = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"scripts", "tests"}
    wrong = {str(file): found for file in (ROOT / layer).rglob("*.py") if (found := imported_names(file) & above)}
    assert not wrong


@pytest.mark.parametrize("layer", ["liveportrait", "audio2motion"])
def test_tensor_packages_know_no_pictures_or_shells(layer):
    """Numpy is allowed where a template or checkpoint of others must be read, nowhere else."""
    readers = {"templates.py", "unpickle.py", "onnx.py"}
    wrong = {
        str(file): found
        for file in (ROOT / layer).rglob("*.py")
        if file.name not in readers and (found := imported_names(file) & HEAVY)
    }
    assert not wrong


def test_every_package_says_what_it_exports():
    for layer in LAYERS:
        tree = ast.parse((ROOT / layer / "__init__.py").read_text())
        names = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
        assert "__all__" in names, layer
