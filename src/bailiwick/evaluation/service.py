"""Evaluating versions on texts that they never learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from bailiwick.clock import Clock
from bailiwick.datasets.model import Dataset, Row, Split
from bailiwick.datasets.service import DatasetService
from bailiwick.errors import InvalidInput, NotFound, PolicyDenied
from bailiwick.evaluation import store
from bailiwick.evaluation.compare import compare_predictions, correct
from bailiwick.evaluation.judging import Judging, claims_privacy
from bailiwick.evaluation.model import Comparison, Evaluation, Quality, Speed
from bailiwick.evaluation.quality import measure
from bailiwick.evaluation.speed import time_model
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.models.ensemble.spec import NAME as ENSEMBLE
from bailiwick.models.ports import FittedModel
from bailiwick.registry.model import ModelVersion
from bailiwick.registry.service import RegistryService
from bailiwick.statistics.calibration import log_loss
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id
from bailiwick.training.lineage import Mark, learned_marks, marks
from bailiwick.training.service import TrainingService

_MOST_EXCLUDED = 0.5


class EvaluationService:
    """Measures versions, records what it found, and compares two.

    Args:
        database: holds the evaluations.
        audit: gets an entry per evaluation.
        clock: dates them.
        datasets: where test rows come from.
        training: knows what a version learned from.
        registry: loads the versions and keeps their latest metrics.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        datasets: DatasetService,
        training: TrainingService,
        registry: RegistryService,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._datasets = datasets
        self._training = training
        self._registry = registry

    def evaluate(self, version_id: str, *, actor: Actor, dataset: str | None = None) -> Evaluation:
        """Measure a version on the test rows of its domain, and make the result the version's metrics.

        Test rows whose text or unit the version, or a version that it descends from, has learned from are left out and
        counted. A version that claims differential privacy is measured only on rows about nobody, and then on all of
        them: which ones to leave out, and its loss on what it learned from, would tell of its training rows.

        Args:
            version_id: to measure.
            actor: who asks.
            dataset: id or name; default: the one that the version was trained on.

        Raises:
            NotFound: no such version or data set.
            InvalidInput: no test rows, or most of them were learned from; the metrics stay as they were.
            PolicyDenied: the version claims differential privacy, and the rows are about persons.
            Conflict: the artefact or the rows were changed.
        """
        version = self._registry.get(version_id)
        snapshot = self._dataset_of(version, dataset)
        _check_privacy(version, snapshot)
        rows, excluded = self._test_rows(snapshot, [version])
        model = self._registry.load(version_id)
        texts = [row.text for row in rows]
        quality = measure(model.predict(texts), model.card.labels, [row.label for row in rows])
        speed = time_model(model, texts)
        metrics = _metrics(quality, speed)
        metrics["size_bytes"] = float(version.artefact_bytes)
        metrics["excluded_examples"] = float(excluded)
        metrics.update(self._losses(version, model))
        metrics.update(self._losses_of_ensemble(version, model, snapshot))
        now = self._clock.now()
        made = Evaluation(
            id=new_id("evaluation", now),
            version=version_id,
            domain=version.domain,
            dataset=snapshot.id,
            dataset_sha256=snapshot.sha256,
            created_at=now,
            created_by=actor.name,
            metrics=metrics,
            labels=quality.labels,
            confusion=quality.confusion,
            reliability=quality.reliability,
        )
        with self._database.write() as connection:
            store.insert(connection, made)
            self._registry.record_metrics(connection, version_id, metrics, actor)
            after = {"version": version_id, "dataset": snapshot.id, "accuracy": quality.accuracy}
            self._audit.record(connection, actor, "evaluation.record", f"evaluation:{made.id}", after=after)
        return made

    def judging(self) -> Judging:
        """What releases under differential privacy judge with."""
        return Judging(self._database, self._datasets, self._registry, self._trained_on)

    def list(self, version_id: str) -> Sequence[Evaluation]:
        """Evaluations of a version, newest first."""
        with self._database.read() as connection:
            return store.listing(connection, version_id)

    def compare(self, first: str, second: str, dataset: str | None = None) -> Comparison:
        """Two versions on the same test rows, none of which either has learned from.

        Args:
            first: version to compare with.
            second: version to judge.
            dataset: id or name; default: the one that the second was trained on.

        Raises:
            NotFound: no such version or data set.
            InvalidInput: the versions are of different domains, or too few test rows are left.
            PolicyDenied: as `evaluate`.
        """
        versions = [self._registry.get(first), self._registry.get(second)]
        if versions[0].domain != versions[1].domain:
            raise InvalidInput(
                f"{first!r} and {second!r} are of different domains", what="versions", requested=[first, second]
            )
        snapshot = self._dataset_of(versions[1], dataset)
        for version in versions:
            _check_privacy(version, snapshot)
        rows, _ = self._test_rows(snapshot, versions)
        texts, truth = [row.text for row in rows], [row.label for row in rows]
        models = [self._registry.load(version.id) for version in versions]
        right = [correct(model.predict(texts), model.card.labels, truth) for model in models]
        return Comparison(
            first=first,
            second=second,
            dataset=snapshot.id,
            first_accuracy=float(right[0].mean()),
            second_accuracy=float(right[1].mean()),
            result=compare_predictions(*right),
        )

    def _dataset_of(self, version: ModelVersion, asked: str | None) -> Dataset:
        if asked is not None:
            return self._datasets.get(asked)
        if version.training_run is None:
            raise InvalidInput(
                f"version {version.id!r} was not trained here", what="dataset", remedy="name a data set with --dataset"
            )
        return self._datasets.get(self._trained_on(version))

    def _trained_on(self, version: ModelVersion) -> str:
        assert version.training_run is not None
        return self._training.get(version.training_run).dataset

    def _test_rows(self, snapshot: Dataset, versions: Sequence[ModelVersion]) -> tuple[Sequence[Row], int]:
        domain = versions[0].domain
        rows = self._datasets.rows(snapshot.id, Split.TEST, domain)
        if not rows:
            raise InvalidInput(
                f"data set {snapshot.id!r} has no test rows of the domain {domain!r}",
                what="dataset",
                requested=snapshot.id,
                allowed=sorted(snapshot.domains)[:50],
                remedy="import more rows, or a file for testing",
            )
        learned = set[Mark]()
        for version in versions:
            if claims_privacy(version):
                continue
            learned |= learned_marks(self._datasets, self._registry, version, with_validation=True)
        kept = [row for row in rows if not learned.intersection(marks(row))]
        excluded = len(rows) - len(kept)
        if excluded > _MOST_EXCLUDED * len(rows):
            raise InvalidInput(
                f"{excluded} of the {len(rows)} test rows of {snapshot.id!r} were learned from",
                what="dataset",
                requested=snapshot.id,
                allowed="at most half",
                remedy="evaluate on the data set that the version was trained on, or on fresh rows",
            )
        return kept, excluded

    def _losses_of_ensemble(self, version: ModelVersion, model: FittedModel, snapshot: Dataset) -> dict[str, float]:
        """On the rows that its members learned from, and on those that it was, or could have been, fitted on."""
        if version.family != ENSEMBLE:
            return {}
        at = {label: position for position, label in enumerate(model.card.labels)}
        losses = {}
        for name, split in (("training_loss", Split.TRAIN), ("validation_loss", Split.VALIDATION)):
            rows = self._datasets.rows(snapshot.id, split, version.domain)
            if rows:
                truth = np.array([at.get(row.label, -1) for row in rows])
                losses[name] = log_loss(model.predict([row.text for row in rows]), truth)
        return losses

    def _losses(self, version: ModelVersion, model: FittedModel) -> dict[str, float]:
        if version.training_run is None or claims_privacy(version):
            return {}
        try:
            run = self._training.get(version.training_run)
        except NotFound:
            return {}
        rows = self._datasets.rows_of_snapshot(run.dataset_sha256, Split.TRAIN, version.domain)
        at = {label: position for position, label in enumerate(model.card.labels)}
        truth = np.array([at.get(row.label, -1) for row in rows])
        losses = {"training_loss": log_loss(model.predict([row.text for row in rows]), truth)}
        if run.validation_loss is not None:
            losses["validation_loss"] = run.validation_loss
        return losses


def _check_privacy(version: ModelVersion, snapshot: Dataset) -> None:
    """Refuse metrics that nobody has paid for, of a version that promises privacy, on rows about persons.

    A set without a unit column that the version was trained on does not exist: private training needs one.
    """
    if claims_privacy(version) and snapshot.findings.unit_column is not None:
        raise PolicyDenied(
            f"version {version.id!r} promises differential privacy: its metrics on {snapshot.name!r}, which is about "
            f"persons, are released against a budget",
            what="version",
            requested=version.id,
            where=snapshot.id,
            remedy=f"bailiwick privacy release-metrics {version.id} --metric accuracy --namespace NAME --epsilon 1",
        )


def _metrics(quality: Quality, speed: Speed) -> dict[str, float]:
    return {
        "accuracy": quality.accuracy,
        "accuracy_low": quality.accuracy_low,
        "accuracy_high": quality.accuracy_high,
        "macro_f1": quality.macro_f1,
        "ece": quality.ece,
        "brier": quality.brier,
        "test_loss": quality.loss,
        "test_examples": float(quality.examples),
        **asdict(speed),
    }
