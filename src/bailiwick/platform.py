"""The one place that builds stores and services from settings. Each is built on first use."""

from __future__ import annotations

from functools import cached_property

from bailiwick.clock import Clock, SystemClock
from bailiwick.extraction.service import ExtractionService
from bailiwick.governance.audit import AuditTrail
from bailiwick.graph.ports import GraphStore
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.settings import Settings
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade


class Platform:
    """Everything wired together. One per process; safe to share between threads.

    Args:
        settings: where things are.
        clock: time for every service.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()

    @cached_property
    def database(self) -> Database:
        """The main database, migrated to the newest schema."""
        database = Database(self.settings.database)
        upgrade(database)
        return database

    @cached_property
    def audit(self) -> AuditTrail:
        """The audit trail."""
        return AuditTrail(self.database, self.clock)

    @cached_property
    def graph(self) -> GraphStore:
        """The knowledge graph: in the main database, or on a Bolt server when one is named."""
        return SqlGraphStore(self.database, self.audit, self.clock)

    @cached_property
    def extraction(self) -> ExtractionService:
        """Reads files into the knowledge graph."""
        return ExtractionService(self.database, self.audit, self.graph, self.clock, workers=self.settings.workers)

    def close(self) -> None:
        """Give back every connection that was opened."""
        for name in ("graph", "cache", "database"):
            if name in self.__dict__:
                self.__dict__[name].close()
