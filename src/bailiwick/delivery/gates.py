"""The gates before a deployment: numbers against limits. What was not measured does not pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from bailiwick.delivery.model import GateResult
from bailiwick.domains.model import Thresholds


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
