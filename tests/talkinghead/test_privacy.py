"""Nothing is sent, started or written that was not asked for, in any command: all of them run under an audit hook.

Python's hooks do not hear native code; docs/privacy.md says how to watch that too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

HOOK = '''
"""Imported by every Python of the run, the workers of a batch too: writes down what reaches beyond the process."""
import json, os, socket, sys

LOG = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND)
STARTED = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system", "pty.spawn"}
MADE = {"os.mkdir", "os.link", "os.symlink", "os.rename", "os.truncate", "os.mkfifo"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


def hook(event, given):
    if event == "socket.__new__":
        if given[1] != socket.AF_UNIX:  # the line to a worker is a pair of those
            note(event, given[1])
    elif event in STARTED or event.startswith("socket."):
        note(event, given[0])
    elif event in MADE and not os.path.isdir(given[0]):
        note(event, *[name for name in given[:2] if not isinstance(name, int)])
    elif event == "open" and not isinstance(given[0], int) and given[2] & WRITING:
        note(event, given[0])


def note(event, *names):
    paths = [os.path.abspath(os.fsdecode(name)) if isinstance(name, (str, bytes)) else str(name) for name in names]
    os.write(LOG, (json.dumps([event, *paths]) + "\\n").encode())


sys.addaudithook(hook)
'''

COMMANDS = """
import numpy as np
from functools import cache
from talkinghead import CropOptions, Options, models, stream
from talkinghead.cli import main

models._load = cache(models._load)  # loading them again would do nothing else
small = ["--size", "96"]
main(["speak", "p.png", "v.wav", "-o", "out/speak.mp4", *small])
main(["reenact", "p.png", "out/speak.mp4", "-o", "out/reenact.mp4", *small])
main(["template", "out/speak.mp4", "-o", "out/t.safetensors"])
main(["edit", "p.png", "-o", "out/edit.png", "--smile", "1", *small])
main(["edit", "p.png", "-o", "out/edit.mp4", "--keyframes", "k.yaml", *small])
main(["live", "--source", "p.png", "--camera", "out/speak.mp4", "-o", "out/live.mp4", *small])
main(["narrate", "p.png", "s.txt", "-o", "out/narrate.mp4", "--burn", *small])
sound = [np.zeros(6400, np.float32)]
assert len(list(stream("p.png", sound, options=Options(crop=CropOptions(size=96))))) == 10
"""

BATCH = """
if __name__ == "__main__":
    from talkinghead.cli import main
    main(["batch", "jobs.yaml"])
"""


@pytest.fixture
def folder(tmp_path):
    """Inputs for every command."""
    for name in ("home", "tmp", "out", "hook"):
        (tmp_path / name).mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    (tmp_path / "audit.log").touch()
    with Image.open(ROOT / "talkinghead" / "assets" / "portrait.jpg") as portrait:
        portrait.resize((256, 256)).save(tmp_path / "p.png")
    soundfile.write(tmp_path / "v.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 3200), 16_000)
    (tmp_path / "k.yaml").write_text("0: {}\n0.2: {smile: 0.6}\n")
    (tmp_path / "s.txt").write_text("Hi.")
    (tmp_path / "jobs.yaml").write_text(
        "jobs:\n- {command: speak, source: p.png, audio: v.wav, output: out/batch.mp4, size: 96}\n"
    )
    return tmp_path


def start(folder, script):
    """Run a script that knows no more of its surroundings than it must."""
    file = folder / f"{len(script)}.py"
    file.write_text(script)
    surroundings = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(folder / "hook"), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUDIT_LOG": str(folder / "audit.log"),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(file)], cwd=folder, env=surroundings, **pipes)


def test_nothing_leaves_the_process(folder):
    with start(folder, COMMANDS) as commands, start(folder, BATCH) as batch:  # at once: each imports for seconds
        said = [run.communicate(timeout=300) for run in (commands, batch)]
    assert (commands.returncode, batch.returncode) == (0, 0), said
    suffixes = {file.suffix for file in (folder / "out").iterdir() if file.is_file()}
    assert suffixes == {".mp4", ".png", ".safetensors", ".srt", ".vtt"}
    key = folder / "home" / ".local" / "share" / "talkinghead" / "signing.pem"
    allowed = (str(folder / "out") + os.sep, str(key.parent) + os.sep, os.devnull)
    made = {str(each) for each in key.parents}  # the folder of the key
    events = [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]
    assert events and not [
        event for event in events if not all(name.startswith(allowed) or name in made for name in event[1:])
    ]
    assert [file for file in (folder / "home").rglob("*") if file.is_file()] == [key]
    assert not [*(folder / "tmp").iterdir()]
