"""The keys that manifests are signed with: one of this installation, made at first use, or the user's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liveportrait.writing import partial_name, put_in_place
from talkinghead.errors import OptionError, OutputError
from talkinghead.media.files import require_file
from talkinghead.options import ProvenanceOptions
from talkinghead.provenance.folder import data_folder

_NAME = "signing.pem"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class SigningKey:
    """A key and its certificates.

    Attributes:
        certificates: The signer's certificate and those above it, PEM.
        private_key: The signer's key, PKCS #8, PEM.
        algorithm: C2PA's name of the signature algorithm.
    """

    certificates: bytes
    private_key: bytes
    algorithm: str


def own_key_file() -> Path:
    """Return the file with the key and the certificates of this installation, which need not exist."""
    return data_folder() / _NAME


def signing_key(options: ProvenanceOptions) -> SigningKey:
    """Return the user's key, or that of this installation, which is made at first use.

    Raises:
        OptionError: The user's files hold no key, no certificate, or two that do not belong together.
        InputNotFoundError: One of the user's files does not exist.
        OutputError: The key of this installation cannot be kept, or its file is damaged.
    """
    if options.sign_cert:
        return _read_users(Path(options.sign_cert), Path(options.sign_key))
    file = own_key_file()
    try:
        if not file.exists():
            _make_own(file)
        private_key, begin, certificates = file.read_bytes().partition(_CERTIFICATE)
    except OSError as error:
        raise OutputError(
            f"{file}: the key that signs what is made cannot be kept there ({error.strerror}); set XDG_DATA_HOME, give"
            " --sign-cert and --sign-key, or say --no-c2pa"
        ) from error
    if not begin or b"PRIVATE KEY" not in private_key:
        raise OutputError(f"{file}: holds no key and certificate any more; delete it, and a new one is made")
    return SigningKey(begin + certificates, private_key, "es256")


def _read_users(cert: Path, key: Path) -> SigningKey:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    certificates, private_key = (require_file(file, OptionError).read_bytes() for file in (cert, key))
    try:
        signer = x509.load_pem_x509_certificates(certificates)[0]
    except ValueError:
        raise OptionError(f"{cert}: holds no certificates in PEM; the signer's own comes first") from None
    try:
        loaded = serialization.load_pem_private_key(private_key, None)
    except (ValueError, TypeError):
        raise OptionError(f"{key}: holds no private key in PEM, or one with a password; give one without") from None
    if loaded.public_key() != signer.public_key():
        raise OptionError(f"{key}: is not the key of the first certificate in {cert}")
    plain = loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(certificates, plain, _algorithm(loaded, key))


def _algorithm(key: Any, file: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in {256, 384, 521}:
        return {256: "es256", 384: "es384", 521: "es512"}[key.curve.key_size]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise OptionError(f"{file}: C2PA takes keys of P-256, P-384, P-521, Ed25519, or RSA of 2048 bits; give one of them")


def _make_own(file: Path) -> None:
    """Make a key with its certificate, readable by this user alone; one that another process made meanwhile stays."""
    from talkinghead.provenance.certificates import new_key  # loads a library that nothing else needs

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(partial_name(file))
    try:
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as target:
            target.write(new_key())
        put_in_place(partial, file)
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)
