import json
from pathlib import Path

import soundfile

from talkinghead.cli.demo import demo_inputs

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


def test_cells_run(tmp_path, monkeypatch):
    """With a second of the example voice, to save time."""
    samples, rate = soundfile.read(demo_inputs().voice)
    soundfile.write(tmp_path / "voice.flac", samples[:rate], rate)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    names: dict[str, object] = {}
    for source in code_cells():
        shorter = source.replace('assets / "voice.flac"', repr(str(tmp_path / "voice.flac")))
        exec(compile(shorter, str(NOTEBOOK), "exec"), names)
    assert names["voice"] == str(tmp_path / "voice.flac")
    written = {file.name for file in Path(str(names["folder"])).iterdir()}
    assert written == {"speaking.mp4", "smile.png", "motion.safetensors", "following.mp4"}
