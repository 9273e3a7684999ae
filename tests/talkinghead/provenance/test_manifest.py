"""Every file is signed, says what it was made from, and shows each change."""

import datetime
import hashlib
import json
import stat
from fractions import Fraction
from pathlib import Path

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

import talkinghead
from talkinghead import OptionError, OutputError, ProvenanceOptions
from talkinghead.cli.demo import demo_inputs
from talkinghead.media.formats import PLAIN, WEBM
from talkinghead.media.video import VideoWriter
from talkinghead.provenance import keys
from talkinghead.provenance.check import check_marks
from talkinghead.provenance.keys import own_key_file
from talkinghead.provenance.manifest import SIGNED, read_manifest
from talkinghead.provenance.marks import COMPOSITE, GENERATED, Marks
from talkinghead.provenance.pictures import write_picture
from talkinghead.provenance.tags import read_tags

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 255, (48, 64, 3), np.uint8)


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "source.png"
    Image.fromarray(PICTURE).save(file)
    return file


def make(file, marks):
    """Write a picture, or a video of three frames."""
    if file.suffix in {".png", ".jpg", ".jpeg"}:
        write_picture(PICTURE, file, marks, overwrite=True)
        return file
    kind = WEBM if file.suffix == ".webm" else PLAIN[file.suffix]
    with VideoWriter(file, Fraction(25), (48, 64), kind=kind, overwrite=True, marks=marks) as writer:
        for n in range(3):
            writer.write(np.roll(PICTURE, n, 1))
    return file


@pytest.mark.parametrize("suffix", [".mp4", ".png", ".jpg", ".gif", ".webp"])
def test_every_format_is_signed_by_this_installation(tmp_path, source, suffix):
    file = make(tmp_path / f"out{suffix}", Marks(source=source, inputs=(source,)))
    state = c2pa.Reader(file).get_validation_state()
    assert state == "Valid"
    manifest = read_manifest(file)
    assert manifest.is_intact and manifest.is_own and not manifest.is_trusted
    assert manifest.source_types == (COMPOSITE,) and manifest.generator.startswith("Talkinghead 0")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([file.name, source.name])
    assert read_manifest(file, own_key_file()).is_trusted


def test_every_changed_byte_of_the_content_shows(tmp_path, source):
    for suffix in (".mp4", ".png", ".jpg"):
        file = make(tmp_path / f"out{suffix}", Marks(source=source))
        content = file.read_bytes()
        for place in RNG.integers(len(content) * 3 // 4, len(content), 10):  # behind the manifest
            changed = bytearray(content)
            changed[place] ^= 1
            file.write_bytes(changed)
            assert not read_manifest(file).is_intact


def test_inputs_are_named_by_hash_and_not_by_name(tmp_path, source):
    voice = tmp_path / "private name.wav"
    voice.write_bytes(b"sound")
    file = make(tmp_path / "out.png", Marks(source=source, inputs=(source, voice)))
    inputs = read_manifest(file).inputs
    assert [each.partition(":")[0] for each in inputs] == ["source", "input"]
    assert inputs[1] == f"input: SHA-256 {hashlib.sha256(b'sound').hexdigest()}"
    assert b"private name" not in file.read_bytes()


def test_paths_may_be_written_in_any_way(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_certificate(tmp_path)
    options = ProvenanceOptions(sign_cert="./cert.pem", sign_key=".//key.pem")
    marks = Marks(options, "./source.png", (source, *map(Path, ("./source.png", "./cert.pem", "./key.pem"))))
    assert list(marks.hashes) == ["source.png", str(source)]  # neither certificate nor key
    inputs = read_manifest(make(tmp_path / "out.png", Marks(options, "./source.png"))).inputs
    assert [each.partition(":")[0] for each in inputs] == ["source"]


def test_a_source_with_a_manifest_brings_it_along(tmp_path, source):
    first = make(tmp_path / "first.png", Marks(source=source))
    second = make(tmp_path / "second.mp4", Marks(source=first))
    assert len(json.loads(c2pa.Reader(second).json())["manifests"]) == 2
    assert read_manifest(second).is_intact
    first.write_bytes(first.read_bytes()[:-20] + b"x" * 20)  # broken by somebody else
    assert read_manifest(make(tmp_path / "third.mp4", Marks(source=first))).is_intact


def test_a_generated_source_stays_generated(tmp_path, source):
    assert Marks(source=source).source_type == COMPOSITE
    assert Marks(source=PICTURE).source_type == COMPOSITE
    source.write_bytes(source.read_bytes() + GENERATED.encode())
    file = make(tmp_path / "out.jpg", Marks(source=source))
    assert read_manifest(file).source_types == (GENERATED,) and read_tags(file) == (GENERATED,)
    source.write_bytes(source.read_bytes() + COMPOSITE.encode())
    assert Marks(source=source).source_type == COMPOSITE


def test_it_can_be_switched_off_and_webm_has_none(tmp_path, source):
    off = ProvenanceOptions(c2pa=False)
    for file in (
        make(tmp_path / "out.mp4", Marks(off, source)),
        make(tmp_path / "out.png", Marks(off, source)),
        make(tmp_path / "out.webm", Marks(source=source)),
    ):
        assert read_manifest(file) is None and read_tags(file)
    assert ".webm" not in SIGNED
    assert read_manifest(source) is None and not read_tags(source)


def test_the_key_is_private_and_made_once():
    key = keys.signing_key(ProvenanceOptions())
    file = own_key_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert keys.signing_key(ProvenanceOptions()) == key
    certificates = x509.load_pem_x509_certificates(key.certificates)
    assert len(certificates) == 2 and certificates[0].issuer == certificates[1].subject
    assert file.read_bytes().count(b"PRIVATE KEY-----") == 2  # one key: that of the root is not kept


def test_a_damaged_key_is_one_line_and_hinders_no_check(tmp_path, source, monkeypatch):
    file = make(tmp_path / "out.png", Marks(source=source))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    own = own_key_file()
    own.parent.mkdir(parents=True)
    for content in (b"", b"-----BEGIN CERTIFICATE-----", b"something else"):
        own.write_bytes(content)
        with pytest.raises(OutputError, match=r"signing\.pem.*delete it"):
            keys.signing_key(ProvenanceOptions())
        manifest = read_manifest(file)
        assert manifest.is_intact and not manifest.is_own


def test_a_key_that_cannot_be_kept_is_one_line(tmp_path, source, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="--no-c2pa"):
        make(tmp_path / "out.mp4", Marks(source=source))
    assert not (tmp_path / "out.mp4").exists()


def own_certificate(folder, *, for_signing=True):
    """Write a certificate and its key, as a user has them."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "A studio")])
    upper = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "An authority")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(upper, name, key.public_key(), 7, now, now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(for_signing, False, not for_signing, False, False, False, False, False, False), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(key, hashes.SHA384())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return ProvenanceOptions(sign_cert=str(cert), sign_key=str(private))


def test_a_users_certificate_signs(tmp_path, source):
    options = own_certificate(tmp_path)
    file = make(tmp_path / "out.mp4", Marks(options, source, (source, tmp_path / "cert.pem", tmp_path / "key.pem")))
    manifest = read_manifest(file)
    assert manifest.is_intact and not manifest.is_own and manifest.signer == "A studio"
    assert len(manifest.inputs) == 1  # keys are no inputs


def test_a_certificate_that_is_not_for_signing_is_refused(tmp_path, source):
    options = own_certificate(tmp_path, for_signing=False)
    with pytest.raises(OutputError, match="--sign-cert"):
        make(tmp_path / "out.mp4", Marks(options, source))
    assert not (tmp_path / "out.mp4").exists()


def test_a_key_that_cannot_sign_is_found_before_anything_is_made(tmp_path):
    file = tmp_path / "out.mp4"
    check_marks(own_certificate(tmp_path), file)
    wrong = own_certificate(tmp_path, for_signing=False)
    with pytest.raises(OptionError, match=r"cert\.pem: nothing can be signed with it"):
        check_marks(wrong, file)
    check_marks(wrong, tmp_path / "out.webm")  # has no manifest
    check_marks(wrong, None)
    assert not file.exists()


@pytest.mark.parametrize("make_video", ["speak", "reenact", "idle", "edit"])
def test_commands_check_it_before_they_load_anything(tmp_path, source, make_video, monkeypatch):
    monkeypatch.setattr("talkinghead.api.load_models_for", lambda *_, **__: pytest.fail("models were loaded"))
    monkeypatch.setattr("talkinghead.idling.load_models_for", lambda *_, **__: pytest.fail("models were loaded"))
    options = talkinghead.Options(provenance=own_certificate(tmp_path, for_signing=False))
    voice = {"speak": [demo_inputs().voice], "reenact": [source]}.get(make_video, [])
    with pytest.raises(OptionError, match="nothing can be signed"):
        getattr(talkinghead, make_video)(
            source, *voice, tmp_path / ("out.png" if make_video == "edit" else "out.mp4"), options=options
        )


def test_wrong_keys_are_user_errors(tmp_path, source):
    options = own_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other = own_certificate(tmp_path / "other")
    wrong = {
        "not the key of": (options.sign_cert, other.sign_key),
        "no certificates": (options.sign_key, options.sign_key),
        "no private key": (options.sign_cert, options.sign_cert),
    }
    for message, (cert, key) in wrong.items():
        with pytest.raises(OptionError, match=message):
            keys.signing_key(ProvenanceOptions(sign_cert=cert, sign_key=key))
    for given in ({"sign_cert": "a.pem"}, {"sign_cert": "a", "sign_key": "b", "c2pa": False}):
        with pytest.raises(OptionError):
            ProvenanceOptions(**given)


def test_the_clips_of_a_narration_are_not_signed(tmp_path):
    assert read_manifest(make(tmp_path / "clip.mp4", None)) is None
