"""The entry point: signals at any moment, closed streams, and the signal handlers of the caller."""

import os
import signal
import subprocess
import sys

import pytest

from talkinghead.cli import app as cli
from talkinghead.cli import entry


@pytest.fixture
def command(monkeypatch):
    """Let the program run a function in place of a command."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def replace(function):
        monkeypatch.setattr(cli, "run", lambda _, **__: function())

    yield replace
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def run():
    with pytest.raises(SystemExit) as left:
        entry.main([])
    return left.value.code


def test_sigterm_is_one_line_and_143(command, capsys):
    command(lambda: signal.raise_signal(signal.SIGTERM))
    assert run() == 143
    assert capsys.readouterr().err == "talkinghead: interrupted; nothing was written\n"


def test_a_second_signal_does_not_disturb_tidying(command, capsys):
    tidied = []

    def tidy():
        yield
        signal.raise_signal(signal.SIGINT)
        tidied.append(True)

    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            next(steps, None)

    steps = tidy()
    next(steps)
    command(work)
    assert run() == 143 and tidied
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_an_interruption_makes_of_an_import_is_an_interruption(command, capsys):
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("a native module") from None

    command(work)
    assert run() == 143
    assert capsys.readouterr().err == "talkinghead: interrupted; nothing was written\n"


def test_a_program_that_ends_itself_has_said_why(command, capsys):
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    command(work)
    assert run() == 143 and not capsys.readouterr().err


def python(code, *arguments, closed=""):
    """Run Python with some of its streams closed."""
    words = [sys.executable, "-c", code, *arguments]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *words]
    return subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)


SIGNAL = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
module = sys.argv.pop(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from talkinghead.cli.entry import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "torch", "torch._C"])
def test_a_signal_while_modules_are_imported(module):
    left = python(SIGNAL, module, "speak", "a.png", "a.wav", "-o", "a.mp4")
    assert (left.returncode, left.stderr) == (143, "talkinghead: interrupted; nothing was written\n")


STREAMS = """
import os, sys
from talkinghead.cli import app as cli
from talkinghead.cli import entry
def run(_, **__):
    with open(sys.argv[1], "w") as file:
        assert file.fileno() > 2
        os.write(2, b"native code")
        print("said"); print("complained", file=sys.stderr)
        file.write("kept")
cli.run = run
entry.main()
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams(closed, tmp_path):
    file = tmp_path / "file"
    left = python(STREAMS, str(file), closed=closed)
    assert (left.returncode, file.read_text()) == (0, "kept"), left.stderr
    assert os.listdir(tmp_path) == ["file"]


def test_a_process_that_succeeds_ends_without_taking_modules_apart():
    script = """
import atexit, sys, threading
from talkinghead.host.signals import run_interruptible

class Module:
    def __del__(self):
        print("taken apart")

sys.kept, late = Module(), threading.Timer(0.1, print, ["thread"])
run_interruptible(lambda: (atexit.register(print, "at exit"), late.start()), own_process=True)
print("program", end=" ")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split("\n") == ["program thread", "at exit", ""]
