"""Where the optional example data lies, and the markers that need it."""

from pathlib import Path

import pytest

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
