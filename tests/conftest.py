"""Fixtures that every test may use."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
import servers
from learning_examples import Learning
from sqlalchemy import create_engine, make_url, text

from bailiwick.clock import VirtualClock
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade

# A change is judged by the same examples each time; `make test-slow` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None)
hypothesis.settings.register_profile("searching", print_blob=True)
hypothesis.settings.load_profile("repeatable")

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file: copying it is a hundred times quicker than migrating another one."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'test.db')}")
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated PostgreSQL database to copy."""
    with _fresh_postgres(postgres_server) as url:
        _migrate(url)
        yield str(make_url(url).database)


@pytest.fixture
def postgres_database(postgres_server: str, postgres_template: str) -> Iterator[Database]:
    with _fresh_postgres(postgres_server, postgres_template) as url:
        database = Database(url)
        yield database
        database.close()


def _migrate(url: str) -> None:
    database = Database(url)
    upgrade(database)
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Database:
    """A fresh, migrated main database: the test runs once on SQLite and once on PostgreSQL."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture(scope="session")
def test_run() -> str:
    """Names this test run, the same in every worker of it."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:12] or secrets.token_hex(6)


@pytest.fixture(scope="session")
def postgres_server(test_run: str) -> Iterator[str]:
    """The URL of the maintenance database of a PostgreSQL server; $BAILIWICK_TEST_POSTGRES_URL names another one."""
    if named := os.environ.get("BAILIWICK_TEST_POSTGRES_URL"):
        yield named
        return
    with _or_skip("postgres", test_run) as address:
        yield address["url"]


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    with _fresh_postgres(postgres_server) as url:
        yield url


@contextmanager
def _fresh_postgres(server: str, template: str = "template1") -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def redis_server(test_run: str) -> Iterator[str]:
    """One Redis per worker, so that emptying it disturbs nobody; $BAILIWICK_TEST_REDIS_URL names another one."""
    if named := os.environ.get("BAILIWICK_TEST_REDIS_URL"):
        yield named
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with _or_skip("redis", f"{test_run}-{worker}") as address:
        yield address["url"]


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An empty Redis."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server


@pytest.fixture(scope="session")
def bolt_server(test_run: str) -> Iterator[servers.Address]:
    """The ports of a Bolt server."""
    with _or_skip("bolt", test_run) as address:
        yield address


@pytest.fixture
def bolt_url(bolt_server: servers.Address) -> Iterator[str]:
    """A fresh Bolt database as ``bolt://host:port/database``; user and password stand in `servers`."""
    url = servers.create_bolt_database(bolt_server)
    yield url
    servers.drop_bolt_database(bolt_server, url)


@contextmanager
def _or_skip(kind: str, scope: str) -> Iterator[servers.Address]:
    try:
        starting = servers.using(kind, scope)
        address = starting.__enter__()
    except servers.CannotRun as reason:
        pytest.skip(str(reason))
    try:
        yield address
    finally:
        starting.__exit__(None, None, None)


@pytest.fixture
def corpora() -> Path:
    """The folder of the real corpora."""
    if not CORPORA.is_dir():
        pytest.skip("the real corpora (../shared/data) are not here")
    return CORPORA


@pytest.fixture
def learning(sqlite_database: Database, clock: VirtualClock, tmp_path: Path) -> Learning:
    """Data sets, registry, training and evaluation over an empty database."""
    return Learning(sqlite_database, clock, tmp_path)
