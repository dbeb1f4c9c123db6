"""Finds the files to read and turns their bytes into text. Nothing in here trusts a file.

Names are relative to the folder that was asked for and start with its name (``estate/ddl/customer.sql``): the same on
every machine. Hidden entries (a leading dot) are not looked at.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bailiwick.errors import InvalidInput

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_FILES: Final = 500_000
_SNIFFED = 8_192
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x08\x1b\x1a")

KINDS: Final = {
    ".sql": "sql",
    ".hql": "sql",
    ".hive": "sql",
    ".ddl": "sql",
    ".dml": "sql",
    ".q": "sql",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".xml": "xml",
    ".controlm": "xml",
}
"""File ending to the kind of reader; a file with another ending is listed, but not read."""


class Unreadable(Exception):
    """A file cannot be read as what it claims to be. Never leaves the extraction: it becomes a recorded outcome."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.line)


class Unrecognised(Unreadable):
    """A sound file that holds nothing that a reader knows: left aside, not an error."""


def _rebuild(kind: type[Unreadable], message: str, line: int | None) -> Unreadable:
    return kind(message, line=line)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file.

    Args:
        name: as the run names it, with slashes.
        path: where to open it.
        size: in bytes.
        kind: ``sql``, ``json``, ``csv``, ``xml`` or ``other``.
    """

    name: str
    path: Path
    size: int
    kind: str

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in."""
        return str(PurePosixPath(self.name).parent)


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that could not be looked into. ``failed`` is False where it was left out on purpose."""

    name: str
    message: str
    failed: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """What a walk found, sorted by name."""

    files: tuple[FoundFile, ...]
    problems: tuple[Problem, ...]


def walk(paths: Sequence[Path]) -> Listing:
    """Every file below the paths, in a fixed order.

    Links are followed while they stay below the path that was asked for and do not lead round in a circle; devices,
    pipes and sockets are left out. What is left out is listed.

    Raises:
        InvalidInput: a path does not exist, or more than 500,000 files were found.
    """
    if not paths:
        raise InvalidInput("no path to read", what="paths", remedy="name at least one folder or file")
    roots = _named_roots(paths)
    walker = _Walker()
    for name, root in roots:
        walker.enter(root, name, inside=root if root.is_dir() else root.parent, above=())
    files = sorted(walker.files.values(), key=lambda found: found.name)
    return Listing(tuple(files), tuple(sorted(walker.problems, key=lambda problem: problem.name)))


def _named_roots(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    roots: dict[Path, str] = {}
    for path in paths:
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise InvalidInput(
                f"there is no file or folder {str(path)!r}", what="paths", where=str(path), remedy="check the path"
            ) from error
        is_dir = resolved.is_dir()
        roots[resolved] = resolved.name or "root" if is_dir else f"{resolved.parent.name or 'root'}/{resolved.name}"
    names = list(roots.values())
    if len(set(names)) < len(names):  # two folders of one name: tell them apart by the whole path
        return [(resolved.as_posix().lstrip("/"), resolved) for resolved in roots]
    return [(name, resolved) for resolved, name in roots.items()]


class _Walker:
    def __init__(self) -> None:
        self.files: dict[Path, FoundFile] = {}
        self.problems: list[Problem] = []

    def enter(self, path: Path, name: str, *, inside: Path, above: tuple[Path, ...]) -> None:
        """Take one entry: a folder is walked, a file is listed."""
        try:
            real = path.resolve(strict=True)
            mode = real.stat()
        except (OSError, RuntimeError) as error:
            broken = path.is_symlink()
            self._leave_out(name, "a link that leads nowhere" if broken else _reason(error), failed=not broken)
            return
        if path.is_symlink() and not real.is_relative_to(inside):
            self._leave_out(name, "a link that leaves the folder; name its target to read it")
        elif stat.S_ISDIR(mode.st_mode):
            self._folder(path, real, name, inside, above)
        elif not stat.S_ISREG(mode.st_mode):
            self._leave_out(name, "not a regular file (a pipe, socket or device)")
        elif real in self.files:
            self._leave_out(name, f"the same file as {self.files[real].name}")
        else:
            if len(self.files) >= MAX_FILES:
                raise InvalidInput(f"more than {MAX_FILES} files", what="paths", remedy="read a smaller part at a time")
            kind = KINDS.get(PurePosixPath(name).suffix.lower(), "other")
            self.files[real] = FoundFile(name, real, mode.st_size, kind)

    def _folder(self, path: Path, real: Path, name: str, inside: Path, above: tuple[Path, ...]) -> None:
        if real in above:
            self._leave_out(name, "a link back to a folder that it lies in")
            return
        try:
            children = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
        except OSError as error:
            self._leave_out(name, _reason(error), failed=True)
            return
        for child in children:
            printable = child.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            self.enter(path / child, f"{name}/{printable}", inside=inside, above=(*above, real))

    def _leave_out(self, name: str, message: str, *, failed: bool = False) -> None:
        self.problems.append(Problem(name, message, failed))


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        Unreadable: it cannot be opened, is no regular file any more, or is larger than the limit.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unreadable("not a regular file")
            data = stream.read(limit + 1)
    except OSError as error:
        raise Unreadable(_reason(error)) from error
    if len(data) > limit:
        raise Unreadable(f"larger than the limit of {limit} bytes; split it")
    return data


def sha256(data: bytes) -> str:
    """Content hash, hex."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes) -> tuple[str, str]:
    r"""The text of a file and the encoding that it is in.

    Byte order marks decide first, then the zero bytes of UTF-16, then UTF-8; what is left is Latin-1.

    >>> decode(b"\xff\xfea\x00"), decode("naïve".encode("latin-1"))
    (('a', 'utf-16'), ('naïve', 'latin-1'))

    Raises:
        Unreadable: binary content, or a text that ends in the middle of a character.
    """
    if data.startswith(codecs.BOM_UTF8):
        return _strictly(data, "utf-8-sig")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _strictly(data, "utf-16")
    head = data[:_SNIFFED]
    zeros = head.count(0)
    if zeros and len(head) > 3:
        even, odd = head[::2].count(0), head[1::2].count(0)
        half = len(head) // 2
        if odd > 0.4 * half and even < 0.05 * half:
            return _strictly(data, "utf-16-le")
        if even > 0.4 * half and odd < 0.05 * half:
            return _strictly(data, "utf-16-be")
    if b"\0" in data or sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in head) > len(head) // 100:
        raise Unreadable("binary content, not text")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start >= len(data) - 3 and error.start:
            raise Unreadable(
                "ends in the middle of a UTF-8 character: the file is truncated", line=data.count(b"\n") + 1
            ) from error
        return data.decode("latin-1"), "latin-1"


def _strictly(data: bytes, encoding: str) -> tuple[str, str]:
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"not {encoding}, though it begins like it: {error.reason}", line=line) from error


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
