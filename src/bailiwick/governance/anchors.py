"""Where signed heads are kept besides the database, so that its owner cannot rewrite the past unseen."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.governance.checkpoint import Head, parse

_TIMEOUT_S = 10


class Anchor(Protocol):
    """A place for heads. What was published must stay readable, and must be out of reach of the database's owner."""

    @property
    def name(self) -> str:
        """As it is configured, without secrets."""
        ...

    @property
    def readable(self) -> bool:
        """Whether `heads` gives back what was published."""
        ...

    def publish(self, head: Head) -> None:
        """Keep a head. Publishing the same one again does no harm.

        Raises:
            Unavailable: it was not kept.
        """
        ...

    def heads(self) -> Sequence[Head]:
        """Every head it kept, where it can be read back; else none.

        Raises:
            Unavailable: it cannot be read now.
        """
        ...


class FileAnchor:
    """A file that heads are appended to: on another disk, an object store with a retention lock, a git checkout."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    @property
    def readable(self) -> bool:
        """It is."""
        return True

    def publish(self, head: Head) -> None:
        """Append the head, on disk when this returns."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(head.note + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Unavailable(f"the head cannot be anchored: {error}", what="anchor", where=self.name) from error

    def heads(self) -> Sequence[Head]:
        """Every head of the file; empty before the first."""
        try:
            return read_heads(self._path) if self._path.exists() else []
        except OSError as error:
            raise Unavailable(f"the anchor cannot be read: {error}", what="anchor", where=self.name) from error


class HttpAnchor:
    """A server that heads are posted to. It keeps them; give them back to ``audit verify --heads`` from there."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self._name = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "") + parts.path

    @property
    def name(self) -> str:
        """The address, without user, password and query."""
        return self._name

    @property
    def readable(self) -> bool:
        """What a server answers is no proof of what it was given."""
        return False

    def publish(self, head: Head) -> None:
        """Post the head as text."""
        request = urllib.request.Request(  # noqa: S310 - `parse_anchor` lets http and https in alone
            self._url, head.note.encode(), {"content-type": "text/plain; charset=utf-8"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
                pass
        except (urllib.error.URLError, OSError) as error:
            raise Unavailable(f"the head cannot be anchored: {error}", what="anchor", where=self._name) from error

    def heads(self) -> Sequence[Head]:
        """None."""
        return []


def parse_anchor(text: str) -> Anchor:
    """The anchor of a ``file:///path`` or ``https://host/path``.

    Raises:
        InvalidInput: neither.
    """
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return FileAnchor(Path(unquote(parts.path)))
    if parts.scheme in {"http", "https"} and parts.hostname:
        return HttpAnchor(text)
    raise InvalidInput(
        f"{text!r} is no place for audit heads", what="audit_anchors", allowed="file:///path or https://host/path"
    )


def read_heads(path: Path) -> list[Head]:
    """The heads of a file as `FileAnchor` writes it.

    Raises:
        InvalidInput: the file holds something else.
        OSError: it cannot be read.
    """
    heads: list[Head] = []
    lines: list[str] = []
    signed = False
    for line in [*path.read_text("utf-8").split("\n"), ""]:
        if not line and (signed or not lines):
            if lines:
                heads.append(parse("\n".join(lines) + "\n"))
            lines, signed = [], False
            continue
        lines.append(line)
        signed = signed or line.startswith("— ")
    if lines and any(lines):
        raise InvalidInput(f"{path} ends within a head", what="heads", where=str(path))
    return heads
