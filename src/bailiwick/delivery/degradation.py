"""Has a deployment made things worse than its baseline? Pure: numbers of two spans in, findings out.

Two kinds of evidence. **Thresholds**: accuracy down by 5 % of the baseline's, p95 latency beyond 1.5 times, error rate
up by 10 points, each once both sides have 50 samples; quick, but chance alone crosses them now and then where samples
are few. **Sequential**: accuracy or errors are worse by more than a margin, on an e-test that may be looked at as often
as one likes (`statistics.bernoulli_sequence`); it takes back a version that is no worse with chance `alpha`, ever.

No data, too little, or numbers that are not finite: no finding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from bailiwick.statistics.bernoulli_sequence import compare_rates, log_common_rate

_PLANNED = 200.0
_WATCHED_RATES = 2


class RollbackEvidence(StrEnum):
    """Which evidence takes a deployment back."""

    EITHER = "either"
    THRESHOLDS = "thresholds"
    SEQUENTIAL = "sequential"  # of accuracy and errors; of latency the threshold


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What is still called as good as before; see `policy.GatePolicy` for the meanings and units."""

    accuracy_drop: float = 0.05
    latency_factor: float = 1.5
    error_rise: float = 0.1
    samples: int = 50
    evidence: RollbackEvidence = RollbackEvidence.EITHER
    alpha: float = 0.01
    margin: float = 0.01


@dataclass(frozen=True, slots=True)
class Rate:
    """Outcomes that were yes, out of all that are known."""

    count: float = 0.0
    trials: int = 0

    @property
    def value(self) -> float:
        """NaN without a trial, and where the count can be no count."""
        return self.count / self.trials if self.trials > 0 and 0 <= self.count <= self.trials else math.nan


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of one version over one span.

    Args:
        correct: feedback that called an answer right, out of all that judged one.
        failed: attempts that failed, out of all.
        latencies: how many were measured.
        latency_p95_ms: NaN where none was.
    """

    correct: Rate = Rate()
    failed: Rate = Rate()
    latencies: int = 0
    latency_p95_ms: float = math.nan


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a deployment broke.

    Args:
        rule: ``accuracy_drop``, ``latency_factor``, ``error_rise``, ``accuracy_evidence`` or ``error_evidence``.
        metric: ``correct``, ``latency_ms`` or ``failed``.
        baseline: the metric's value before or beside it.
        current: its own.
        baseline_samples: behind the baseline.
        samples: behind its own.
        reason: in words.
    """

    rule: str
    metric: str
    baseline: float
    current: float
    baseline_samples: int
    samples: int
    reason: str


def degraded(baseline: Observed, current: Observed, tolerances: Tolerances) -> tuple[Finding, ...]:
    """Every rule that the current span breaks, the errors first.

    >>> before = Observed(failed=Rate(1, 100))
    >>> [finding.rule for finding in degraded(before, Observed(failed=Rate(30, 100)), Tolerances())]
    ['error_rise', 'error_evidence']
    >>> degraded(before, Observed(failed=Rate(8, 10)), Tolerances(evidence=RollbackEvidence.THRESHOLDS))
    ()
    """
    found: list[Finding | None] = []
    if tolerances.evidence is not RollbackEvidence.SEQUENTIAL:
        found.append(_error_rise(baseline.failed, current.failed, tolerances))
        found.append(_accuracy_drop(baseline.correct, current.correct, tolerances))
    found.append(_latency_factor(baseline, current, tolerances))
    if tolerances.evidence is not RollbackEvidence.THRESHOLDS:
        errors = _worse_by(baseline.failed, current.failed, tolerances)
        accuracy = _worse_by(_wrong(baseline.correct), _wrong(current.correct), tolerances)
        if errors is not None:
            found.append(_evidence("error_evidence", "failed", baseline.failed, current.failed, errors))
        if accuracy is not None:
            found.append(_evidence("accuracy_evidence", "correct", baseline.correct, current.correct, accuracy))
    return tuple(finding for finding in found if finding is not None)


def _error_rise(before: Rate, now: Rate, tolerances: Tolerances) -> Finding | None:
    enough = min(before.trials, now.trials) >= tolerances.samples
    if not enough or not now.value - before.value > tolerances.error_rise + _ROUNDING:
        return None
    words = f"error rate {now.value:.1%} against {before.value:.1%}: up by more than {tolerances.error_rise:.1%}"
    return _of_rates("error_rise", "failed", before, now, words)


def _accuracy_drop(before: Rate, now: Rate, tolerances: Tolerances) -> Finding | None:
    enough = min(before.trials, now.trials) >= tolerances.samples
    least = before.value * (1 - tolerances.accuracy_drop)
    if not enough or not now.value < least - _ROUNDING:
        return None
    words = (
        f"accuracy {now.value:.1%} against {before.value:.1%}: down by more than {tolerances.accuracy_drop:.1%} of it"
    )
    return _of_rates("accuracy_drop", "correct", before, now, words)


def _latency_factor(before: Observed, now: Observed, tolerances: Tolerances) -> Finding | None:
    enough = min(before.latencies, now.latencies) >= tolerances.samples
    usual, measured = before.latency_p95_ms, now.latency_p95_ms
    finite = math.isfinite(usual) and math.isfinite(measured) and usual >= 0
    if not enough or not finite or not measured > usual * tolerances.latency_factor * (1 + _ROUNDING):
        return None
    words = f"p95 latency {measured:.4g} ms against {usual:.4g} ms: beyond {tolerances.latency_factor:g} times"
    return Finding("latency_factor", "latency_ms", usual, measured, before.latencies, now.latencies, words)


_ROUNDING = 1e-9
"""A difference of exactly the tolerance is still tolerated, also where binary fractions make it a little more."""


def _worse_by(before: Rate, now: Rate, tolerances: Tolerances) -> float | None:
    """The least harm in points that is proven, if it exceeds the margin; the rates are of what is bad."""
    if not now.value - before.value > tolerances.margin:
        return None
    alpha = tolerances.alpha / _WATCHED_RATES
    pair = ((before.count, float(before.trials)), (now.count, float(now.trials)))
    if log_common_rate(*pair, planned=_PLANNED, alpha=alpha) < -math.log(alpha):
        return None  # the interval holds 0; it costs a hundred times as much
    low = compare_rates(*pair, level=1 - alpha, planned=_PLANNED).low
    return low if low > tolerances.margin else None


def _wrong(correct: Rate) -> Rate:
    return Rate(correct.trials - correct.count, correct.trials)


def _evidence(rule: str, metric: str, before: Rate, now: Rate, least: float) -> Finding:
    words = f"{metric} {now.value:.1%} against {before.value:.1%}: worse by at least {least:.1%}, at all looks together"
    return _of_rates(rule, metric, before, now, words)


def _of_rates(rule: str, metric: str, before: Rate, now: Rate, words: str) -> Finding:
    return Finding(rule, metric, before.value, now.value, before.trials, now.trials, words)
