"""From the totals of canary and control to what they prove: harm, harmlessness, or nothing yet. Pure.

Everything is an e-value, so it may be looked at every second: evidence of harm needs ``1 / (alpha / metrics)``, and
evidence of harmlessness ``1 / alpha`` on every required metric, which needs no division (intersection-union).

- **Rates** count what went badly. Harm: the exact test of `statistics.error_counts` (is a unit that erred a canary's
  more often than its share?), averaged with the score's e-value once its burn-in is over; an average of e-values is
  one. Harmlessness: the exact test of `statistics.bernoulli_sequence` against a difference of one margin, averaged
  likewise: it needs no errors at all to say that there are few.
- **Means** go through the score of `statistics.score` and the one-sided normal mixture.
- **Quantiles** go through `statistics.quantile_sequence`, on the sketches.

Strata: units are compared with those that entered while canary and control had the same proportion (one to one up to
half of the traffic), never across a change of it, so that no drift of the day is taken for a difference. A unit counts
in the arm and epoch of its first exposure; one with many requests counts for as many as they are worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.delivery.rollout.model import (
    Direction,
    EpochWeights,
    Evidence,
    Finding,
    MetricEvidence,
    MetricRule,
    RolloutPolicy,
    Statistic,
)
from bailiwick.delivery.rollout.wording import finding_words
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.bernoulli_sequence import log_difference
from bailiwick.statistics.confidence_sequence import Tuning
from bailiwick.statistics.error_counts import log_e_value_more
from bailiwick.statistics.guardrail import GuardrailResult, GuardrailWatch, Margin, guard
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.quantile_sequence import Empirical, compare_quantiles
from bailiwick.statistics.score import Support
from bailiwick.traffic.model import CANARY, CONTROL

_QUANTILES = {Statistic.P50: 0.5, Statistic.P95: 0.95, Statistic.P99: 0.99}
_HALVINGS = 16


@dataclass(frozen=True, slots=True)
class Stratum:
    """Canary and control while the canary had one share of both."""

    share: float
    control: UnitMoments
    canary: UnitMoments
    control_values: Sketch
    canary_values: Sketch


@dataclass(frozen=True, slots=True)
class _Found:
    """What a test found: natural logarithms of both e-values, and the interval of canary less control.

    Before the burn-in of a score both e-values are 1 and nothing is known of the interval.
    """

    log_harmed: float
    log_holds: float
    low: float | None = None
    high: float | None = None
    planned: float | None = None


def assess(
    policy: RolloutPolicy,
    epochs: Sequence[EpochWeights],
    margin_scale: float,
    totals: Sequence[ArmTotals],
    units: Sequence[ArmUnits],
    planned: Mapping[str, float],
    *,
    intervals: bool = False,
) -> tuple[Evidence, Mapping[str, float]]:
    """What the totals prove, by the sequential rule.

    Args:
        policy: metrics and error rates.
        epochs: weights of canary and control, from epoch 1.
        margin_scale: factor on every margin, see `Step.margin_scale`.
        totals: of the rollout, see `MetricsService.arm_totals`.
        units: likewise.
        planned: what the previous look returned; empty at first.
        intervals: also of rates that are too small for the score, which takes ten milliseconds each.

    Returns:
        The evidence, and what the next look needs as ``planned``.
    """
    frozen = dict(planned)
    found: list[MetricEvidence] = []
    for rule in policy.metrics:
        strata = gathered(rule.metric, epochs, totals)
        key = f"{rule.metric}:{rule.statistic.value}"
        evidence, information = _judge(rule, strata, policy, margin_scale, frozen.get(key), intervals)
        found.append(evidence)
        if information is not None:
            frozen[key] = information
    return counted(tuple(found), units), frozen


def counted(metrics: tuple[MetricEvidence, ...], units: Sequence[ArmUnits]) -> Evidence:
    """The evidence on metrics with the numbers of units and requests that it rests on."""
    of = {
        arm: [
            sum(each.units for each in units if each.arm == arm),
            sum(each.requests for each in units if each.arm == arm),
        ]
        for arm in (CANARY, CONTROL)
    }
    return Evidence(metrics, of[CANARY][0], of[CONTROL][0], of[CANARY][1])


def gathered(metric: str, epochs: Sequence[EpochWeights], totals: Sequence[ArmTotals]) -> tuple[Stratum, ...]:
    """The strata of a metric in which both arms had traffic."""
    by_share: dict[float, list[int]] = {}
    for number, weights in enumerate(epochs, start=1):
        if weights.canary and weights.control:
            by_share.setdefault(weights.canary / (weights.canary + weights.control), []).append(number)
    of_metric = [each for each in totals if each.metric == metric]
    strata = []
    for share, numbers in by_share.items():
        arms = {
            arm: [each for each in of_metric if each.arm == arm and each.epoch in numbers] for arm in (CONTROL, CANARY)
        }
        moments = {arm: sum((each.moments for each in found), UnitMoments()) for arm, found in arms.items()}
        values = {arm: Sketch.merged(each.sketch for each in found) for arm, found in arms.items()}
        strata.append(Stratum(share, moments[CONTROL], moments[CANARY], values[CONTROL], values[CANARY]))
    return tuple(strata)


def values_of(rule: MetricRule, strata: Sequence[Stratum]) -> tuple[float, float] | None:
    """The statistic of canary and control over all strata; None while either has no value."""
    canary = sum((each.canary for each in strata), UnitMoments())
    control = sum((each.control for each in strata), UnitMoments())
    if not canary.count or not control.count:
        return None
    q = _QUANTILES.get(rule.statistic)
    if q is None:
        return canary.mean, control.mean
    return (
        Sketch.merged(each.canary_values for each in strata).quantile(q),
        Sketch.merged(each.control_values for each in strata).quantile(q),
    )


def margin_of(rule: MetricRule, control: float, scale: float) -> float:
    """The margin in the metric's units."""
    return rule.margin * scale * (abs(control) if rule.relative else 1.0)


def _judge(
    rule: MetricRule,
    strata: Sequence[Stratum],
    policy: RolloutPolicy,
    margin_scale: float,
    planned: float | None,
    intervals: bool,
) -> tuple[MetricEvidence, float | None]:
    values = values_of(rule, strata)
    if values is None:
        words = finding_words(rule, Finding.NO_DATA, None, None, None, 0.0)
        return MetricEvidence(rule, Finding.NO_DATA, None, None, None, None, None, 0.0, words), planned
    canary, control = values
    margin = margin_of(rule, control, margin_scale)
    strata = [each for each in strata if each.canary.count and each.control.count]
    alpha = policy.alpha / len(policy.metrics)
    if rule.statistic is Statistic.RATE:
        found = _rate(rule, strata, margin, alpha, policy, planned, intervals)
    elif rule.statistic is Statistic.MEAN:
        found = _mean(rule, strata, margin, alpha, policy, planned)
    else:
        found = _quantile(rule, strata, margin, alpha, policy)
    worse = (canary - control) * _sign(rule)
    finding = Finding.UNDECIDED
    if worse > 0 and found.log_harmed >= -math.log(alpha):
        finding = Finding.HARMFUL
    elif worse < margin and found.log_holds >= -math.log(policy.alpha):
        finding = Finding.HARMLESS
    bound = found.high if rule.direction is Direction.LOWER else None if found.low is None else -found.low
    words = finding_words(rule, finding, canary, control, bound, margin)
    evidence = MetricEvidence(
        rule, finding, canary, control, canary - control, _finite(found.low), _finite(found.high), margin, words
    )
    return evidence, found.planned if planned is None else planned


def _rate(
    rule: MetricRule,
    strata: Sequence[Stratum],
    margin: float,
    alpha: float,
    policy: RolloutPolicy,
    planned: float | None,
    intervals: bool,
) -> _Found:
    # what went badly, whichever way the metric counts
    flipped = rule.direction is Direction.HIGHER
    pairs = [(_bad(each.control, flipped), _bad(each.canary, flipped), each.share) for each in strata]
    score = _guarded([c for c, _, _ in pairs], [t for _, t, _ in pairs], margin, alpha, policy, planned, Support.BINARY)
    events = sum(float(log_e_value_more(_events(c), _events(t), share)) for c, t, share in pairs)
    exact = math.fsum(_log_difference(c, t, margin, policy) for c, t, _ in pairs)
    low, high = score.low, score.high
    if low is None and intervals:
        low, high = (_exact_end(pairs, policy, alpha, side) for side in (-1, 1))
    if flipped and low is not None and high is not None:
        low, high = -high, -low
    return _Found(_average(events, score.log_harmed), _average(exact, score.log_holds), low, high, score.planned)


def _mean(
    rule: MetricRule,
    strata: Sequence[Stratum],
    margin: float,
    alpha: float,
    policy: RolloutPolicy,
    planned: float | None,
) -> _Found:
    negative = any(
        (sketch.buckets < 0).any() for each in strata for sketch in (each.control_values, each.canary_values)
    )
    support = Support.REAL if negative else Support.NON_NEGATIVE
    controls, canaries = [each.control for each in strata], [each.canary for each in strata]
    higher = rule.direction is Direction.HIGHER
    return _guarded(controls, canaries, margin, alpha, policy, planned, support, higher_is_better=higher)


def _empirical(values: Sketch, units: UnitMoments) -> Empirical:
    return Empirical(values.values(), values.counts.astype(float), _worth(units))


def _quantile(
    rule: MetricRule, strata: Sequence[Stratum], margin: float, alpha: float, policy: RolloutPolicy
) -> _Found:
    q, sign = _QUANTILES[rule.statistic], _sign(rule)
    log_harmed = 0.0
    widest: tuple[float, float, float] | None = None
    for each in strata:
        control = Empirical(
            each.control_values.values(), each.control_values.counts.astype(float), _worth(each.control)
        )
        canary = Empirical(each.canary_values.values(), each.canary_values.counts.astype(float), _worth(each.canary))
        look = compare_quantiles(control, canary, q, policy.planned_units, 1 - policy.alpha)
        log_e = math.log(look.e_value)
        # the test looks both ways; a stratum in which the canary is better says nothing of harm
        log_harmed += log_e if (look.treatment - look.control) * sign > 0 else min(0.0, log_e)
        size = min(control.size, canary.size)
        if widest is None or size > widest[0]:
            widest = size, look.low, look.high
    assert widest is not None
    _, low, high = widest
    holds = high < margin if rule.direction is Direction.LOWER else low > -margin
    return _Found(log_harmed, -math.log(policy.alpha) if holds else 0.0, low, high)


def _guarded(
    controls: Sequence[UnitMoments],
    canaries: Sequence[UnitMoments],
    margin: float,
    alpha: float,
    policy: RolloutPolicy,
    planned: float | None,
    support: Support,
    *,
    higher_is_better: bool = False,
) -> _Found:
    """Both one-sided questions: harm against any worsening at all, harmlessness against the margin."""

    def look(size: float, level: float) -> GuardrailResult:
        tuning = Tuning(2 * policy.planned_units, level, support=support)
        # Each look stands alone but for the frozen tuning: proof of harmlessness must be true now, not once.
        state = GuardrailWatch(planned_information=planned)
        return guard(controls, canaries, tuning, Margin(size, False, higher_is_better), state)

    harm = look(0.0, 1 - alpha)
    if harm.reason is not None:
        return _Found(0.0, 0.0, None, None, planned)
    holds = look(margin, 1 - policy.alpha)
    low, high = (harm.low, harm.high) if higher_is_better else (-harm.high, -harm.low)
    return _Found(
        math.log(harm.harmed_e_value) if harm.harmed_e_value else -700.0,
        math.log(holds.holds_e_value) if holds.holds_e_value else -700.0,
        low,
        high,
        harm.state.planned_information,
    )


def _average(one: float, other: float) -> float:
    """Logarithm of the average of two e-values, given by their logarithms; before its burn-in the score's is 1."""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high)) - math.log(2)


def _bad(arm: UnitMoments, flipped: bool) -> UnitMoments:
    """The moments of what went badly: of the failures where the metric counts successes."""
    if not flipped:
        return arm
    return UnitMoments(
        units=arm.units,
        total=arm.count - arm.total,
        count=arm.count,
        covariate=arm.covariate,
        total_total=arm.count_count - 2 * arm.total_count + arm.total_total,
        count_count=arm.count_count,
        covariate_covariate=arm.covariate_covariate,
        total_count=arm.count_count - arm.total_count,
        total_covariate=arm.count_covariate - arm.total_covariate,
        count_covariate=arm.count_covariate,
    )


def _events(bad: UnitMoments) -> int:
    """Units that erred: a unit's second error is no second coin."""
    return round(bad.total * bad.total / bad.total_total) if bad.total_total > 0 else 0


def _worth(arm: UnitMoments) -> float:
    """How many independent values an arm is worth."""
    return arm.count * arm.count / arm.count_count if arm.count_count > 0 else 0.0


def _trials(bad: UnitMoments) -> tuple[float, float]:
    worth = _worth(bad)
    return min(worth, max(0.0, bad.mean * worth)), worth


def _log_difference(control: UnitMoments, canary: UnitMoments, margin: float, policy: RolloutPolicy) -> float:
    if margin >= 1:
        return 0.0
    return log_difference(_trials(control), _trials(canary), margin, policy.planned_units, policy.alpha)


def _exact_end(
    pairs: Sequence[tuple[UnitMoments, UnitMoments, float]], policy: RolloutPolicy, alpha: float, side: int
) -> float:
    """One end of the interval of the difference of bad rates: what the exact test does not reject."""
    controls, canaries = (sum(arm, UnitMoments()) for arm in ([c for c, _, _ in pairs], [t for _, t, _ in pairs]))
    inside, outside = canaries.mean - controls.mean, side * (1 - 1e-9)
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        log_e = math.fsum(
            log_difference(_trials(c), _trials(t), middle, policy.planned_units, alpha) for c, t, _ in pairs
        )
        if log_e > -math.log(alpha):
            outside = middle
        else:
            inside = middle
    return outside


def _sign(rule: MetricRule) -> float:
    return 1.0 if rule.direction is Direction.LOWER else -1.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
