"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def corpora() -> Path:
    """The folder of the real corpora."""
    if not CORPORA.is_dir():
        pytest.skip("the real corpora (../shared/data) are not here")
    return CORPORA
