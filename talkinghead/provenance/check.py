"""Check that a file can be marked as asked, before there is anything to mark."""

from __future__ import annotations

from pathlib import Path

from talkinghead.options import ProvenanceOptions
from talkinghead.provenance.keys import signing_key
from talkinghead.provenance.label import check_letters
from talkinghead.provenance.manifest import SIGNED, try_key


def check_marks(options: ProvenanceOptions, file: Path | None) -> None:
    """Check the label and the key; the key of the installation is made if there is none.

    Args:
        options: The user's options.
        file: The file that is to be made; None if none is written, which needs no marks.

    Raises:
        OptionError: The font lacks a letter of the label, or the user's key cannot sign.
        InputNotFoundError: A file of the user's key does not exist.
        OutputError: The key of this installation cannot be used.
    """
    if file is None:
        return
    check_letters(options.label)
    if options.c2pa and file.suffix.lower() in SIGNED:
        key = signing_key(options)
        if options.sign_cert:
            try_key(key, Path(options.sign_cert))
