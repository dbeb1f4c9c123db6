"""Brings a database to the newest schema, or back."""

from __future__ import annotations

from bailiwick.storage.database import Database
from bailiwick.storage.schema import metadata


def upgrade(database: Database) -> None:
    """Create what is missing."""
    with database.write() as connection:
        metadata.create_all(connection)
