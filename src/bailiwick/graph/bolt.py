"""The connection to a Bolt server: sessions with retries, parameters in batches, errors of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from neo4j import ManagedTransaction, Session, Transaction

_ROWS = 2_000
_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.05
# Two units made the same node, or (ArcadeDB) the first node of a label, at once. The loser finds it the next time.
_RACES = ("Neo.ClientError.Schema.ConstraintValidationFailed", "Neo.ClientError.Statement.SemanticError")
_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")

T = TypeVar("T")


class Work:
    """What a unit of work may do: run queries in one transaction."""

    def __init__(self, transaction: ManagedTransaction | Transaction) -> None:
        self._transaction = transaction

    def run(self, query: str, **parameters: Any) -> Iterator[list[Any]]:
        """Run one query and stream its records as lists of values."""
        for record in self._transaction.run(query, parameters):
            yield record.values()

    def each(self, query: str, rows: Iterable[Any], **parameters: Any) -> list[list[Any]]:
        """Run a query that unwinds ``$rows``, over batches of them, and give all its records."""
        found: list[list[Any]] = []
        remaining = iter(rows)
        while batch := list(islice(remaining, _ROWS)):
            found += self.run(query, rows=batch, **parameters)
        return found

    def do(self, query: str, **parameters: Any) -> None:
        """Run one query whose records do not matter."""
        self._transaction.run(query, parameters).consume()


class BoltServer:
    """A database on a Bolt server.

    Args:
        url: ``bolt://host:port`` or ``neo4j://host``, with ``/name`` for another than the default database.
        user: None for a server that asks for nobody.
        password: of the user.
        clock: waits between attempts.

    Raises:
        InvalidInput: the URL cannot be read.
        Unavailable: the ``neo4j`` package is not installed.
    """

    def __init__(self, url: str, user: str | None, password: str | None, clock: Clock) -> None:
        try:
            import neo4j
        except ModuleNotFoundError as error:
            raise Unavailable(
                "the Bolt driver is not installed", what="graph_url", remedy="pip install 'bailiwick[neo4j]'"
            ) from error
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise InvalidInput(
                f"cannot read the graph URL {url!r}",
                what="graph_url",
                allowed="bolt://host:7687 or neo4j://host, with /name for another database",
            )
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._name = parts.path.strip("/") or None
        self._clock = clock
        auth = None if user is None else (user, password or "")
        self._driver = neo4j.GraphDatabase.driver(self._url, auth=auth, notifications_min_severity="OFF")

    def read(self, work: Callable[[Work], T]) -> T:
        """Run a unit that only reads; it may be run more than once."""
        with self._session() as session:
            return session.execute_read(lambda transaction: work(Work(transaction)))

    def write(self, work: Callable[[Work], T]) -> T:
        """Run a unit that writes, wholly or not at all; it may be run more than once."""
        from neo4j.exceptions import ClientError

        with self._session() as session:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return session.execute_write(lambda transaction: work(Work(transaction)))
                except ClientError as error:
                    if error.code not in _RACES or attempt == _ATTEMPTS:
                        raise
                    self._clock.sleep(_FIRST_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    def stream(self, query: str, **parameters: Any) -> Iterator[list[Any]]:
        """The records of one query, a batch at a time."""
        with self._session() as session, session.begin_transaction() as transaction:
            yield from Work(transaction).run(query, **parameters)

    def apply_schema(self, statements: Iterable[str]) -> None:
        """Run statements that may not stand in a transaction with others."""
        with self._session() as session:
            for statement in statements:
                session.run(statement).consume()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        from neo4j.exceptions import AuthError, ServiceUnavailable, SessionExpired, TransientError

        try:
            with self._driver.session(database=self._name) as session:
                yield session
        except (ServiceUnavailable, SessionExpired, AuthError, TransientError) as error:
            raise Unavailable(
                f"the graph server {self._url!r} does not answer as it should: {error}",
                what="graph_url",
                remedy="check BAILIWICK_GRAPH_URL, BAILIWICK_GRAPH_USER and BAILIWICK_GRAPH_PASSWORD",
            ) from error

    def close(self) -> None:
        """Close every connection."""
        self._driver.close()
