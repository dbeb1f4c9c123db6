"""The one place that builds stores and services from settings. Each is built on first use."""

from __future__ import annotations

from functools import cached_property

from bailiwick.clock import Clock, SystemClock
from bailiwick.domains.remote import RemoteDomains
from bailiwick.domains.service import DomainService
from bailiwick.domains.sources import CacheSource, CataloguePublisher, DatabaseSource, FileSource, SourceChain
from bailiwick.domains.watch import CatalogueWatch
from bailiwick.governance.audit import AuditTrail
from bailiwick.graph.bolt import BoltServer
from bailiwick.graph.neo4j import Neo4jGraphStore
from bailiwick.graph.ports import GraphStore
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.settings import Settings
from bailiwick.storage.cache import Cache, MemoryCache, RedisCache
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
    def cache(self) -> Cache:
        """Redis where one is configured, else a cache inside this process."""
        if self.settings.redis_url is None:
            return MemoryCache()
        return RedisCache(self.settings.redis_url.get_secret_value())

    @cached_property
    def domains(self) -> DomainService:
        """Domains, their revisions and their lifecycle; each change is copied to Redis where one is configured."""
        if self.settings.redis_url is None:
            return DomainService(self.database, self.audit, self.clock)
        publisher = CataloguePublisher(CacheSource(self.cache))
        return DomainService(self.database, self.audit, self.clock, publisher.publish)

    @cached_property
    def domain_watch(self) -> CatalogueWatch:
        """The newest catalogue of domains; `start` it to follow changes made by other processes."""
        settings = self.settings
        if settings.domains_url is not None:
            chain = SourceChain(RemoteDomains(settings.domains_url))
        else:
            chain = SourceChain(
                DatabaseSource(lambda: self.domains),
                CacheSource(self.cache) if settings.redis_url is not None else None,
                FileSource(settings.domains_file) if settings.domains_file is not None else None,
            )
        return CatalogueWatch(chain, settings.reload_interval_s)

    @cached_property
    def graph(self) -> GraphStore:
        """The knowledge graph: in the main database, or on a Bolt server when one is named."""
        settings = self.settings
        if settings.graph_url is None:
            return SqlGraphStore(self.database, self.audit, self.clock)
        password = settings.graph_password.get_secret_value() if settings.graph_password else None
        server = BoltServer(settings.graph_url, settings.graph_user, password, self.clock)
        return Neo4jGraphStore(server, self.database, self.audit, self.clock)

    def close(self) -> None:
        """Give back every connection that was opened."""
        for name in ("domain_watch", "graph", "cache", "database"):
            if name in self.__dict__:
                self.__dict__[name].close()
