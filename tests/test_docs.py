"""The pages of the documentation name files that exist."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PARAMETERS = {"argvalues": PAGES, "ids": [page.name for page in PAGES]}


def anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub and mkdocs write them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", **PARAMETERS)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", **PARAMETERS)
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:talkinghead|liveportrait|audio2motion|scripts|tests)/[\w/.]+\.(?:py|sh|txt)\b", text):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "api").glob("*.md")), ids=lambda page: page.stem)
def test_the_reference_names_what_exists(page):
    for name, members in re.findall(
        r"^::: (\S+)(?:\n    options:\n      members: \[(.+)\])?", page.read_text(), re.MULTILINE
    ):
        described = resolve_name(name)
        for member in members.split(", ") if members else []:
            assert hasattr(described, member), f"{name}.{member}"
