"""Rows as bytes and back: the same rows give the same bytes in whatever order they came."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable

from bailiwick.datasets.model import Row, Split
from bailiwick.errors import Conflict

_MAX_BYTES = 1024 * 1024 * 1024


def to_bytes(rows: Iterable[Row]) -> bytes:
    """One JSON array per line, sorted."""
    lines = sorted(
        json.dumps([row.domain, row.label, row.text, row.unit, row.split], ensure_ascii=False) for row in rows
    )
    return ("\n".join(lines) + "\n").encode()


def digest(content: bytes) -> str:
    """The sha256 of canonical rows, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def content_of(rows: Iterable[Row]) -> str:
    """The sha256 of the different texts of rows, in hexadecimal: the same under any name, split, label or unit.

    >>> once = Row("Where is my card?", "arrival", "cards", "ada", Split.TRAIN)
    >>> content_of([once]) == content_of([Row("Where is my card?", "lost", "loans"), once])
    True
    """
    return digest("\n".join(sorted({json.dumps(row.text) for row in rows})).encode())


def pack(content: bytes) -> bytes:
    """Compressed, for storage."""
    return zlib.compress(content, 6)


def unpack(packed: bytes, sha256: str) -> tuple[Row, ...]:
    """The rows of a stored snapshot.

    Raises:
        Conflict: what is stored is not what was snapshot.
    """
    try:
        content = zlib.decompressobj().decompress(packed, _MAX_BYTES)
    except zlib.error as error:
        raise Conflict(f"the stored snapshot {sha256[:12]} is damaged: {error}", what=sha256) from error
    if digest(content) != sha256:
        raise Conflict(f"the stored snapshot {sha256[:12]} was changed", what=sha256, remedy="import the data again")
    records = (json.loads(line) for line in content.decode().split("\n") if line)
    return tuple(
        Row(text=text, label=label, domain=domain, unit=unit, split=Split(split) if split else None)
        for domain, label, text, unit, split in records
    )
