"""How long to look for faults: `python -m pytest tests/fuzz --fuzz-seconds 3600`."""

import pytest

SECONDS = 35.0
"""All readers together, in a usual run of the tests."""


def pytest_addoption(parser):
    parser.addoption("--fuzz-seconds", type=float, default=SECONDS, help="Seconds of fuzzing, all readers together.")
    parser.addoption("--fuzz-seed", type=int, default=0, help="Number of the first round of examples.")


@pytest.fixture
def fuzz_seconds(request) -> float:
    # A run of all tests meets this file too late to know its options.
    return request.config.getoption("--fuzz-seconds", SECONDS)


@pytest.fixture
def fuzz_seed(request) -> int:
    return request.config.getoption("--fuzz-seed", 0)
