"""The form of a key's secret: ``bwk_``, 43 characters for 256 random bits, 6 for a checksum. Pure.

The prefix lets secret scanners find a key that was published by mistake; the checksum lets them, and us, tell a key
from something that only looks like one, and a mistyped key from an unknown one, without asking anybody.

Only the SHA-256 digest of a secret is kept. Slow, salted hashes exist because people choose passwords that can be
guessed; 256 random bits cannot be, however fast the guesses, and a slow hash would cost every request. A key is found
by looking its digest up, so no comparison of secrets takes a time that says how much of a guess was right: whoever
measures the look-up learns at most something of a digest, and cannot choose a secret by its digest.
"""

from __future__ import annotations

import hashlib
import re
import zlib

PREFIX = "bwk_"
ENTROPY_BYTES = 32
HINT_LENGTH = 8

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 43
_CHECK = 6
_FORM = re.compile(r"bwk_[0-9A-Za-z]{49}")


def secret_of(entropy: bytes) -> str:
    """The secret made of 32 random bytes.

    >>> secret_of(bytes(31) + b"x")
    'bwk_000000000000000000000000000000000000000001w3haOTf'

    Raises:
        ValueError: these are not 32 bytes.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a secret is made of {ENTROPY_BYTES} bytes, not of {len(entropy)}")
    unchecked = PREFIX + _base62(int.from_bytes(entropy, "big"), _BODY)
    return unchecked + _checksum(unchecked)


def looks_like_secret(text: str) -> bool:
    """Whether somebody means this to be one of our keys.

    >>> looks_like_secret("bwk_..."), looks_like_secret("sk-proj-1"), looks_like_secret("unused")
    (True, False, False)
    """
    return text.startswith(PREFIX)


def is_well_formed(text: str) -> bool:
    """Whether the form and the checksum fit: a key with one wrong character never does.

    >>> secret = secret_of(bytes(range(32)))
    >>> is_well_formed(secret), is_well_formed(secret[:-1] + "_"), is_well_formed(secret.swapcase())
    (True, False, False)
    """
    return _FORM.fullmatch(text) is not None and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hint_of(secret: str) -> str:
    """The beginning of a secret, by which people tell their keys apart; 232 bits stay unknown."""
    return secret[:HINT_LENGTH]


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
