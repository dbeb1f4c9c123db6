"""Brings a database to the newest schema, or back, along one chain of migrations for both databases."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from bailiwick.errors import Conflict
from bailiwick.storage.database import Database

_MIGRATION_LOCK = 0x6261696C6977  # any constant; everybody who migrates takes the same one


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema forward. Does nothing when it is already there; two processes may try at once.

    Raises:
        Conflict: the database was written by a newer Bailiwick.
    """
    with database.read() as connection:
        if revision == "head" and _current(connection) == newest():
            return
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        present = _current(connection)
        if present is not None and present not in _known():
            raise Conflict(
                f"the database has schema {present!r}, which this version does not know",
                what="database_url",
                remedy="run the newer Bailiwick that wrote it, or restore a backup",
            )
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back. Tables that the older schema lacks are dropped with their rows."""
    with database.write() as connection:
        command.downgrade(_config(connection), revision)


def newest() -> str:
    """The revision that this version of the code needs."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None
    return head


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()}


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
