"""The command `talkinghead verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkinghead.cli.lines import escape
from talkinghead.cli.options import AsJson, Debug

if TYPE_CHECKING:
    from talkinghead.provenance.manifest import Manifest
    from talkinghead.provenance.verify import Verification

EXIT_CODES = {"intact": 0, "nothing": 3, "changed": 4, "unsigned": 5}
"""Exit codes by finding; 1 is a mistake of the user's."""

_SAID = {
    "intact": "says that it is generated, and is as it was signed",
    "nothing": "nothing says that it is generated; that does not mean that it was filmed",
    "changed": "CHANGED after it was signed, or its manifest is broken",
    "unsigned": "says that it is generated, but no manifest proves by whom, or that it is unchanged",
}


def verify(
    file: Annotated[Path, typer.Argument(help="Picture or video to look at.")],
    trust: Annotated[
        Path | None, typer.Option(help="PEM file of certificates whose signers are trusted; default: nobody is.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what a file shows of its origin: signed manifest, watermark and tags.

    Exit code: 0 marked and intact, 3 nothing found, 4 changed or broken, 5 marked without a manifest.
    """
    from talkinghead.provenance.verify import verify

    found = verify(file, trust=trust)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "file": str(found.file), "verdict": found.verdict}))
    else:
        for line in lines_of(found):
            typer.echo(escape(line))
    raise SystemExit(EXIT_CODES[found.verdict])


def lines_of(found: Verification) -> Iterator[str]:
    """Yield what was found, line by line; the first one says it all."""
    yield f"{found.file}: {_SAID[found.verdict]}"
    yield from _manifest_lines(found.manifest) if found.manifest else ["C2PA manifest: none"]
    yield f"watermark: {_watermark(found)}"
    yield from (f"tag: {tag}" for tag in found.tags or ["none"])


def _manifest_lines(manifest: Manifest) -> Iterator[str]:
    yield f"C2PA manifest: {'valid' if manifest.is_intact else 'INVALID: ' + '; '.join(manifest.problems)}"
    if manifest.signer:
        yield f"signed by: {manifest.signer} ({_trust(manifest)})"
    if manifest.generator:
        yield f"made with: {manifest.generator}"
    yield from (f"source type: {term.rpartition('/')[2]}" for term in manifest.source_types)
    yield from (f"made from: {each}" for each in manifest.inputs)


def _watermark(found: Verification) -> str:
    if found.unsearched is not None:
        return f"not searched ({found.unsearched})"
    mark = found.watermark
    if mark is None:
        return "none"
    said = "its payload cannot be read" if mark.payload is None else f"payload {mark.payload}"
    return f"found, {said} (score {mark.score:.1f})"


def _trust(manifest: Manifest) -> str:
    if manifest.is_trusted:
        return "trusted"
    if manifest.is_own:
        return "untrusted: the key of this installation, which nobody has certified"
    return "untrusted: nobody has certified who this is"
