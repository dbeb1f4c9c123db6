"""Brings a database to the newest schema, or back, along one chain of migrations for both databases.

Revisions are numbered, and a revision's file is named after its number. So whether a database is up to date is told by
one query and one listing, without loading the migration library: every command asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from bailiwick.errors import Conflict
from bailiwick.storage.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x6261696C6977  # any constant; everybody who migrates takes the same one


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema forward. Does nothing when it is already there; two processes may try at once.

    Raises:
        Conflict: the database was written by a newer Bailiwick.
    """
    with database.read() as connection:
        if revision == "head" and current(connection) == newest():
            return
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        present = current(connection)
        if present is not None and present not in revisions():
            raise Conflict(
                f"the database has schema {present!r}, which this version does not know",
                what="database_url",
                remedy="run the newer Bailiwick that wrote it, or restore a backup",
            )
        from alembic import command

        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back. Tables that the older schema lacks are dropped with their rows."""
    from alembic import command

    with database.write() as connection:
        command.downgrade(_config(connection), revision)


def revisions() -> list[str]:
    """The revisions that this version of the code knows, oldest first."""
    return sorted(path.name.split("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def newest() -> str:
    """The revision that this version of the code needs."""
    return revisions()[-1]


def current(connection: Connection) -> str | None:
    """The revision that a database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found


def _config(connection: Connection | None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
