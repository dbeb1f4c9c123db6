"""Guardrails on a rate whose events are too few for a central limit theorem, such as failures. Pure.

Each epoch is tested by itself, with its part of the error, and what all of them refute together is refuted: pooled over
changing weights, two rates compare Monday's users with Friday's. Values of one unit count for as many independent ones
as they are worth at least, however alike they are: ``(sum of requests)^2 / sum of squared requests``. Exact where every
unit asked once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bailiwick.experiments.evidence import Totals, epoch_share
from bailiwick.experiments.findings import Carried
from bailiwick.experiments.model import Guardrail, Rule
from bailiwick.statistics.bernoulli_sequence import RateComparison, compare_rates, log_difference
from bailiwick.statistics.moments import UnitMoments


def watch_rates(
    totals: Totals, guardrail: Guardrail, arms: tuple[str, str], rule: Rule, planned: float, before: Carried
) -> Carried:
    """P-values, at every look together, of ``harm`` (it is worse by no more than the margin) and ``holds`` (by more).

    Args:
        totals: of all arms.
        guardrail: on a yes-or-no metric, with an absolute margin.
        arms: control and treatment.
        rule: what an epoch must hold before it counts; with more events than that it is left to the other test.
        planned: units of one arm at which the test is sharpest.
        before: what the last look returned.
    """
    smallest = {"harm": before.get("harm") or 1.0, "holds": before.get("holds") or 1.0}
    for number, pair in enumerate(_epochs(totals, guardrail, arms), start=1):
        counted = _counted(*pair, rule)
        if counted is None:
            continue
        limit = -guardrail.better.sign * guardrail.margin
        beyond = ((counted[1][0] / counted[1][1] - counted[0][0] / counted[0][1]) - limit) * -guardrail.better.sign
        evidence = max(0.0, log_difference(*counted, limit, planned, 1 - rule.level)) if abs(limit) < 1 else 0.0
        question = "harm" if beyond > 0 else "holds"
        smallest[question] = min(smallest[question], math.exp(-evidence) / epoch_share(number))
    return smallest


def size_of(
    totals: Totals, guardrail: Guardrail, arms: tuple[str, str], rule: Rule, planned: float
) -> RateComparison | None:
    """By how much the rates differ in the epoch that tells most, to be shown; None where no epoch counts."""
    told = [each for each in (_counted(*pair, rule) for pair in _epochs(totals, guardrail, arms)) if each]
    if not told:
        return None
    control, treatment = max(told, key=lambda each: min(each[0][1], each[1][1]))
    return compare_rates(control, treatment, rule.level, planned)


def _epochs(totals: Totals, guardrail: Guardrail, arms: tuple[str, str]) -> Iterable[tuple[UnitMoments, UnitMoments]]:
    control, treatment = arms
    return zip(totals.of(guardrail.metric, control), totals.of(guardrail.metric, treatment), strict=True)


def _counted(
    ours: UnitMoments, theirs: UnitMoments, rule: Rule
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Events and independent trials; None where an epoch holds too little, or enough for the asymptotic test."""
    trials = effective(ours), effective(theirs)
    events = min(min(arm.total, arm.count - arm.total) for arm in (ours, theirs))
    if min(trials) < rule.burn_in_units or events >= rule.burn_in_events:
        return None
    return (ours.mean * trials[0], trials[0]), (theirs.mean * trials[1], trials[1])


def effective(arm: UnitMoments) -> float:
    """How many independent values those of an arm are worth at least (Kish).

    >>> effective(UnitMoments.of([1.0, 0.0, 5.0], [1.0, 1.0, 8.0]))
    1.5151515151515151
    """
    return arm.count * arm.count / arm.count_count if arm.count_count else 0.0
