"""One class over SQLite and PostgreSQL: short read and write units with the right locking.

SQLite gets WAL, foreign keys, a busy timeout, and ``BEGIN IMMEDIATE`` for every unit that writes: with the driver's
default, concurrent read-modify-writes are lost without an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, OperationalError

from bailiwick.errors import InvalidInput, Unavailable

_BUSY_TIMEOUT_MS = 60_000
_MAX_BOUND_PARAMETERS = 30_000
_CONNECT_TIMEOUT_S = 5  # a server that drops packets must not hold a caller for minutes
# https://www.sqlite.org/rescode.html: busy, locked, read-only, i/o error, corrupt, full, cannot be opened, no database
_SQLITE_AWAY = {5, 6, 8, 10, 11, 13, 14, 26}

_TRY_AGAIN = "nothing was changed unless the answer to a commit was lost; try again"
_REMEDIES = {
    "readonly": "give this user the right to write the file and its folder, or name another with --home",
    "not a database": "name another file with --database-url or --home, or move this one out of the way",
    "malformed": "restore a backup (docs/production.md), or start afresh in another --home",
    "disk is full": "make room on the disk; what was committed is safe",
    "locked": "another process has been writing for too long; try again",
}


class Database:
    """The main database.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://user@host/name``.
        prepare: done once, before the first unit: brings the schema forward. Tried again after it has failed.

    Raises:
        InvalidInput: the URL cannot be read, or names a database that Bailiwick does not support.
    """

    def __init__(self, url: str, prepare: Callable[[Database], None] | None = None) -> None:
        self.url = url
        self._engine = _create_engine(url)
        self.dialect = self._engine.dialect.name
        self._prepare = prepare
        self._preparing = threading.Lock()
        self._preparer: int | None = None

    def prepared(self) -> None:
        """Do what is to be done before the first unit, unless it is done; another thread that does it is waited for.

        Raises:
            BailiwickError: whatever it raises; `Unavailable` while the database cannot be reached.
        """
        with self._preparing:
            if self._prepare is None:
                return
            self._preparer = threading.get_ident()  # whose units must not wait for themselves
            try:
                self._prepare(self)
                self._prepare = None
            finally:
                self._preparer = None

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for migrations."""
        return self._engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A unit that only reads: one consistent snapshot, never blocks a writer on SQLite.

        Raises:
            Unavailable: the database cannot be reached, or goes away meanwhile.
            InvalidInput: a value that the database does not know, such as a text with a NUL on PostgreSQL.
        """
        with self._connect() as connection:
            if self.dialect == "postgresql":  # whose default gives every statement its own snapshot
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A unit that writes: commits at the end of the block, rolls back when the block raises.

        Args:
            durable: the commit survives a power cut. Turn it off only for what can be made again, such as the graph.

        Raises:
            Unavailable: the database cannot be reached, goes away meanwhile, stays locked, or its disk is full.
            InvalidInput: a value that the database cannot hold.
        """
        with self._connect() as connection:
            connection = connection.execution_options(bailiwick_begin="durable" if durable else "fast")
            with connection.begin():
                yield connection

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        if self._prepare is not None and self._preparer != threading.get_ident():
            self.prepared()
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            raise Unavailable(
                f"cannot open the database {self._shown_url!r}: {str(error.orig).strip()}",
                what="database_url",
                remedy=_REMEDIES["not a database"]
                if "not a database" in str(error.orig)
                else "check the path or server, or set BAILIWICK_DATABASE_URL",
            ) from error
        with connection:
            try:
                yield connection
            except DataError as error:
                raise InvalidInput(
                    f"the database cannot hold a value: {str(error.orig).strip().splitlines()[0]}",
                    remedy="look for control characters, or for a text or number that is too large",
                ) from error
            except DBAPIError as error:
                if not _is_away(error):
                    raise
                raise Unavailable(
                    f"the database {self._shown_url!r} did not finish the work: {str(error.orig).strip()}",
                    what="database_url",
                    remedy=remedy_for(str(error.orig)),
                ) from error

    def insert_new(self, connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
        """Insert a row unless its key is taken; whether it was inserted.

        A unit that is still running and has inserted the same key is waited for: looking first and inserting then
        would fail on PostgreSQL when two units do it at once.

        Args:
            connection: of a write unit.
            table: a table with a primary key.
            row: all columns.
        """
        insert = postgresql.insert if self.dialect == "postgresql" else sqlite.insert
        key = next(iter(table.primary_key))
        statement = insert(table).values(**row).on_conflict_do_nothing().returning(key)
        return connection.execute(statement).first() is not None

    @property
    def _shown_url(self) -> str:
        return make_url(self.url).render_as_string(hide_password=True)

    def upsert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        update: Sequence[str] | None = None,
    ) -> None:
        """Insert rows, or on a primary-key conflict overwrite the named columns.

        Args:
            connection: of a write unit.
            table: a table with a primary key.
            rows: all with the same keys.
            update: columns to overwrite on conflict (default: all that are not in the key; empty: keep the old).
        """
        if not rows:
            return
        keys = [column.name for column in table.primary_key]
        overwrite = [name for name in rows[0] if name not in keys] if update is None else list(update)
        insert = postgresql.insert if self.dialect == "postgresql" else sqlite.insert
        chunk = max(1, _MAX_BOUND_PARAMETERS // max(1, len(rows[0])))
        for start in range(0, len(rows), chunk):
            statement = insert(table)
            if overwrite:
                statement = statement.on_conflict_do_update(
                    index_elements=keys, set_={name: statement.excluded[name] for name in overwrite}
                )
            else:
                statement = statement.on_conflict_do_nothing(index_elements=keys)
            connection.execute(statement, list(rows[start : start + chunk]))

    def close(self) -> None:
        """Give every pooled connection back to the operating system."""
        self._engine.dispose()


def _create_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput(
            "cannot read the database URL (not shown: it may hold a password)",
            what="database_url",
            allowed="sqlite:///file.db or postgresql://user@host/name",
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise InvalidInput(
                f"the SQLite URL {url!r} names no file",
                what="database_url",
                remedy="use sqlite:///bailiwick.db; every process needs to open the same file",
            )
        _make_folder(Path(parsed.database).parent)
        return _tune_sqlite(create_engine(parsed, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000}))
    if backend == "postgresql":
        try:
            given = {} if "connect_timeout" in parsed.query else {"connect_timeout": _CONNECT_TIMEOUT_S}
            engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=given)
            return _tune_postgresql(engine)
        except ModuleNotFoundError as error:
            raise Unavailable(
                "the PostgreSQL driver is not installed", remedy="pip install 'bailiwick[postgres]'"
            ) from error
    raise InvalidInput(
        f"the database {backend!r} is not supported", what="database_url", allowed=["sqlite", "postgresql"]
    )


def remedy_for(words: str) -> str:
    """What to do about what a database driver said."""
    return next((do for sign, do in _REMEDIES.items() if sign in words), _TRY_AGAIN)


def _is_away(error: DBAPIError) -> bool:
    """Whether the database could not do the work, rather than refused it: a mistake of ours must not look like that."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _SQLITE_AWAY
    return error.connection_invalidated or isinstance(error, OperationalError)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot make the folder {str(folder)!r} for the database: {error.strerror}",
            what="database_url",
            where=str(folder),
            remedy="name another place with --home or --database-url",
        ) from error


def _tune_postgresql(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def configure(raw: Any, _record: Any) -> None:
        # A server or role may have it off for speed; then a crash would undo commits, and budgets already spent.
        raw.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        raw.commit()

    return engine


def _tune_sqlite(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def configure(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # transactions are begun below, not by the driver
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA cache_size=-8192")  # KiB a connection: a server has a dozen, and they fill up
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("bailiwick_begin")
        if mode is None:
            connection.exec_driver_sql("BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if mode == 'durable' else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
