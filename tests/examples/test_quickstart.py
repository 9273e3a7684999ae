import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_cells_compile_and_hold_no_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        assert not cell.get("outputs")
    for source in code_cells():
        compile(source, str(NOTEBOOK), "exec")


@pytest.mark.slow
def test_cells_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    names: dict[str, object] = {}
    for source in code_cells():
        exec(compile(source, str(NOTEBOOK), "exec"), names)
    written = {file.name for file in Path(str(names["folder"])).iterdir()}
    assert written == {"speaking.mp4", "smile.png", "motion.safetensors", "following.mp4"}
