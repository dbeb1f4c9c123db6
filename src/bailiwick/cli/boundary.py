"""The edge of the command line: whatever is raised becomes one typed error, never a traceback."""

from __future__ import annotations

import os
import sqlite3

from bailiwick.errors import BailiwickError, InvalidInput, Unavailable
from bailiwick.storage.database import remedy_for

TRACEBACK_VARIABLE = "BAILIWICK_TRACEBACK"
"""Set, it lets an unexpected error through as Python shows it."""


def typed(error: Exception) -> BailiwickError:
    """The typed error that says what an exception of a library means to the person at the command line."""
    if isinstance(error, BailiwickError):
        return error
    driver = getattr(error, "orig", None)  # SQLAlchemy keeps what the database driver raised there
    if isinstance(driver, Exception) or isinstance(error, sqlite3.Error):
        words = str(driver or error).strip().splitlines()[0]
        return Unavailable(f"the database refused: {words}", what="database_url", remedy=remedy_for(words))
    if isinstance(error, OSError) and error.filename is not None:
        return InvalidInput(
            f"{str(error.filename)!r}: {error.strerror}",
            where=str(error.filename),
            remedy="check the path and your rights to it",
        )
    return BailiwickError(
        f"unexpected {type(error).__name__}: {error}",
        remedy=f"this is a fault of Bailiwick; {TRACEBACK_VARIABLE}=1 shows where it happened",
    )


def let_through() -> bool:
    """Whether an unexpected error is wanted as Python shows it."""
    return bool(os.environ.get(TRACEBACK_VARIABLE))
