"""What a version says of the rows of a data set, for releases that pay before they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bailiwick.datasets.model import Dataset, Row, Split
from bailiwick.datasets.service import DatasetService
from bailiwick.errors import InvalidInput
from bailiwick.evaluation.speed import time_model
from bailiwick.governance.audit import Actor
from bailiwick.registry.model import ModelVersion
from bailiwick.registry.service import RegistryService
from bailiwick.storage.database import Database
from bailiwick.training.lineage import learned_through

_MOST_ANCESTORS = 1_000
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class Subject:
    """What is going to be judged. All of it is known without reading a row.

    Args:
        version: the model.
        snapshot: whose rows.
        own: whether the version was trained on this data set.
        learned: data sets that the version, or one that it descends from, was trained on without differential privacy.
    """

    version: ModelVersion
    snapshot: Dataset
    own: bool
    learned: tuple[Dataset, ...]

    @property
    def private(self) -> bool:
        """Whether the version claims differential privacy."""
        return claims_privacy(self.version)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows with what a version says of them, in the same order.

    Args:
        rows: all rows of a split and of the version's domain.
        predicted: the most probable label of each.
        losses: minus the log of the probability of the true label, in nats; 27.6 where the model does not know it.
    """

    rows: Sequence[Row]
    predicted: Sequence[str]
    losses: Sequence[float]


def claims_privacy(version: ModelVersion) -> bool:
    """Whether a version's record carries the claim of a private training."""
    return bool(version.card.get("privacy"))


class Judging:
    """Judges rows without leaving one out, and records what was paid for.

    Args:
        database: where metrics are written.
        datasets: where rows come from.
        registry: the versions.
        dataset_of: the id of the data set that a version was trained on.
    """

    def __init__(
        self,
        database: Database,
        datasets: DatasetService,
        registry: RegistryService,
        dataset_of: Callable[[ModelVersion], str],
    ) -> None:
        self._database = database
        self._datasets = datasets
        self._registry = registry
        self._dataset_of = dataset_of

    def subject(self, version_id: str, dataset: str | None = None) -> Subject:
        """What would be judged. Reads no row, and makes sure that the model can be loaded.

        Args:
            version_id: the model.
            dataset: id or name; None: what the version was trained on.

        Raises:
            NotFound: no such version or data set.
            InvalidInput: the version was not trained here, and no data set is named.
            Conflict: the artefact was changed.
        """
        version = self._registry.get(version_id)
        self._registry.load(version_id)
        trained = None if version.training_run is None else self._datasets.get(self._dataset_of(version))
        if dataset is None and trained is None:
            raise InvalidInput(
                f"version {version.id!r} was not trained here", what="dataset", remedy="name a data set with --dataset"
            )
        snapshot = self._datasets.get(dataset) if dataset is not None else trained
        assert snapshot is not None
        own = trained is not None and trained.name == snapshot.name
        return Subject(version, snapshot, own, self._learned(version))

    def judge(self, subject: Subject, split: Split) -> Judged:
        """Every row of a split and of the version's domain, with what the version says of it.

        No row is left out for what another row holds: that would let one unit decide over the rows of others, and a
        release bounds only what a unit's own rows do. Where there are none, the answer is empty.
        """
        rows = self._datasets.rows(subject.snapshot.id, split, subject.version.domain)
        if not rows:
            return Judged((), (), ())
        model = self._registry.load(subject.version.id)
        labels = model.card.labels
        probabilities = model.predict([row.text for row in rows])
        at = {label: position for position, label in enumerate(labels)}
        truth = np.array([at.get(row.label, -1) for row in rows])
        chosen = np.where(truth >= 0, probabilities[np.arange(len(rows)), truth], 0.0)
        losses = -np.log(np.maximum(chosen, _LEAST_PROBABILITY))
        return Judged(rows, [labels[position] for position in probabilities.argmax(axis=1)], losses.tolist())

    def record(self, subject: Subject, metrics: Mapping[str, float], actor: Actor) -> None:
        """Add metrics that were paid for to those of a version, with its speed on texts that are about nobody."""
        model = self._registry.load(subject.version.id)
        speed = asdict(time_model(model, model.card.labels))
        size = {"size_bytes": float(subject.version.artefact_bytes)}
        with self._database.write() as connection:
            self._registry.record_metrics(connection, subject.version.id, {**speed, **size, **metrics}, actor, add=True)

    def _learned(self, version: ModelVersion) -> tuple[Dataset, ...]:
        found: dict[str, Dataset] = {}
        seen = {version.id}
        waiting = [version]
        for _ in range(_MOST_ANCESTORS):
            if not waiting:
                break
            current = waiting.pop()
            fitted = current.card.get("ensemble", {}).get("fitted", {}).get("dataset")
            if fitted is not None or (current.training_run is not None and not claims_privacy(current)):
                snapshot = self._datasets.get(fitted or self._dataset_of(current))
                found[snapshot.id] = snapshot
            for known in learned_through(current):
                if known not in seen:
                    seen.add(known)
                    waiting.append(self._registry.get(known))
        return tuple(found.values())
