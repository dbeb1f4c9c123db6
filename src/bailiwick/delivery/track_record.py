"""Each version of a domain with its training, held-out metrics, live metrics and deployments. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bailiwick.delivery.degradation import Rate
from bailiwick.delivery.document import deployment_document
from bailiwick.delivery.model import Deployment
from bailiwick.metrics.model import FeedbackSummary
from bailiwick.metrics.rollup import Rollup
from bailiwick.registry.model import ModelVersion
from bailiwick.statistics.proportions import wilson_interval
from bailiwick.training.model import TrainingRun

_NOTHING = Rollup.of([])


@dataclass(frozen=True, slots=True)
class LiveNumbers:
    """What a version showed in service over a span.

    Args:
        attempts: requests that it was asked, the failed ones included.
        failed: of them.
        answers: of which the latency is known.
        p50_ms, p95_ms: of their latency, within 1 %; None without one.
        correct: feedback ``correct``, out of all that was given.
        correct_low, correct_high: Wilson's 95 % interval of the share; None where the values are not yes or no. One
            opinion per request counts as independent.
    """

    attempts: int = 0
    failed: int = 0
    answers: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    correct: Rate = field(default_factory=Rate)
    correct_low: float | None = None
    correct_high: float | None = None


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One version.

    Args:
        run: that made it; None for an upstream model, and where the run is another database's.
        live: over the span that was asked for.
        share: of the domain's users now, in basis points.
        deployments: the newest first.
    """

    version: ModelVersion
    run: TrainingRun | None
    live: LiveNumbers
    share: int
    deployments: tuple[Deployment, ...]

    @property
    def privacy(self) -> Mapping[str, object] | None:
        """The claim on the version's card; None without one."""
        claim = self.version.card.get("privacy")
        return claim if isinstance(claim, Mapping) and claim else None

    @property
    def settings(self) -> Mapping[str, object]:
        """Every hyper-parameter, as the card holds them."""
        return dict(self.version.card.get("settings", {}))

    @property
    def dataset(self) -> str | None:
        """The data set version that it learned from. Of a private one without the hash of its rows."""
        if self.run is None:
            return None
        return self.run.dataset.rpartition("-")[0] if self.privacy else self.run.dataset


def join(
    versions: Sequence[ModelVersion],
    runs: Iterable[TrainingRun],
    failed: Mapping[str, Rollup],
    latency: Mapping[str, Rollup],
    feedback: Iterable[FeedbackSummary],
    deployments: Iterable[Deployment],
    weights: Mapping[str, int],
) -> list[TrackRecord]:
    """The records of versions, in their order.

    Args:
        versions: of one domain.
        runs: of the domain, any number.
        failed: rollups of ``failed`` by version.
        latency: rollups of ``latency_ms`` by version.
        feedback: of the domain.
        deployments: of the domain, the newest first.
        weights: in force, in basis points.
    """
    by_id = {run.id: run for run in runs}
    judged: dict[str | None, list[FeedbackSummary]] = {}
    for given in feedback:
        if given.metric == "correct":
            judged.setdefault(given.version, []).append(given)
    made: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        made.setdefault(deployment.version, []).append(deployment)
    return [
        TrackRecord(
            version=version,
            run=by_id.get(version.training_run) if version.training_run else None,
            live=live_numbers(
                failed.get(version.id, _NOTHING), latency.get(version.id, _NOTHING), judged.get(version.id, ())
            ),
            share=weights.get(version.id, 0),
            deployments=tuple(made.get(version.id, ())),
        )
        for version in versions
    ]


def live_numbers(failed: Rollup, latency: Rollup, judged: Sequence[FeedbackSummary]) -> LiveNumbers:
    """The live numbers of one version.

    >>> live_numbers(Rollup.of([0.0, 0.0, 1.0]), Rollup.of([10.0, 10.0]), ()).failed
    1
    """
    correct = Rate(math.fsum(each.total for each in judged), sum(each.count for each in judged))
    squares = math.fsum(each.squares for each in judged)
    yes_or_no = correct.trials and correct.count == squares == round(correct.count)
    low, high = wilson_interval(round(correct.count), correct.trials) if yes_or_no else (None, None)
    return LiveNumbers(
        attempts=failed.count,
        failed=round(failed.total),
        answers=latency.count,
        p50_ms=latency.quantile(0.5) if latency.count else None,
        p95_ms=latency.quantile(0.95) if latency.count else None,
        correct=correct,
        correct_low=low,
        correct_high=high,
    )


def record_document(record: TrackRecord) -> dict[str, object]:
    """A record as JSON. Of a private version neither the seed nor any hash of its rows is given."""
    version, run, live, private = record.version, record.run, record.live, record.privacy
    rate = live.correct.value
    return {
        "version": version.id,
        "domain": version.domain,
        "family": version.family,
        "made_at": version.created_at,
        "parent": version.parent,
        "artefact_sha256": version.artefact_sha256,
        "training": None
        if run is None
        else {
            "run": run.id,
            "dataset": record.dataset,
            "dataset_sha256": None if private else run.dataset_sha256,
            "seed": None if private else run.seed,
            "settings": record.settings,
            "started_by": run.started_by,
            "cpu_s": run.cpu_s,
            "epochs": len(run.losses),
        },
        "privacy": None if private is None else dict(private),
        "held_out": dict(version.metrics),
        "live": {
            "attempts": live.attempts,
            "failed": live.failed,
            "answers": live.answers,
            "latency_p50_ms": live.p50_ms,
            "latency_p95_ms": live.p95_ms,
            "judged": live.correct.trials,
            "correct": rate if math.isfinite(rate) else None,
            "correct_low": live.correct_low,
            "correct_high": live.correct_high,
        },
        "share_percent": record.share / 100,
        "deployments": [deployment_document(made) for made in record.deployments],
    }
