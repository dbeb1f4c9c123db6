"""Signed heads: how many entries the audit tree had, under which root, signed with Ed25519.

A head is a text in the form that transparency logs use (C2SP ``tlog-checkpoint`` in a ``signed-note``): three lines of
origin, size and root, an empty line, and a line per signature. Any tool for such logs can read and cosign it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailiwick.errors import InvalidInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_SIGNATURE = re.compile(r"— (?P<name>[^ +]+) (?P<value>[A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class Head:
    """What a log was at one moment.

    Args:
        origin: the log's name.
        size: entries in the tree.
        root: 32 bytes over the first ``size`` entries.
        note: the signed text.
    """

    origin: str
    size: int
    root: bytes
    note: str


def sign(origin: str, size: int, root: bytes, key: Ed25519PrivateKey) -> Head:
    """A signed head."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = _key_hash(origin, key.public_key()) + key.sign(text.encode())
    return Head(origin, size, root, f"{text}\n— {origin} {base64.b64encode(signature).decode()}\n")


def parse(note: str) -> Head:
    """Read a head; who signed it is not checked here.

    Raises:
        InvalidInput: it is no checkpoint.
    """
    lines = note.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise InvalidInput(f"not a signed head: {note[:60]!r}", what="head", allowed="a C2SP checkpoint") from error
    if not origin or size < 0 or len(root) != 32 or len(lines) < 5 or lines[3]:
        raise InvalidInput(f"not a signed head: {note[:60]!r}", what="head", allowed="a C2SP checkpoint")
    return Head(origin, size, root, note)


def is_signed_by(head: Head, key: Ed25519PublicKey) -> bool:
    """Whether one of the head's signatures is of this key over this very text."""
    from cryptography.exceptions import InvalidSignature

    text, _, signatures = head.note.partition("\n\n")
    wanted = _key_hash(head.origin, key)
    for found in _SIGNATURE.finditer(signatures):
        try:
            value = base64.b64decode(found["value"], validate=True)
            if found["name"] == head.origin and value[:4] == wanted:
                key.verify(value[4:], f"{text}\n".encode())
                return True
        except (InvalidSignature, binascii.Error):
            continue
    return False


def verifier_key(origin: str, key: Ed25519PublicKey) -> str:
    """The public key as a line to hand to whoever verifies: ``name+hash+key``, the C2SP form."""
    value = base64.b64encode(_ED25519 + key.public_bytes_raw()).decode()
    return f"{origin}+{_key_hash(origin, key).hex()}+{value}"


def parse_verifier_key(text: str) -> Ed25519PublicKey:
    """The key of such a line.

    Raises:
        InvalidInput: it is no such line.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        origin, hashed, value = text.strip().split("+", 2)
        raw = base64.b64decode(value, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw[1:])
        if raw[:1] == _ED25519 and _key_hash(origin, key).hex() == hashed:
            return key
    except (ValueError, binascii.Error):
        pass
    raise InvalidInput(
        f"not a verifier key: {text[:80]!r}", what="key", allowed="name+hash+base64, as `bailiwick audit key` prints it"
    )


def _key_hash(origin: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]
