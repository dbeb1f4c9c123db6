"""What processes that migrate one database at once run. A module of its own, so that they import nothing else."""

from __future__ import annotations

from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade


def upgrade_url(url: str) -> None:
    """Bring the database of a URL to the newest schema."""
    database = Database(url)
    upgrade(database)
    database.close()
