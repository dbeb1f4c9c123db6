"""How much a canary may be tried on before it is known to be harmless, and whether that is enough to know it. Pure.

A spent blast radius takes the canary back: to hold it would go on trying it on people, at whatever weight. So it is the
one rule that takes back what may be good. A limit under which not even a flawless canary could be proven is therefore
refused before the rollout begins, and a rollout that it ends says that nothing spoke against the canary.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.delivery.rollout.evidence import assess
from bailiwick.delivery.rollout.model import (
    Direction,
    EpochWeights,
    Evidence,
    Finding,
    JudgeRule,
    MetricRule,
    RolloutPolicy,
    Statistic,
    Step,
)
from bailiwick.errors import InvalidInput
from bailiwick.metrics.exposures import ArmTotals
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments
from bailiwick.traffic.model import CANARY, CONTROL, SLOTS

_MOST = 1 << 30


def spent(policy: RolloutPolicy, evidence: Evidence) -> str | None:
    """Whether a canary that is not proven yet has been tried on all that it may be, in words.

    Args:
        policy: with the limits.
        evidence: without harm.
    """
    open_still = "; ".join(metric.words for metric in evidence.metrics if blocks(metric.rule, metric.finding))
    if not open_still:
        return None
    limits = policy.blast_radius
    for tried, limit, noun in (
        (evidence.canary_requests, limits.requests, "requests"),
        (evidence.canary_units, limits.units, "users"),
    ):
        if limit is not None and tried >= limit:
            return (
                f"the blast radius is spent, without evidence of harm: tried on {tried} {noun}, at most {limit} are "
                f"allowed before it is proven; {open_still}"
            )
    return None


def blocks(rule: MetricRule, finding: Finding) -> bool:
    """Whether a promotion waits for evidence on this metric."""
    return rule.required and finding is not Finding.HARMLESS


def require_provable(steps: Sequence[Step], policy: RolloutPolicy) -> None:
    """Refuse limits under which not even a canary that never goes wrong could reach everybody.

    It is asked of the sequential rule and its required rates; what means and quantiles need depends on their spread.

    Args:
        steps: whose narrowest margin must be shown.
        policy: with the limits.

    Raises:
        InvalidInput: naming the least limit.
    """
    limits = policy.blast_radius
    given = {"most_requests": limits.requests, "most_units": limits.units}
    smallest = min((limit for limit in given.values() if limit is not None), default=None)
    rates = tuple(rule for rule in policy.metrics if rule.required and rule.statistic is Statistic.RATE)
    decided = [step.margin_scale for step in steps if step.weight < SLOTS]
    if smallest is None or policy.rule is not JudgeRule.SEQUENTIAL or not rates or not decided:
        return
    scale = min(decided)
    if _proven(policy, rates, scale, smallest):
        return
    least = _least(policy, rates, scale, smallest)
    name = next(name for name, limit in given.items() if limit == smallest)
    raise InvalidInput(
        f"{name} is {smallest}: even a canary that never goes wrong would be taken back before it is proven",
        what=name,
        requested=smallest,
        allowed=f"at least {least}, and better several times as many",
        remedy="allow more, or wider margins",
    )


def _least(policy: RolloutPolicy, rates: tuple[MetricRule, ...], scale: float, too_few: int) -> int:
    enough = too_few
    while enough < _MOST and not _proven(policy, rates, scale, enough):
        too_few, enough = enough, enough * 2
    while enough - too_few > max(1, enough // 100):
        middle = (too_few + enough) // 2
        if _proven(policy, rates, scale, middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _proven(policy: RolloutPolicy, rates: tuple[MetricRule, ...], scale: float, units: int) -> bool:
    """Whether so many users on each side, none of whom met anything bad, are enough."""
    totals = [
        ArmTotals("", 1, arm, rule.metric, _flawless(rule, units), Sketch.of([]))
        for rule in rates
        for arm in (CANARY, CONTROL)
    ]
    evidence, _ = assess(policy, (EpochWeights(1, 1),), scale, totals, (), {})
    return not any(blocks(metric.rule, metric.finding) for metric in evidence.metrics if metric.rule in rates)


def _flawless(rule: MetricRule, units: int) -> UnitMoments:
    value, count = float(rule.direction is Direction.HIGHER), float(units)
    return UnitMoments(
        units=count,
        total=value * count,
        count=count,
        total_total=value * count,
        count_count=count,
        total_count=value * count,
    )
