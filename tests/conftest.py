"""Where the optional example data lies, the markers that need it, and processes that start quickly."""

import multiprocessing
import os
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as on the command line, before PyTorch is imported

HOME = tempfile.TemporaryDirectory(prefix="talkinghead-tests-", ignore_cleanup_errors=True)
os.environ["XDG_DATA_HOME"] = HOME.name  # the key of this installation is not the tests' to make

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items):
    if SHARED.is_dir():
        return
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="the example data is not beside the project"))


@pytest.fixture
def shared() -> Path:
    return SHARED


@pytest.fixture(scope="session")
def quick_processes():
    """Processes that are forked from one that has imported the networks and the stand-ins, and used neither."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, sys.path)))
        forkserver.ensure_running()
    return context
