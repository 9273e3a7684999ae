"""audio2motion stands on torch and liveportrait; importing it is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import audio2motion

ALLOWED = {
    "audio2motion",
    "liveportrait",
    "torch",
    "torchaudio",
    "safetensors",
    "transformers",
    *sys.stdlib_module_names,
}


def test_imports_go_left_only():
    for path in Path(audio2motion.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] in ALLOWED, f"{path}: {node.module}"
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in ALLOWED for alias in node.names), path


def test_importing_loads_no_network_library():
    code = "import audio2motion, sys; print({'torch', 'transformers'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
