"""A library leaves its caller's process as it is; the command line settles in its own; forks are refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(code):
    """Run Python code in a fresh process of this tree."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "talkinghead")])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_only_what_python_says_reaches_the_terminal():
    made = run(
        "import os, sys\n"
        "from talkinghead.host.process import native_output_hidden\n"
        "with native_output_hidden():\n"
        "    os.write(2, b'native\\n')\n"
        "    print('ours', file=sys.stderr)\n"
        "os.write(2, b'afterwards\\n')\n"
        "sys.stderr = open(os.devnull, 'w')\n"
        "with native_output_hidden():\n"
        "    os.write(2, b'collected by somebody\\n')\n"
    )
    assert made.stderr == "ours\nafterwards\ncollected by somebody\n"


@pytest.mark.parametrize(("ending", "said"), [("raise SystemExit(1)", "ours\n"), ("1 / 0", "ZeroDivisionError: ")])
def test_what_native_code_says_at_the_end_of_the_process_stays_hidden(ending, said):
    made = run(
        "import atexit, os, sys\n"
        "from talkinghead.host.process import native_output_hidden\n"
        "atexit.register(os.write, 2, b'native\\n')\n"
        "with native_output_hidden(restore=False):\n"
        "    print('ours', file=sys.stderr)\n"
        f"    {ending}\n"
    )
    assert made.returncode == 1 and said in made.stderr and "native" not in made.stderr


def test_a_command_that_fails_says_one_line_until_its_process_ends():
    made = run(
        "import atexit, os, sys\n"
        "from talkinghead.cli import main\n"
        "atexit.register(os.write, 2, b'native\\n')\n"
        "sys.argv = ['talkinghead', 'speak', 'none.png', 'none.wav', '-o', 'o.mp4']\n"
        "main()\n"
    )
    assert (made.returncode, made.stderr) == (1, "talkinghead: none.png: no such file\n")


def test_the_models_are_silent_on_the_command_line():
    made = run(
        "from drawn_face import drawn_face\n"
        "from talkinghead.face import FaceDetector\n"
        "from talkinghead.host.process import native_output_hidden\n"
        "with native_output_hidden():\n"
        "    print(len(FaceDetector().detect(drawn_face(200))))\n"
    )
    assert (made.stdout, made.stderr) == ("1\n", "")


def test_importing_leaves_openmp_alone():
    made = run(
        "import os\nos.environ.pop('OMP_WAIT_POLICY', None)\nimport talkinghead\nprint(os.getenv('OMP_WAIT_POLICY'))\n"
    )
    assert made.stdout == "None\n"


def test_the_command_line_settles_before_torch_is_loaded():
    made = run(
        "import os, sys\n"
        "os.environ.pop('OMP_WAIT_POLICY', None)\n"
        "from talkinghead.cli import main\n"
        "main(['--version'])\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\n"
    )
    assert made.stdout.splitlines()[-1] == "PASSIVE False"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("used", [True, False])
def test_a_fork_is_refused_once_networks_were_used(used):
    made = run(
        "import os, sys\n"
        "from talkinghead.host.forks import check_process\n"
        f"{'check_process()' if used else ''}\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    check_process()\n"
        "    sys.exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert made.stdout == f"{int(used)}\n"
    if used:
        last = made.stderr.splitlines()[-1]
        assert '"spawn"' in last and len(last) < 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_fork_that_lets_go_of_the_networks_ends():
    made = run(
        "import os, sys\n"
        "from drawn_face import drawn_face\n"
        "from talkinghead.errors import ForkError\n"
        "from talkinghead.face import FaceDetector\n"
        "detector = FaceDetector()\n"
        "detector.detect(drawn_face(200))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        detector.detect(drawn_face(200))\n"
        "    except ForkError:\n"
        "        del detector\n"
        "        sys.exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert made.stdout == "7\n"


def test_threads_may_be_the_first_to_use_it():
    made = run(
        "import threading\n"
        "import talkinghead\n"
        "loaded = []\n"
        "load = lambda: loaded.append(talkinghead.load_models('mini', 'cpu'))\n"
        "threads = [threading.Thread(target=load) for _ in range(2)]\n"
        "[thread.start() for thread in threads], [thread.join() for thread in threads]\n"
        "print(len(loaded))\n"
    )
    assert made.stdout == "2\n"
