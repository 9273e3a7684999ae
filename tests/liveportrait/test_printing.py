"""What cannot be printed ends every program in one line and exit code 1."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")  # a device that takes nothing, as if its disk were full

PRINT = "from liveportrait.printing import checked_stdout\nwith checked_stdout():\n    print('said')"
COMMAND = "from talkinghead.cli import main; main()"
SCRIPT = "from talkinghead.cli.tools import *; app = new_app('x'); app.command()(lambda: print('said')); run_app(app)"
TRAINING = "from liveportrait.training.__main__ import main; main()"
FAILURE = (1, "talkinghead: standard output cannot be written (No space left on device); send it elsewhere\n")


def python(code, *arguments, stdout, unbuffered="", closing=False):
    """Run Python; `unbuffered` prints at once, as in many containers."""
    words, env = [sys.executable, "-c", code, *arguments], {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    if closing:
        words = ["sh", "-c", 'exec "$@" >&-', "sh", *words]
    left = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=env)
    return left.returncode, left.stderr


@pytest.mark.skipif(not FULL.exists(), reason="has no full device")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("program", [[PRINT], [SCRIPT], [TRAINING, "--help"]])
def test_a_full_disk_is_one_line(program, unbuffered):
    with FULL.open("w") as full:
        left = python(*program, stdout=full, unbuffered=unbuffered)
    assert left == FAILURE


@pytest.mark.skipif(not FULL.exists(), reason="has no full device")
def test_the_command_is_such_a_program():
    with FULL.open("w") as full:
        assert python(COMMAND, "--version", stdout=full) == FAILURE


def test_a_pipe_that_nobody_reads_needs_no_message():
    reading, writing = os.pipe()
    os.close(reading)
    assert python(PRINT, stdout=writing) == (1, "")
    os.close(writing)


def test_no_standard_output_is_none_that_fails():
    assert python(PRINT, stdout=None, closing=True) == (0, "")


def test_what_the_program_says_of_itself_stays():
    said = python("from liveportrait.printing import *\nwith checked_stdout(): raise SystemExit(3)", stdout=None)
    assert said == (3, "")
