"""Findings in words that a reader can repeat to somebody else. Pure."""

from __future__ import annotations

import math

from bailiwick.experiments.findings import ArmEffect, Decision, GuardrailFinding, Interval, Standing

_SHARES = frozenset({"correct", "failed", "accuracy", "accepted", "helpful", "error_rate"})


def effect_words(effect: ArmEffect) -> str:
    """One sentence on an arm's primary or secondary metric.

    Where the interval leaves out zero it says by how much; else it says that nothing is shown.
    """
    interval, metric = effect.always_valid, effect.metric
    if not math.isfinite(interval.estimate):
        return f"{effect.arm}: {metric} cannot be told yet"
    if not effect.significant:
        return f"{effect.arm} shows no difference in {metric} yet ({bounds(interval, metric)})"
    verb = "improves" if effect.improves else "worsens"
    low, high = sorted((abs(interval.low), abs(interval.high)))
    if interval.low <= 0 <= interval.high:  # shown at an earlier look; the evidence does not go away
        return f"{effect.arm} {verb} {metric} (shown at p {effect.p:.2g}; now {bounds(interval, metric)})"
    return f"{effect.arm} {verb} {metric} by {number(low, metric)} to {number(high, metric)}{unit(metric)}"


def guardrail_words(finding: GuardrailFinding) -> str:
    """One sentence on a guardrail."""
    said = {
        Standing.HOLDS: "holds",
        Standing.OPEN: "is not yet shown to hold",
        Standing.BREACHED: "is breached",
    }[finding.standing]
    worst = finding.worsening.high if finding.standing is not Standing.BREACHED else finding.worsening.low
    metric = finding.name.split(" ")[0]
    detail = f"worsens by at {'most' if finding.standing is not Standing.BREACHED else 'least'} {number(worst, metric)}"
    allowed = f"{number(finding.margin, metric)}{unit(metric)} allowed"
    return f"guardrail {finding.name} of {finding.arm} {said} ({detail}, {allowed})"


def decision_words(decision: Decision) -> str:
    """The whole in one line, such as "treatment improves correct by 1.2 to 3.4 points; decision: ship"."""
    ships = f" {decision.arm}" if decision.arm else ""
    return "; ".join((*decision.reasons, f"decision: {decision.verdict.value}{ships}"))


def bounds(interval: Interval, metric: str) -> str:
    """An interval with its signs."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return "unbounded"
    return f"{number(interval.low, metric, signed=True)} to {number(interval.high, metric, signed=True)}{unit(metric)}"


def number(value: float, metric: str, *, signed: bool = False) -> str:
    """A value for people; metrics between 0 and 1 in percentage points.

    >>> number(0.0123, "correct"), number(12.34, "latency_ms", signed=True)
    ('1.23', '+12.3')
    """
    if not math.isfinite(value):
        return "an unknown amount"
    scaled = value * 100 if metric in _SHARES else value
    return f"{scaled:+.3g}" if signed else f"{scaled:.3g}"


def unit(metric: str) -> str:
    """What stands behind a difference of the metric.

    >>> unit("correct"), unit("latency_ms"), unit("score")
    (' points', ' ms', '')
    """
    if metric in _SHARES:
        return " points"
    return next((f" {suffix}" for suffix in ("ms", "s", "usd", "tokens") if metric.endswith(f"_{suffix}")), "")
