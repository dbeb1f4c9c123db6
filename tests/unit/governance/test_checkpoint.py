"""Signed heads: the published test vector of the format, round trips, forgeries."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import InvalidInput
from bailiwick.governance.checkpoint import is_signed_by, parse, parse_verifier_key, sign, verifier_key
from bailiwick.governance.keys import load_or_create_key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROOT = hashlib.sha256(b"root").digest()


def test_head__signed__is_read_back_and_verified() -> None:
    head = sign("example.org/log", 42, ROOT, KEY)
    again = parse(head.note)
    assert (again.origin, again.size, again.root) == ("example.org/log", 42, ROOT)
    assert is_signed_by(again, KEY.public_key())


def test_head__text_changed__is_not_signed() -> None:
    note = sign("log", 42, ROOT, KEY).note
    for changed in (note.replace("\n42\n", "\n41\n"), note.replace("log\n", "lag\n", 1)):
        assert not is_signed_by(parse(changed), KEY.public_key())


def test_head__signed_by_somebody_else__is_not_ours() -> None:
    other = Ed25519PrivateKey.generate()
    head = sign("log", 1, ROOT, other)
    assert not is_signed_by(head, KEY.public_key())
    assert is_signed_by(head, other.public_key())


def test_head__cosigned_by_a_witness__still_ours() -> None:
    note = sign("log", 1, ROOT, KEY).note + "— witness.example " + base64.b64encode(b"x" * 68).decode() + "\n"
    assert is_signed_by(parse(note), KEY.public_key())


def test_verifier_key__of_go_sumdb__is_understood() -> None:
    # the well-known key of sum.golang.org, published in the Go source (cmd/go/internal/modfetch/key.go)
    key = parse_verifier_key("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert verifier_key("sum.golang.org", key) == "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


@pytest.mark.parametrize("text", ["", "a+b+c", "log+00000000+" + base64.b64encode(b"\x01" + b"k" * 32).decode(), "x"])
def test_verifier_key__malformed__refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a verifier key"):
        parse_verifier_key(text)


@pytest.mark.parametrize("note", ["", "log\n", "log\nx\nAAAA\n\n", "log\n3\nAAAA\n\n", "\n3\n" + "A" * 44 + "\n\n"])
def test_parse__no_head__refused(note: str) -> None:
    with pytest.raises(InvalidInput, match="not a signed head"):
        parse(note)


def test_key_file__made_once__kept_private_and_the_same(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "keys" / "audit.pem"
    first = load_or_create_key(path)
    assert path.stat().st_mode & 0o077 == 0
    assert load_or_create_key(path).private_bytes_raw() == first.private_bytes_raw()
    assert [entry.name for entry in path.parent.iterdir()] == ["audit.pem"]


def test_key_file__something_else__refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "audit.pem"
    path.write_text("no key")
    with pytest.raises(InvalidInput, match="no Ed25519 key"):
        load_or_create_key(path)
