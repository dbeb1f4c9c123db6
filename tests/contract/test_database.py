"""What both databases must do."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime

own = MetaData()
counter = Table("counter", own, Column("id", Integer, primary_key=True), Column("value", Integer, nullable=False))
record = Table(
    "record",
    own,
    Column("id", String(20), primary_key=True),
    Column("at", UtcDateTime),
    Column("document", Json),
)

_COUNT_IN_A_PROCESS = """
import sys
from sqlalchemy import text
from bailiwick.storage.database import Database

database = Database(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with database.write(durable=False) as connection:
        lock = "" if database.dialect == "sqlite" else " FOR UPDATE"
        value = connection.execute(text("SELECT value FROM counter WHERE id = 1" + lock)).scalar_one()
        connection.execute(text("UPDATE counter SET value = :value WHERE id = 1"), {"value": value + 1})
"""


@pytest.fixture
def tables(database: Database) -> Database:
    with database.write() as connection:
        own.create_all(connection)
        connection.execute(counter.insert().values(id=1, value=0))
    return database


def _count(database: Database, times: int) -> None:
    for _ in range(times):
        with database.write(durable=False) as connection:
            value = connection.execute(select(counter.c.value).where(counter.c.id == 1).with_for_update()).scalar_one()
            connection.execute(counter.update().values(value=value + 1))


def _value(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(counter.c.value)).scalar_one())


def test_write__240_read_modify_writes_from_four_threads__none_is_lost(tables: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(_count, tables, 60) for _ in range(4)]:
            done.result()

    assert _value(tables) == 240


def test_write__240_read_modify_writes_from_four_processes__none_is_lost(tables: Database) -> None:
    source = str(Path(__file__).resolve().parents[2] / "src")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _COUNT_IN_A_PROCESS, tables.url, "60"],
            env={"PYTHONPATH": source, "PATH": ""},
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]

    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors.decode()

    assert _value(tables) == 240


def test_write__block_raises__nothing_is_kept(tables: Database) -> None:
    with pytest.raises(RuntimeError, match="halfway"), tables.write() as connection:
        connection.execute(counter.update().values(value=7))
        raise RuntimeError("halfway")

    assert _value(tables) == 0


def test_read__while_another_unit_writes__sees_the_state_before(tables: Database) -> None:
    with tables.write() as writing:
        writing.execute(counter.update().values(value=7))
        assert _value(tables) == 0

    assert _value(tables) == 7


def test_read__somebody_commits_in_between__the_snapshot_stays(tables: Database) -> None:
    with tables.read() as reading:
        before = reading.execute(select(counter.c.value)).scalar_one()
        with tables.write() as writing:
            writing.execute(counter.update().values(value=before + 1))
        assert reading.execute(select(counter.c.value)).scalar_one() == before


def test_utc_date_time__naive_datetime__is_refused(tables: Database) -> None:
    with pytest.raises(StatementError, match="naive datetime"), tables.write() as connection:
        connection.execute(record.insert().values(id="a", at=datetime(2026, 1, 1)))  # noqa: DTZ001

    with tables.read() as connection:
        assert connection.execute(select(record)).all() == []


def test_utc_date_time__other_time_zone__comes_back_as_the_same_instant_in_utc(tables: Database) -> None:
    given = datetime(2026, 7, 1, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))

    with tables.write() as connection:
        connection.execute(record.insert().values(id="a", at=given))
    with tables.read() as connection:
        found = connection.execute(select(record.c.at)).scalar_one()

    assert found == given
    assert found.tzinfo is UTC


def test_json__nested_document__comes_back_equal(tables: Database) -> None:
    given = {"b": [1, 2.5, None, True], "a": {"ümlaut": "✓"}}

    with tables.write() as connection:
        connection.execute(record.insert().values(id="a", document=given))
    with tables.read() as connection:
        assert connection.execute(select(record.c.document)).scalar_one() == given


def test_upsert__some_rows_exist__those_are_overwritten_and_the_rest_added(tables: Database) -> None:
    with tables.write() as connection:
        tables.upsert(connection, counter, [{"id": 1, "value": 5}, {"id": 2, "value": 6}])
        tables.upsert(connection, counter, [{"id": 2, "value": 9}, {"id": 3, "value": 7}], update=[])

    with tables.read() as connection:
        assert connection.execute(select(counter).order_by(counter.c.id)).all() == [(1, 5), (2, 6), (3, 7)]


def test_audit__change_is_rolled_back__entry_goes_with_it(tables: Database, clock: object) -> None:
    audit = AuditTrail(tables, clock)  # type: ignore[arg-type]

    with pytest.raises(IntegrityError), tables.write() as connection:
        audit.record(connection, Actor("test"), "counter.create", "counter:1")
        connection.execute(counter.insert().values(id=1, value=0))
    with tables.write() as connection:
        audit.record(connection, Actor("test"), "counter.create", "counter:2", after={"value": 0})

    assert [entry.subject for entry in audit.entries()] == ["counter:2"]


def test_foreign_keys__on_sqlite__are_enforced(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE child (parent INTEGER REFERENCES parent (id))"))

    with pytest.raises(IntegrityError), sqlite_database.write() as connection:
        connection.execute(text("INSERT INTO child VALUES (1)"))


@pytest.mark.parametrize("url", ["sqlite://", "mysql://host/name", "no url at all", "sqlite:///:memory:"])
def test_database__url_that_cannot_be_used__is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"database|SQLite"):
        Database(url)


def test_database__server_that_is_not_there__is_unavailable() -> None:
    database = Database("postgresql://nobody:s3cret@127.0.0.1:1/none")

    with pytest.raises(Unavailable) as caught, database.read():
        pass

    assert "s3cret" not in str(caught.value)


def test_database__url_cannot_be_read__error_shows_no_password() -> None:
    with pytest.raises(InvalidInput) as caught:
        Database("postgre sql://ada:s3cret@:x/x")
    assert "s3cret" not in f"{caught.value} {caught.value.fields()}"


def test_database__file_is_no_database__is_unavailable_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    with pytest.raises(Unavailable, match="file is not a database"), Database(f"sqlite:///{path}").read():
        pass
    assert path.read_text() == "not a database\n" * 100


def test_write__connection_is_cut_amid_the_unit__is_unavailable_and_the_next_unit_works(
    postgres_database: Database,
) -> None:
    with pytest.raises(Unavailable, match="did not finish the work"), postgres_database.write() as connection:
        own.create_all(connection)
        connection.execute(counter.insert().values(id=1, value=1))
        mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with postgres_database.engine.connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({mine})"))
        connection.execute(counter.insert().values(id=2, value=1))
    with postgres_database.read() as connection:
        assert connection.execute(text("SELECT to_regclass('counter')")).scalar_one() is None


def test_write__value_that_postgres_cannot_hold__is_invalid_input(postgres_database: Database) -> None:
    for statement, value in ((record.insert(), {"id": "a\0b"}), (record.insert(), {"id": "x" * 21})):
        with pytest.raises(InvalidInput, match="cannot hold a value"), postgres_database.write() as connection:
            own.create_all(connection)
            connection.execute(statement.values(**value))


def test_write__mistake_of_ours__is_not_hidden_as_an_outage(database: Database) -> None:
    with pytest.raises(DBAPIError), database.write() as connection:
        connection.execute(text("SELECT * FROM no_such_table"))


def test_insert_new__key_is_taken__false_and_the_old_row_stays(tables: Database) -> None:
    with tables.write() as connection:
        assert tables.insert_new(connection, counter, {"id": 7, "value": 1})
        assert not tables.insert_new(connection, counter, {"id": 7, "value": 2})
        assert connection.execute(select(counter.c.value).where(counter.c.id == 7)).scalar_one() == 1


def test_write__role_that_does_not_wait_for_the_disk__waits_all_the_same(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    again = Database(postgres_database.url)
    for unit in (again.write, again.write, again.read):
        with unit() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    with again.engine.connect() as connection:
        query = text("SELECT reset_val, setting FROM pg_settings WHERE name = 'synchronous_commit'")
        assert tuple(connection.execute(query).one()) == ("off", "on"), "the server says off, the connection on"
    again.close()
