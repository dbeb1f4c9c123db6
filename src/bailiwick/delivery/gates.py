"""The gates before a deployment: numbers against limits. What was not measured does not pass.

What cannot be told from the numbers is *inconclusive*: the policy says whether such a version is held.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bailiwick.delivery.degradation import Rate
from bailiwick.delivery.model import GateResult
from bailiwick.delivery.policy import GatePolicy, OnInconclusive
from bailiwick.domains.model import Thresholds
from bailiwick.evaluation.model import Comparison

_NOTHING = Rate()


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """Everything that the gates of a policy look at.

    Args:
        metrics: of the version's latest evaluation on held-out data.
        card: of the version.
        failed: attempts of the version's own recent live requests.
        champion: the version to compare with; None: nothing else is in service.
        comparison: with it, on the same rows; None where it was not asked for or could not be made.
        no_comparison: why it could not be made.
    """

    metrics: Mapping[str, object]
    card: Mapping[str, Any]
    failed: Rate = _NOTHING
    champion: str | None = None
    comparison: Comparison | None = None
    no_comparison: str | None = None


def judge_all(evidence: GateEvidence, thresholds: Thresholds, policy: GatePolicy) -> tuple[GateResult, ...]:
    """Every gate that the policy asks for, in a fixed order.

    Args:
        evidence: of the version.
        thresholds: of the domain; the policy's own limits take their place.
        policy: of the domain, in one environment.
    """
    asked = [*judge(evidence.metrics, policy.limits(thresholds))]
    if policy.max_error_rate is not None:
        asked.append(_live_errors(evidence.failed, policy.max_error_rate, policy.live_samples))
    if policy.max_epsilon is not None:
        asked.append(_privacy(evidence.card, policy.max_epsilon))
    if policy.regression_margin is not None:
        asked.append(_regression(evidence, policy.regression_margin, policy.inconclusive))
    return tuple(asked)


def judge(metrics: Mapping[str, object], thresholds: Thresholds) -> tuple[GateResult, ...]:
    """Hold a version's metrics against its domain's thresholds.

    Args:
        metrics: of the evaluation on held-out data: ``accuracy`` (0 to 1), ``latency_p95_ms``, ``training_loss`` and
            ``validation_loss``.
        thresholds: of the domain; a value equal to the limit passes.

    Returns:
        One result per gate, in a fixed order. Deploy when all pass, else hold.

    >>> [result.passed for result in judge({"accuracy": 0.91, "latency_p95_ms": 3.0}, Thresholds())]
    [True, True, False, False]
    """
    return (
        _at_least("accuracy", metrics, thresholds.min_accuracy),
        _at_most("latency_p95_ms", metrics, thresholds.max_latency_ms),
        _at_most("training_loss", metrics, thresholds.max_training_loss),
        _at_most("validation_loss", metrics, thresholds.max_validation_loss),
    )


def explain(gates: Iterable[GateResult]) -> str:
    """The decision in one line: what failed and why, or that everything passed."""
    failed = [gate.reason for gate in gates if not gate.passed]
    return "; ".join(failed) if failed else "every gate passed"


def _live_errors(failed: Rate, limit: float, samples: int) -> GateResult:
    name = "live_error_rate"
    if failed.trials < samples:
        return GateResult(name, None, limit, True, f"{failed.trials} of {samples} live requests: not judged yet")
    return _at_most(name, {name: failed.value}, limit)


def _privacy(card: Mapping[str, Any], limit: float) -> GateResult:
    name, claim = "privacy_epsilon", card.get("privacy")
    if not isinstance(claim, Mapping):
        return GateResult(name, None, limit, False, "the version's card claims no differential privacy")
    try:
        stated = float(claim.get("epsilon"))  # type: ignore[arg-type]  # numbers as text are exact
    except (TypeError, ValueError):
        stated = math.nan
    return _at_most(name, {name: stated}, limit)


def _regression(evidence: GateEvidence, margin: float, inconclusive: OnInconclusive) -> GateResult:
    """Passes when even the bad end of the 95 % interval loses less than the margin; fails when the good end loses more.

    >>> from bailiwick.statistics.paired import compare_paired
    >>> same = Comparison("v1", "v2", "d", 0.9, 0.9, compare_paired(1000, 5, 5))
    >>> _regression(GateEvidence({}, {}, champion="v1", comparison=same), 0.02, OnInconclusive.HOLD).passed
    True
    """
    name = "regression"
    if evidence.champion is None:
        return GateResult(name, None, margin, True, "nothing else is in service to compare with")
    unsure = inconclusive is OnInconclusive.PASS
    if evidence.comparison is None:
        reason = f"cannot be compared with {evidence.champion}: {evidence.no_comparison or 'nobody compared them'}"
        return GateResult(name, None, margin, unsure, reason, inconclusive=True)
    result = evidence.comparison.result
    loss, least, most = (0.0 - bound for bound in (result.difference, result.high, result.low))
    words = (
        f"accuracy lost against {evidence.champion} on {result.examples} test texts: {loss * 100:.3g} points "
        f"(95 %: {least * 100:.3g} to {most * 100:.3g})"
    )
    if most < margin:
        return GateResult(name, loss, margin, True, f"{words}, within {margin * 100:.3g}")
    if least >= margin:
        return GateResult(name, loss, margin, False, f"{words}, beyond {margin * 100:.3g}")
    return GateResult(name, loss, margin, unsure, f"{words}: cannot tell on which side of {margin * 100:.3g}", True)


def _at_least(name: str, metrics: Mapping[str, object], limit: float) -> GateResult:
    measured = _number(metrics.get(name))
    if measured is None:
        return _unmeasured(name, metrics, limit)
    passed = measured >= limit
    words = "reaches" if passed else "is below"
    return GateResult(name, measured, limit, passed, f"{name} {measured:.4g} {words} {limit:g}")


def _at_most(name: str, metrics: Mapping[str, object], limit: float) -> GateResult:
    measured = _number(metrics.get(name))
    if measured is None:
        return _unmeasured(name, metrics, limit)
    passed = measured <= limit
    words = "is within" if passed else "exceeds"
    return GateResult(name, measured, limit, passed, f"{name} {measured:.4g} {words} {limit:g}")


def _unmeasured(name: str, metrics: Mapping[str, object], limit: float) -> GateResult:
    found = metrics.get(name)
    reason = f"{name} was not measured" if found is None else f"{name} is {found!r}, not a finite number"
    return GateResult(name, None, limit, False, reason)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
