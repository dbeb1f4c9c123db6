"""The one place that builds stores and services from settings. Each is built on first use."""

from __future__ import annotations

from functools import cached_property

from bailiwick.clock import Clock, SystemClock
from bailiwick.datasets.service import DatasetService
from bailiwick.evaluation.service import EvaluationService
from bailiwick.governance.audit import AuditTrail
from bailiwick.models import catalogue
from bailiwick.registry.artefacts import ArtefactStore
from bailiwick.registry.service import RegistryService
from bailiwick.settings import Settings
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade
from bailiwick.training.service import TrainingService
from bailiwick.traffic.service import TrafficService


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
    def datasets(self) -> DatasetService:
        """Training data."""
        return DatasetService(self.database, self.audit, self.clock)

    @cached_property
    def registry(self) -> RegistryService:
        """Model versions and their artefacts."""
        artefacts = ArtefactStore(self.settings.home / "artefacts")
        return RegistryService(self.database, self.audit, self.clock, artefacts, catalogue.family)

    @cached_property
    def training(self) -> TrainingService:
        """Training runs."""
        return TrainingService(
            self.database,
            self.audit,
            self.clock,
            self.datasets,
            self.registry,
            catalogue.family,
            usual_settings=catalogue.usual_settings,
        )

    @cached_property
    def evaluation(self) -> EvaluationService:
        """Evaluations of model versions."""
        return EvaluationService(self.database, self.audit, self.clock, self.datasets, self.training, self.registry)

    @cached_property
    def traffic(self) -> TrafficService:
        """The traffic plans."""
        return TrafficService(self.database, self.audit, self.clock)

    def close(self) -> None:
        """Give back every connection that was opened."""
        for name in ("graph", "cache", "database"):
            if name in self.__dict__:
                self.__dict__[name].close()
