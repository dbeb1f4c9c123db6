"""One chain of migrations, up and down, on both databases."""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from upgrading import upgrade_url

import bailiwick
from bailiwick.errors import Conflict
from bailiwick.storage import migrate
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import current, downgrade, newest, revisions, upgrade
from bailiwick.storage.schema import metadata

for module in pkgutil.walk_packages(bailiwick.__path__, "bailiwick."):
    if not module.name.startswith(("bailiwick.storage.migrations", "bailiwick.__main__")):
        importlib.import_module(module.name)  # so that every table is declared


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def test_upgrade__empty_database__gives_every_table_that_the_code_declares(database: Database) -> None:
    assert tables(database) == set(metadata.tables)


def test_upgrade__then_compare__code_and_schema_agree(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_downgrade__then_upgrade__goes_back_and_forth(database: Database) -> None:
    downgrade(database)
    assert tables(database) == set()
    upgrade(database)
    assert tables(database) == set(metadata.tables)


def test_upgrade__schema_of_a_newer_release__is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    with pytest.raises(Conflict, match="from_the_future"):
        upgrade(database)


def test_upgrade__three_processes_at_once__all_succeed(database: Database) -> None:
    downgrade(database)
    spawn = multiprocessing.get_context("spawn")
    racers = [spawn.Process(target=upgrade_url, args=(database.url,)) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    with database.read() as connection:
        assert current(connection) == newest()


def test_revisions__numbered_by_file_name__are_the_chain_itself() -> None:
    script = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert [each.revision for each in script.walk_revisions()][::-1] == revisions()
