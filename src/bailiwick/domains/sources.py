"""Where a process gets the domains from: Redis, the database, a file; the first that answers.

Redis only ever repeats the database. While the database can be asked for its version, Redis is believed only if it
holds exactly that version; while it cannot, Redis keeps readers going. The file serves where no domain was ever made.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.domains.document import MAX_DOCUMENT_BYTES, document_json, parse_document, read_json
from bailiwick.domains.model import CatalogueState, CatalogueVersion
from bailiwick.domains.service import DomainService
from bailiwick.errors import BailiwickError, InvalidInput, Unavailable
from bailiwick.storage.cache import Cache

CACHE_KEY = "bailiwick:domains:v1"

_log = logging.getLogger(__name__)


class CatalogueSource(Protocol):
    """One place that may hold the domains."""

    name: str

    def version(self) -> CatalogueVersion | None:
        """The version it holds, cheaply; None: it holds nothing.

        Raises:
            Unavailable: it cannot be reached now.
            InvalidInput: what it holds cannot be read.
        """
        ...

    def load(self) -> CatalogueState | None:
        """Everything it holds; None: nothing. Raises as `version`."""
        ...


class DatabaseSource:
    """The truth."""

    name = "database"

    def __init__(self, service: Callable[[], DomainService]) -> None:
        self._service = service

    def version(self) -> CatalogueVersion | None:
        """See `CatalogueSource.version`."""
        try:
            version = self._service().version()
        except SQLAlchemyError as error:
            raise Unavailable(f"the database does not answer: {error}", what="database_url") from error
        return None if version is None or version.revision == 0 else version

    def load(self) -> CatalogueState | None:
        """See `CatalogueSource.load`."""
        try:
            state = self._service().state()
        except SQLAlchemyError as error:
            raise Unavailable(f"the database does not answer: {error}", what="database_url") from error
        return None if state is None or state.version.revision == 0 else state


class CacheSource:
    """A copy in the cache. What cannot be read there is refused as a whole."""

    name = "redis"

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def version(self) -> CatalogueVersion | None:
        """See `CatalogueSource.version`."""
        head = self._head()
        return None if head is None else head[0]

    def load(self) -> CatalogueState | None:
        """See `CatalogueSource.load`."""
        head = self._head()
        if head is None:
            return None
        version, document = head
        return CatalogueState(version, parse_document(document, source=f"cache {CACHE_KEY}"))

    def store(self, state: CatalogueState) -> None:
        """Put a copy there.

        Raises:
            Unavailable: the cache cannot be reached.
        """
        version = json.dumps([state.version.catalogue, state.version.revision]).encode()
        document = json.dumps(document_json(state.document), separators=(",", ":")).encode()
        self._cache.set(CACHE_KEY, version + b"\n" + document, None)

    def _head(self) -> tuple[CatalogueVersion, bytes] | None:
        """The version on the first line, and the document after it, unparsed."""
        value = self._cache.get(CACHE_KEY)
        if value is None:
            return None
        first, _, document = value.partition(b"\n")
        match read_json(first, source=f"cache {CACHE_KEY}"):
            case [str(catalogue), int(revision)]:
                return CatalogueVersion(catalogue, revision), document
        raise InvalidInput("the copy of the domains in the cache is not one of ours", where=CACHE_KEY)


class FileSource:
    """A domain document on disk. Its version is its content."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def version(self) -> CatalogueVersion | None:
        """See `CatalogueSource.version`."""
        data = self._read()
        return None if data is None else _content_version(data)

    def load(self) -> CatalogueState | None:
        """See `CatalogueSource.load`."""
        data = self._read()
        if data is None:
            return None
        return CatalogueState(_content_version(data), parse_document(data, source=str(self._path)))

    def _read(self) -> bytes | None:
        return read_file(self._path) if self._path.exists() else None


def read_file(path: Path) -> bytes:
    """A document's bytes, never more than a document may have.

    Raises:
        InvalidInput: the file does not exist, cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"the file cannot be read: {error.strerror}", what="file", where=str(path)) from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(
            "the file is too large", what="file", where=str(path), allowed=f"at most {MAX_DOCUMENT_BYTES:,} bytes"
        )
    return data


def _content_version(data: bytes) -> CatalogueVersion:
    return CatalogueVersion(f"file-{hashlib.sha256(data).hexdigest()}", 1)


def _follows(found: CatalogueVersion, known: CatalogueVersion) -> bool:
    """Whether a copy may take the place of what is known: another origin, or newer of the same."""
    return found.catalogue != known.catalogue or found.revision > known.revision


class SourceChain:
    """The sources in their order.

    Args:
        database: the truth, or another Bailiwick in its place.
        cache: a copy that is quicker, and there when the truth is away.
        file: serves where the truth holds nothing, or nothing else answers.
    """

    def __init__(
        self, database: CatalogueSource, cache: CacheSource | None = None, file: FileSource | None = None
    ) -> None:
        self._database = database
        self._cache = cache
        self._file = file
        self.failures: Counter[str] = Counter()
        self._failing: set[str] = set()

    def load(self, known: CatalogueVersion | None) -> CatalogueState | None:
        """The newest state that can be had.

        Args:
            known: the version that the caller has.

        Returns:
            None when the caller has the newest, or no source holds anything.

        Raises:
            Unavailable: every source that was asked failed, and the caller has nothing yet.
        """
        truth, reached = self._ask(self._database)
        if reached and truth is not None:
            return None if truth == known else self._from_cache(truth) or self._from(self._database)
        if not reached:
            copy = self._from_cache(None)
            if copy is not None:
                return None if known is not None and not _follows(copy.version, known) else copy
            if known is not None:
                return None  # an answer from before the outage is better than none
        if self._file is not None:
            held, _ = self._ask(self._file)
            if held is not None:
                return None if held == known else self._from(self._file)
        if not reached and known is None:
            raise Unavailable(
                "no source of domains answers", what="domains", remedy="check the database, Redis, or the domains file"
            )
        return None

    def _from_cache(self, expected: CatalogueVersion | None) -> CatalogueState | None:
        """The cached copy; None if it is not of the expected version (None: any)."""
        if self._cache is None:
            return None
        held, _ = self._ask(self._cache)
        if held is None or expected not in (None, held):
            return None
        copy = self._from(self._cache)
        return copy if copy is not None and expected in (None, copy.version) else None

    def _ask(self, source: CatalogueSource) -> tuple[CatalogueVersion | None, bool]:
        """The source's version, and whether it could be asked."""
        try:
            version = source.version()
        except BailiwickError as error:
            self._failed(source, error)
            return None, False
        if source.name in self._failing:
            self._failing.discard(source.name)
            _log.warning("domains: the %s answers again", source.name)
        return version, True

    def _from(self, source: CatalogueSource) -> CatalogueState | None:
        try:
            return source.load()
        except BailiwickError as error:
            self._failed(source, error)
            return None

    def _failed(self, source: CatalogueSource, error: BailiwickError) -> None:
        """Count every failure, log the first of a row."""
        self.failures[source.name] += 1
        if source.name not in self._failing:
            self._failing.add(source.name)
            _log.warning("domains: the %s fails: %s", source.name, error)


class CataloguePublisher:
    """Copies the domains to the cache after each change. A cache that is away never breaks a change.

    Args:
        cache: where the copy goes.
    """

    def __init__(self, cache: CacheSource) -> None:
        self._cache = cache
        self.failures = 0

    def publish(self, read_state: Callable[[], CatalogueState | None]) -> bool:
        """Copy the current state; whether that worked. The change is already committed, so nothing is raised."""
        try:
            state = read_state()
            if state is not None:
                self._cache.store(state)
        except (BailiwickError, SQLAlchemyError) as error:
            self.failures += 1
            _log.warning("domains: not copied to the cache, readers use the database: %s", error)
            return False
        return True
