"""Imports go one way: liveportrait ← audio2motion ← talkinghead ← scripts, tests; and never in a circle."""

import ast
from collections.abc import Container, Iterator
from graphlib import CycleError, TopologicalSorter
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


def modules() -> dict[str, Path]:
    """Find all modules of the packages, by name."""
    found = {}
    for layer in LAYERS:
        for file in (ROOT / layer).rglob("*.py"):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = file
    return found


def imported_modules(file: Path, known: Container[str]) -> Iterator[str]:
    """Yield the known modules that a file imports, also inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in known else node.module


def find_circle(files: dict[str, Path]) -> list[str]:
    """Return modules that import each other in a circle; empty if there are none."""
    graph = {name: set(imported_modules(file, files)) - {name} for name, file in files.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert not find_circle(modules())


def test_a_circle_through_a_function_is_found(tmp_path):
    files = {"a": tmp_path / "a.py", "b": tmp_path / "b.py"}
    files["a"].write_text("import b")
    files["b"].write_text("def f():\n    from a import g")
    assert set(find_circle(files)) == {"a", "b"}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_package_imports_one_above_it(layer):
    above = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"scripts", "tests"}
    wrong = {str(file): found for file in (ROOT / layer).rglob("*.py") if (found := imported_names(file) & above)}
    assert not wrong


@pytest.mark.parametrize("layer", ["liveportrait", "audio2motion"])
def test_tensor_packages_know_no_pictures_or_shells(layer):
    """But where a template or checkpoint of others is read, pictures of eight bits are made, or PyTorch is too slow."""
    readers = {"templates.py", "unpickle.py", "onnx.py", "pictures.py", "logarithm.py"}
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
