"""The options of how a file shows that it is generated; they are part of `talkinghead.options`."""

from __future__ import annotations

from dataclasses import dataclass

from talkinghead.errors import OptionError
from talkinghead.inputs.settings import Checked, setting

MAX_LABEL = 100
"""Longest label, in characters."""


@dataclass(frozen=True)
class ProvenanceOptions(Checked):
    """How a file shows that it is generated; `docs/provenance.md` says what each of them writes."""

    label: str = setting("", 'Text to draw into a corner of the pictures, such as "AI-generated"; default: none.')
    watermark: bool = setting(True, "Lay an imperceptible watermark on the pictures that survives coding and resizing.")
    c2pa: bool = setting(True, "Sign the file with a C2PA manifest that says how it was made.")
    sign_cert: str = setting(
        "",
        "PEM file of certificates to sign with, the signer's first; default: one made for this installation.",
        names_file=bool,
    )
    sign_key: str = setting("", "PEM file of the private key of --sign-cert.", names_file=bool)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.label.isprintable() or len(self.label) > MAX_LABEL:
            raise OptionError(f"label must be one line of at most {MAX_LABEL} characters")
        if self.label and not self.label.strip():
            raise OptionError("label is blank: give a text, or leave it out")
        if bool(self.sign_cert) != bool(self.sign_key):
            raise OptionError("sign_cert and sign_key belong together: give both or none")
        if self.sign_cert and not self.c2pa:
            raise OptionError("sign_cert signs a C2PA manifest, c2pa=False writes none: leave one of them out")
