"""The one place that builds stores and services from settings. Each is built, and its code loaded, on first use.

Loading on use is what lets a command that only reads a table answer at once: the numerical libraries alone take longer
to import than most commands to run.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from bailiwick.clock import Clock, SystemClock
from bailiwick.errors import NotFound, Unavailable
from bailiwick.governance.audit import AuditTrail
from bailiwick.settings import Settings
from bailiwick.storage.cache import Cache, MemoryCache, RedisCache
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailiwick.caching.service import CachingService
    from bailiwick.datasets.private_statistics import PrivateStatistics
    from bailiwick.datasets.service import DatasetService
    from bailiwick.delivery.rollout.controller import RolloutController
    from bailiwick.delivery.rollout.reading import EvidenceReader
    from bailiwick.delivery.rollout.recording import RolloutRecorder
    from bailiwick.delivery.rollout.service import RolloutService
    from bailiwick.delivery.service import DeliveryService
    from bailiwick.delivery.track_records import TrackRecords
    from bailiwick.detection.service import DetectionService, DomainsFrom
    from bailiwick.domains.service import DomainService
    from bailiwick.domains.watch import CatalogueWatch
    from bailiwick.evaluation.ensembles import EnsembleEvaluation
    from bailiwick.evaluation.private_metrics import PrivateMetrics
    from bailiwick.evaluation.service import EvaluationService
    from bailiwick.experiments.analyst import ExperimentAnalyst
    from bailiwick.experiments.keeper import ExperimentKeeper
    from bailiwick.experiments.service import ExperimentService
    from bailiwick.extraction.service import ExtractionService
    from bailiwick.governance.access.service import AccessService
    from bailiwick.governance.notifications.service import NotificationService
    from bailiwick.governance.transparency import TransparencyLog
    from bailiwick.graph.ports import GraphStore
    from bailiwick.metrics.prometheus import Family
    from bailiwick.metrics.service import MetricsService
    from bailiwick.models.model import LabelledText
    from bailiwick.models.ports import ModelFormat
    from bailiwick.platform.background import Background
    from bailiwick.privacy.service import PrivacyService
    from bailiwick.registry.model import ModelVersion
    from bailiwick.registry.service import RegistryService
    from bailiwick.routing.explain import Explainer
    from bailiwick.routing.log import DecisionLog
    from bailiwick.routing.model import RoutingTable
    from bailiwick.routing.service import RoutingService
    from bailiwick.traffic.gateway_reports import GatewayReports
    from bailiwick.traffic.service import TrafficService
    from bailiwick.training.ensembles import EnsembleService
    from bailiwick.training.private import PrivateTrainingService
    from bailiwick.training.service import TrainingService


class Platform:
    """Everything wired together. One per process; safe to share between threads.

    Args:
        settings: where things are.
        clock: time for every service.
        patient: a database that is away is waited for: it is brought forward when it first answers. Otherwise whoever
            first needs it gets the error.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None, *, patient: bool = False) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._patient = patient

    @cached_property
    def database(self) -> Database:
        """The main database, migrated to the newest schema."""
        from bailiwick.storage.migrate import upgrade

        database = Database(self.settings.database, prepare=upgrade)
        try:
            database.prepared()
        except Unavailable:
            if not self._patient:
                raise
        return database

    @cached_property
    def audit(self) -> AuditTrail:
        """The audit trail."""
        return AuditTrail(self.database, self.clock)

    @cached_property
    def transparency(self) -> TransparencyLog:
        """The tamper-evident tree over the audit trail."""
        from bailiwick.governance.anchors import parse_anchor
        from bailiwick.governance.keys import load_or_create_key
        from bailiwick.governance.transparency import TransparencyLog

        folder = self.settings.home.absolute() / "audit"
        key_file = self.settings.audit_key_file or folder / "key.pem"
        anchors = self.settings.audit_anchors or ((folder / "heads").as_uri(),)
        return TransparencyLog(
            self.database,
            self.clock,
            self.settings.audit_origin,
            lambda: load_or_create_key(key_file),
            [parse_anchor(anchor) for anchor in anchors],
        )

    @cached_property
    def leases(self) -> Leases:
        """Leases for whatever only one process may do."""
        return Leases(self.database, self.clock)

    @cached_property
    def cache(self) -> Cache:
        """Redis where one is configured, else a cache inside this process."""
        if self.settings.redis_url is None:
            return MemoryCache()
        return RedisCache(self.settings.redis_url.get_secret_value())

    @cached_property
    def domains(self) -> DomainService:
        """Domains, their revisions and their lifecycle; each change is copied to Redis where one is configured."""
        from bailiwick.domains.service import DomainService
        from bailiwick.domains.sources import CacheSource, CataloguePublisher

        if self.settings.redis_url is None:
            return DomainService(self.database, self.audit, self.clock)
        publisher = CataloguePublisher(CacheSource(self.cache))
        return DomainService(self.database, self.audit, self.clock, publisher.publish)

    @cached_property
    def domain_watch(self) -> CatalogueWatch:
        """The newest catalogue of domains; `start` it to follow changes made by other processes."""
        from bailiwick.domains.remote import RemoteDomains
        from bailiwick.domains.sources import CacheSource, DatabaseSource, FileSource, SourceChain
        from bailiwick.domains.watch import CatalogueWatch

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
        from bailiwick.graph.sql import SqlGraphStore

        settings = self.settings
        if settings.graph_url is None:
            return SqlGraphStore(self.database, self.audit, self.clock)
        from bailiwick.graph.bolt import BoltServer
        from bailiwick.graph.neo4j import Neo4jGraphStore

        password = settings.graph_password.get_secret_value() if settings.graph_password else None
        server = BoltServer(settings.graph_url, settings.graph_user, password, self.clock)
        return Neo4jGraphStore(server, self.database, self.audit, self.clock)

    @cached_property
    def extraction(self) -> ExtractionService:
        """Reads files into the knowledge graph."""
        from bailiwick.extraction.service import ExtractionService

        return ExtractionService(self.database, self.audit, self.graph, self.clock, workers=self.settings.workers)

    @cached_property
    def detection(self) -> DetectionService:
        """From texts and assets to their domains."""
        from bailiwick.detection.service import DetectionService

        return DetectionService(
            self.database, self.audit, self.clock, lambda: self.graph, self._domains_now, self.settings.seed
        )

    def _domains_now(self) -> DomainsFrom:
        from bailiwick.detection.service import LOCAL, DomainsFrom

        self.domain_watch.step()
        return DomainsFrom(self.domain_watch.current, self.settings.domains_url or LOCAL)

    @cached_property
    def datasets(self) -> DatasetService:
        """Training data."""
        from bailiwick.datasets.service import DatasetService

        return DatasetService(self.database, self.audit, self.clock)

    @cached_property
    def registry(self) -> RegistryService:
        """Model versions and their artefacts."""
        from bailiwick.models import catalogue
        from bailiwick.models.ensemble.family import EnsembleFormat
        from bailiwick.registry.artefacts import ArtefactStore
        from bailiwick.registry.service import RegistryService

        artefacts = ArtefactStore(self.settings.home / "artefacts")
        ensembles = EnsembleFormat(lambda member: self.ensembles.member_model(member))

        def format_of(family: str) -> ModelFormat:
            return ensembles if family == ensembles.name else catalogue.model_format(family)

        return RegistryService(self.database, self.audit, self.clock, artefacts, format_of)

    @cached_property
    def training(self) -> TrainingService:
        """Training runs."""
        from bailiwick.models import catalogue
        from bailiwick.training.service import TrainingService

        return TrainingService(
            self.database,
            self.audit,
            self.clock,
            self.datasets,
            self.registry,
            catalogue.family,
            check_domain=lambda domain: self.domains.get(domain),
        )

    @cached_property
    def evaluation(self) -> EvaluationService:
        """Evaluations of model versions."""
        from bailiwick.evaluation.service import EvaluationService

        return EvaluationService(self.database, self.audit, self.clock, self.datasets, self.training, self.registry)

    @cached_property
    def traffic(self) -> TrafficService:
        """The traffic plans."""
        from bailiwick.traffic.service import TrafficService

        # Without Redis there is nobody to share with: other processes read the database.
        shared = self.cache if self.settings.redis_url is not None else None
        return TrafficService(self.database, self.audit, self.clock, shared)

    @cached_property
    def delivery(self) -> DeliveryService:
        """Deployments, promotions and rollbacks."""
        from bailiwick.delivery.live import LiveMetrics
        from bailiwick.delivery.service import DeliveryService

        return DeliveryService(
            self.database,
            self.audit,
            self.clock,
            self.traffic,
            versions=lambda version: self.registry.get(version),
            versions_of=lambda domain: self.registry.list(domain),
            domains=lambda domain: self.domains.get(domain),
            check_artefact=lambda version: self.registry.check_artefact(version),
            on_removed=lambda connection, domain, versions, actor: self.experiments.pause_arms(
                connection, domain, versions, actor=actor
            ),
            environment=self.settings.environment,
            live=LiveMetrics(lambda: self.metrics),
            compare=lambda champion, version, dataset: self.evaluation.compare(champion, version, dataset),
            authors=self._authors,
        )

    def _authors(self, version: ModelVersion) -> list[str]:
        """Who trained a version."""
        if version.training_run is None:
            return []
        try:
            return [self.training.get(version.training_run).started_by]
        except NotFound:  # the run was made in another database
            return []

    @cached_property
    def metrics(self) -> MetricsService:
        """Observations, the log of requests, and feedback."""
        from bailiwick.metrics.service import MetricsService

        return MetricsService(
            self.database,
            self.clock,
            requests_kept=timedelta(days=self.settings.requests_kept_days),
            minutes_kept=timedelta(days=self.settings.minutes_kept_days),
            hours_kept=timedelta(days=self.settings.hours_kept_days),
            events_kept=timedelta(days=self.settings.exposures_kept_days),
            unit_key=self.settings.unit_key.get_secret_value().encode() if self.settings.unit_key else None,
            capacity=self.settings.metrics_queue,
            flush_interval_s=self.settings.metrics_interval_s,
        )

    @cached_property
    def privacy(self) -> PrivacyService:
        """Privacy budgets, and releases charged to them."""
        from bailiwick.privacy.service import PrivacyService

        return PrivacyService(
            self.database, self.audit, self.clock, contents_of=lambda name: self.datasets.contents(name)
        )

    @cached_property
    def private_training(self) -> PrivateTrainingService:
        """Training under differential privacy."""
        from bailiwick.models import catalogue
        from bailiwick.training.private import PrivateTrainingService

        return PrivateTrainingService(self.training, self.datasets, self.privacy, catalogue.private_family)

    @cached_property
    def private_statistics(self) -> PrivateStatistics:
        """Statistics of data sets under differential privacy."""
        from bailiwick.datasets.private_statistics import PrivateStatistics

        return PrivateStatistics(self.datasets, self.privacy)

    @cached_property
    def private_metrics(self) -> PrivateMetrics:
        """Metrics of versions under differential privacy of the test rows."""
        from bailiwick.evaluation.private_metrics import PrivateMetrics

        return PrivateMetrics(self.evaluation.judging(), self.privacy)

    def gauges(self) -> list[Family]:
        """Budgets, weights, rollouts and webhooks, for Prometheus; none while the database does not answer."""
        from bailiwick.platform.gauges import gauges

        return gauges(self)

    @cached_property
    def experiments(self) -> ExperimentService:
        """Experiments and their life."""
        from bailiwick.experiments.service import ExperimentService

        def version_domain(version: str) -> str | None:
            try:
                return self.registry.get(version).domain
            except NotFound:
                return None

        return ExperimentService(
            self.database,
            self.audit,
            self.clock,
            self.traffic,
            self.metrics,
            version_domain,
            domains=lambda domain: self.domains.get(domain),
        )

    @cached_property
    def experiment_analyst(self) -> ExperimentAnalyst:
        """What experiments have found."""
        from bailiwick.experiments.analyst import ExperimentAnalyst

        return ExperimentAnalyst(self.database, self.clock, self.metrics, self.experiments)

    @cached_property
    def experiment_keeper(self) -> ExperimentKeeper:
        """Ends experiments and deploys their winners."""
        from bailiwick.experiments.keeper import ExperimentKeeper

        return ExperimentKeeper(self.experiments, self.experiment_analyst, self.delivery, self.traffic, self.clock)

    @cached_property
    def notifications(self) -> NotificationService:
        """Tells endpoints of what is recorded."""
        import os

        from bailiwick.governance.notifications.dispatcher import Dispatcher
        from bailiwick.governance.notifications.outbox import Outbox
        from bailiwick.governance.notifications.sealing import Sealing
        from bailiwick.governance.notifications.sender import Sender
        from bailiwick.governance.notifications.service import NotificationService
        from bailiwick.network.addresses import OutsideOnly

        database, audit, clock = self.database, self.audit, self.clock
        rule = OutsideOnly(self.settings.webhook_networks)
        outbox = Outbox(database, audit, clock, lambda: self.transparency.integrate())
        given = self.settings.secrets_key
        sealing = Sealing(given.get_secret_value() if given else None)
        dispatcher = Dispatcher(database, audit, clock, Sender(rule), os.environ, sealing)
        return NotificationService(
            database, audit, clock, rule, outbox, dispatcher, lambda: self.transparency.integrated_size(), sealing
        )

    @cached_property
    def gateway_reports(self) -> GatewayReports:
        """What each gateway says it serves."""
        from bailiwick.traffic.gateway_reports import GatewayReports

        return GatewayReports(self.database, self.clock)

    @cached_property
    def _rollout_reader(self) -> EvidenceReader:
        from bailiwick.delivery.rollout.reading import EvidenceReader

        return EvidenceReader(self.metrics, self.clock)

    @cached_property
    def _rollout_recorder(self) -> RolloutRecorder:
        from bailiwick.delivery.rollout.recording import RolloutRecorder

        return RolloutRecorder(self.audit, self.clock, self.traffic, self.delivery)

    @cached_property
    def rollouts(self) -> RolloutService:
        """Canary rollouts, as people move them."""
        from bailiwick.delivery.rollout.service import RolloutService

        return RolloutService(
            self.database,
            self.clock,
            self.traffic,
            self.delivery,
            self._rollout_reader,
            self._rollout_recorder,
            units_per_s=self.metrics.requests_per_s,
        )

    @cached_property
    def rollout_controller(self) -> RolloutController:
        """Moves rollouts on evidence."""
        from bailiwick.delivery.rollout.controller import RolloutController

        return RolloutController(
            self.database,
            self.leases,
            self.traffic,
            self._rollout_reader,
            self._rollout_recorder,
            refresh=self.metrics.experiments.tally_all,
        )

    @cached_property
    def track_records(self) -> TrackRecords:
        """Each version with its training, its metrics and its deployments."""
        from bailiwick.delivery.track_records import TrackRecords

        return TrackRecords(
            versions=lambda domain: self.registry.list(domain),
            runs=lambda domain: self.training.list(domain),
            metrics=self.metrics,
            delivery=self.delivery,
            traffic=self.traffic,
        )

    @cached_property
    def access(self) -> AccessService:
        """Keys of clients of the gateway, and limits."""
        from bailiwick.governance.access.service import AccessService

        return AccessService(self.database, self.audit, self.clock)

    @cached_property
    def routing(self) -> RoutingService:
        """Rules, learning and the log of decisions of routing."""
        from bailiwick.metrics.judgements import Judgements
        from bailiwick.routing.knobs import knobs_of_settings
        from bailiwick.routing.model import Mode
        from bailiwick.routing.service import RoutingService

        settings = self.settings
        return RoutingService(
            self.database,
            self.audit,
            self.clock,
            Judgements(self.database),
            knobs=knobs_of_settings(settings),
            mode=Mode(settings.routing_mode),
            table=self.routing_table,
            kept=timedelta(days=settings.routing_kept_days),
        )

    def routing_table(self) -> RoutingTable:
        """The domains as routing sees them; one can answer when it is deployed, or served elsewhere."""
        from bailiwick.routing.model import RoutingTable

        catalogue, plans = self._domains_now().catalogue, self.traffic.plans()
        domains = catalogue.domains
        return RoutingTable(
            known=frozenset(domains),
            ready=frozenset(name for name, each in domains.items() if name in plans or each.backend.kind != "local"),
            fallbacks={name: each.fallback for name, each in domains.items() if each.fallback},
            default=catalogue.default_domain,
        )

    @cached_property
    def routing_log(self) -> DecisionLog:
        """Where this process's decisions of routing go."""
        from bailiwick.routing.log import DecisionLog

        return DecisionLog(
            lambda decisions: self.routing.write(decisions),
            capacity=self.settings.routing_queue,
            interval_s=self.settings.metrics_interval_s,
        )

    @cached_property
    def routing_explainer(self) -> Explainer:
        """Says where a query would go, and why."""
        from bailiwick.routing.explain import Explainer

        return Explainer(self.routing, self.traffic, lambda: self.detection.current(), self.routing_table)

    @cached_property
    def ensembles(self) -> EnsembleService:
        """Ensembles: what is registered as such, and what they learn."""
        from bailiwick.training.ensembles import EnsembleService

        return EnsembleService(
            self.database, self.registry, self.datasets, lambda domain: self.domains.get(domain).domain
        )

    @cached_property
    def ensemble_evaluation(self) -> EnsembleEvaluation:
        """Ensembles against their members."""
        from bailiwick.evaluation.ensembles import EnsembleEvaluation

        return EnsembleEvaluation(self.evaluation, self.ensembles, self.registry, self.datasets)

    @cached_property
    def caching(self) -> CachingService:
        """Kept answers, as people switch, look at and forget them."""
        from bailiwick.caching.service import CachingService

        return CachingService(
            self.domains,
            lambda domain, since, until: self.metrics.summary(domain, since, until),
            self.clock,
            self._unseen_examples,
            version=lambda reference: self.registry.resolve(reference),
            model=lambda version: self.registry.load(version),
        )

    def _unseen_examples(self, dataset: str, domain: str, version: ModelVersion | None) -> Sequence[LabelledText]:
        """The rows of a data set for a domain that a version was neither trained nor calibrated with."""
        from bailiwick.datasets.model import Split
        from bailiwick.models.model import LabelledText

        seen: set[str] = set()
        if version is not None and version.dataset_sha256 is not None:
            trained = self.datasets.rows_of_snapshot(version.dataset_sha256)
            seen = {row.text for row in trained if row.split is not Split.TEST}
        rows = self.datasets.rows(dataset, domain=domain if version is None else version.domain)
        return [LabelledText(row.text, row.label, row.unit) for row in rows if row.text not in seen]

    @cached_property
    def background(self) -> Background:
        """What a server does in the background, once it is started."""
        from bailiwick.platform.background import Background

        return Background(self)

    def stop_background(self) -> None:
        """End what runs in the background, if anything does."""
        if "background" in self.__dict__:
            self.background.stop()

    def close(self) -> None:
        """End what runs in the background, and give back every connection that was opened."""
        self.stop_background()
        for name in ("notifications", "domain_watch", "routing_log", "metrics", "graph", "cache", "database"):
            if name in self.__dict__:
                self.__dict__[name].close()
