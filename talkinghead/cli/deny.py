"""The command `talkinghead deny`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import Debug
from talkinghead.wording import counted


def deny(
    portraits: Annotated[list[Path], typer.Argument(help="Pictures or videos of people who may not be animated.")],
    to: Annotated[Path, typer.Option(help="List to add them to; it is made if there is none.")],
    debug: Debug = False,
) -> None:
    """Put portraits on a list that makes `serve` and `ui` refuse them (--deny-list); it holds hashes, not pictures."""
    from talkinghead.face import FaceDetector
    from talkinghead.media.files import output_error
    from talkinghead.provenance.deny_list import DenyList, hash_portrait

    begin, known = "", DenyList()
    if to.exists():
        known = DenyList.read(to)  # nothing is added to a file that is something else
        begin = "" if to.read_bytes().endswith(b"\n") else "\n"  # the last line may lack its end
    faces = FaceDetector()
    given = []
    for portrait in portraits:
        entries = list(hash_portrait(portrait, faces))
        given += entries
        if not any(entry.kind == "face" for entry in entries):
            typer.echo(f"{portrait}: no face was found, the whole picture is on the list", err=True)
    given = list(dict.fromkeys(given))
    added = [entry for entry in given if entry not in known]
    if added:
        try:
            with to.open("a", encoding="utf-8") as target:
                target.write(begin + "".join(f"{entry}\n" for entry in added))
        except OSError as error:
            raise output_error(to, error) from error
    there = len(given) - len(added)
    typer.echo(f"{to}: {counted(len(added), 'hash', 'hashes')} added{f', {there} there already' if there else ''}")
