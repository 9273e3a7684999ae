"""The lowest versions that the workflow tests are the lowest ones that the package allows."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_lowest_versions_are_tested():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    allowed = dict(match.groups() for line in dependencies if (match := re.match(r"(torch\w*)>=([\d.]+),<", line)))
    tested = dict(line.split("==") for line in (ROOT / ".github/lowest.txt").read_text().split())
    assert len(tested) == 3 and {name: f"{version}.0" for name, version in allowed.items()} == tested
    assert "PIP_CONSTRAINT: .github/lowest.txt" in (ROOT / ".github/workflows/ci.yml").read_text()
