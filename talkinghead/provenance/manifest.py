"""Sign files with C2PA manifests, and read them.

Nothing is fetched: neither time stamps and the state of certificates, nor manifests that lie elsewhere.
"""

from __future__ import annotations

import errno
import io
import json
import mimetypes
import mmap
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from liveportrait.errors import PortraitError
from liveportrait.writing import create_beside
from talkinghead.errors import OptionError, OutputError
from talkinghead.media.files import require_file
from talkinghead.provenance.keys import SigningKey, own_key_file, signing_key
from talkinghead.provenance.marks import Marks

if TYPE_CHECKING:
    import c2pa

SIGNED = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
"""What can be signed, by suffix, and its media type; C2PA knows no manifests in WebM."""

_SETTINGS: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True, "verify_after_sign": False},
    "builder": {"thumbnail": {"enabled": False}},  # no copy of anybody's portrait in the file
}


_WATERMARK = "org.talkinghead.watermark.1"
"""Name of the watermark's algorithm, by which its payload is given."""

_ADVICE = "check --sign-cert and --sign-key, or say --no-c2pa"

_UNKNOWN = "application/octet-stream"

_UNTRUSTED = "signingCredential.untrusted"
"""C2PA's code of a signer whom nobody has certified; the file is as it was signed all the same."""


class Signer:
    """Signs one file when it is complete; until then another thread loads the library and reads the inputs."""

    def __init__(self, marks: Marks) -> None:
        """Look at the key, so that a missing one is found before there is anything to sign.

        Raises:
            PortraitError: The key cannot be used.
        """
        self._marks, self._key = marks, signing_key(marks.options)
        thread = ThreadPoolExecutor(1, "signer")
        self._manifest = thread.submit(_describe, marks)
        thread.shutdown(wait=False)

    def sign(self, partial: Path, file: Path) -> None:
        """Put a manifest into a complete file.

        Args:
            partial: The file, which has not its final name yet.
            file: Its final name, with one of the suffixes `SIGNED`.

        Raises:
            OutputError: The certificate is not one to sign with.
            OSError: There is no room for the signed file.
        """
        manifest = self._manifest.result()
        import c2pa

        if shutil.disk_usage(partial.parent).free < partial.stat().st_size:  # the library would say no more than "Io"
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial))
        signed = create_beside(file)
        try:
            with (
                _context() as context,
                _signer(self._key) as signer,
                c2pa.Builder(manifest, context) as builder,
                partial.open("rb") as plain,
                signed.open("w+b") as target,
            ):
                for used, ingredient in _ingredients(self._marks).items():
                    _add(builder, used, ingredient)
                builder.sign(signer, SIGNED[file.suffix.lower()], plain, target)
            os.replace(signed, partial)
        except c2pa.C2paError as error:
            raise OutputError(f"the result cannot be signed ({error}); {_ADVICE}") from error
        finally:
            signed.unlink(missing_ok=True)


def open_signer(marks: Marks | None, suffix: str) -> Signer | None:
    """Return what signs a file of this suffix, or None if the user or the format wants no manifest.

    Raises:
        PortraitError: The key cannot be used.
    """
    return Signer(marks) if marks and marks.options.c2pa and suffix.lower() in SIGNED else None


def try_key(key: SigningKey, file: Path) -> None:
    """Sign an empty picture, because the library looks at the certificate only then.

    Args:
        key: The key.
        file: Where its certificate is from.

    Raises:
        OptionError: The certificate has ended, or is not one to sign with.
    """
    import c2pa

    plain, signed = io.BytesIO(), io.BytesIO()
    Image.new("L", (1, 1)).save(plain, "PNG")
    try:
        with _context() as context, _signer(key) as signer, c2pa.Builder({}, context) as builder:
            builder.sign(signer, SIGNED[".png"], plain, signed)
    except c2pa.C2paError as error:
        raise OptionError(f"{file}: nothing can be signed with it ({error}); {_ADVICE}") from error


def _signer(key: SigningKey) -> c2pa.Signer:
    import c2pa

    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(key.algorithm.encode(), key.certificates, key.private_key, None))


@dataclass(frozen=True)
class Manifest:
    """What a file's manifest says, and whether it is true.

    Attributes:
        is_intact: Whether the file is as it was signed.
        is_trusted: Whether somebody who is trusted has certified the signer.
        is_own: Whether this installation has signed it.
        signer: The signer's name, by its own account unless it is trusted.
        generator: The program, by its own account.
        source_types: IPTC's digital source types of the actions.
        inputs: Title and description of every ingredient.
        problems: Why it is not intact.
    """

    is_intact: bool
    is_trusted: bool = False
    is_own: bool = False
    signer: str = ""
    generator: str = ""
    source_types: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_manifest(file: Path, trust: Path | None = None) -> Manifest | None:
    """Read and check a file's manifest.

    Args:
        file: The file; of formats without manifests none is found.
        trust: PEM file of the certificates whose signers are trusted; None to trust nobody.

    Returns:
        The manifest, or None if there is none.
    """
    import c2pa

    try:
        with _context(trust) as context, c2pa.Reader(file, context=context) as reader:
            found = _read(json.loads(reader.json()), reader.get_validation_state())
    except c2pa.C2paError as error:
        if str(error).startswith(("ManifestNotFound", "NotSupported")):
            return None
        if str(error).startswith(("Io", "Other")) and not _has_boxes(file):  # not what its suffix says
            return None
        return Manifest(False, problems=(f"the manifest cannot be read ({error})",))
    return replace(found, is_own=found.is_intact and _is_own(file))


def _has_boxes(file: Path) -> bool:
    """Return whether a file holds boxes of JUMBF, in which manifests lie.

    Source: ISO/IEC 19566-5, "JUMBF superbox": their type is `jumb`.
    """
    with file.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as found:
        return found.find(b"jumb") >= 0


def _is_own(file: Path) -> bool:
    """Return whether the signer of a file is certified by the root of this installation."""
    import c2pa

    own = own_key_file()
    try:
        with _context(own) as context, c2pa.Reader(file, context=context) as reader:
            return reader.get_validation_state() == "Trusted"
    except (PortraitError, c2pa.C2paError):  # there is no key here, or it is damaged
        return False


def _read(shown: dict[str, Any], state: str | None) -> Manifest:
    """Collect what matters of the library's report."""
    active = shown["manifests"][shown["active_manifest"]]
    failures = shown.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    problems = [each["explanation"] for each in failures if each["code"] != _UNTRUSTED]
    actions = [
        action
        for assertion in active.get("assertions", [])
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"].get("actions", [])
    ]
    types = [action["digitalSourceType"] for action in actions if "digitalSourceType" in action]
    signature = active.get("signature_info") or {}
    names = [signature.get("issuer"), signature.get("common_name")]
    made_by = next(iter(active.get("claim_generator_info") or []), {})
    inputs = [f"{each.get('title', '')}: {each.get('description', '')}" for each in active.get("ingredients", [])]
    return Manifest(
        is_intact=state in {"Valid", "Trusted"},
        is_trusted=state == "Trusted",
        signer=", ".join(filter(None, names)),
        generator=f"{made_by.get('name', '')} {made_by.get('version', '')}".strip(),
        source_types=tuple(dict.fromkeys(types)),
        inputs=tuple(inputs),
        problems=tuple(problems),
    )


def _context(trust: Path | None = None) -> c2pa.Context:
    """Return the library's settings for one file.

    Raises:
        OptionError: `trust` holds no certificates.
    """
    import c2pa

    settings = _SETTINGS
    if trust is not None:
        anchors = require_file(trust, OptionError).read_text(encoding="utf-8", errors="replace")
        if "BEGIN CERTIFICATE" not in anchors:
            raise OptionError(f"{trust}: holds no certificates in PEM")
        settings = {**settings, "trust": {"trust_anchors": anchors}}
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _describe(marks: Marks) -> dict[str, Any]:
    """Return what is signed: the program, its action, and a hash of every input, but no names of files."""
    import c2pa  # noqa: F401 — loaded here, while the pictures are made

    program = {"name": "Talkinghead", "version": version("talkinghead")}
    created = {
        "action": "c2pa.created",
        "digitalSourceType": marks.source_type,
        "softwareAgent": program,
        "parameters": {"ingredientIds": [each["label"] for each in _ingredients(marks).values()]},
    }
    actions: list[dict[str, Any]] = [created]
    assertions = [{"label": "c2pa.actions.v2", "data": {"actions": actions}, "created": True}]
    if marks.options.watermark:
        actions.append({"action": "c2pa.watermarked.bound"})
        blocks = [{"scope": {}, "value": f"{marks.payload:016x}"}]
        assertions.append({"label": "c2pa.soft-binding", "data": {"alg": _WATERMARK, "blocks": blocks}})
    return {"claim_generator_info": [program], "assertions": assertions}


def _ingredients(marks: Marks) -> dict[str, dict[str, str]]:
    """Describe every input by its path; it is named by what it is for, because names of files can be private."""
    source = str(Path(marks.source)) if isinstance(marks.source, str | os.PathLike) else None
    return {
        file: {
            "label": f"input{number}",
            "title": "source" if file == source else "input",
            "relationship": "inputTo",
            "description": f"SHA-256 {digest}",
        }
        for number, (file, digest) in enumerate(marks.hashes.items())
    }


def _add(builder: c2pa.Builder, file: str, ingredient: dict[str, str]) -> None:
    """Add an input, with its own manifest if it has one that can be read."""
    import c2pa

    media_type = mimetypes.guess_type(file)[0] or _UNKNOWN
    try:
        with Path(file).open("rb") as content:
            builder.add_ingredient(ingredient, media_type, content)
    except c2pa.C2paError:
        builder.add_ingredient(ingredient, _UNKNOWN, io.BytesIO())
