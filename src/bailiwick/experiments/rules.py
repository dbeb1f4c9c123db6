"""When the primary metric may decide: scheduled looks, taken once each whoever looks how often. Pure.

``fixed`` has one look, at the planned units: Welch's t. ``group-sequential`` and ``hybrid`` have several, over which
the error is spent (Lan and DeMets, O'Brien-Fleming-like); the hybrid keeps a part of it for a watch that stops damage
at any time. Arms share the error equally (Bonferroni). A look is due when its units have given a value of the primary
metric, is taken at the first analysis after that, and is carried as evidence from then on: nobody can take it again,
and data that come later do not change it.

The error is spent by units, which were planned and which no result can hasten; how two looks depend on each other
follows from their information. The last look spends all that is left: at the planned units or beyond, or earlier when
the time is up. An arm still in its burn-in at a look passes it over, and has its error left at the next.

Sources: Lan and DeMets, Biometrika 70(3), 1983, and Statistics in Medicine 8, 1989 (two clocks); Jennison and Turnbull,
"Group Sequential Methods with Applications to Clinical Trials", 2000, chapters 7 and 11.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from scipy.special import stdtrit

from bailiwick.experiments.effects import Compared
from bailiwick.experiments.evidence import Totals, smallest
from bailiwick.experiments.findings import Carried, Interval, Schedule
from bailiwick.experiments.model import Experiment, Method, Rule
from bailiwick.statistics.closed_testing import closed_mean
from bailiwick.statistics.group_sequential import boundaries
from bailiwick.statistics.hybrid import hybrid_plan

WATCH_SHARE = 0.2
"""Part of a hybrid rule's error that its watch may use; the scheduled looks have the rest."""

_ALIKE = 0.1
"""Information that grew like the units within this is taken to have grown like them: its estimate is no better. Where
it lags behind by as much, the error over five looks is 5.2 % instead of 5 %."""

_LEAST_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the scheduled looks and the watch say of one arm.

    Args:
        interval: of the look that decided, or else of the last one; None before the first.
        decided: a look has shown a difference.
        stopped: the watch has shown damage.
    """

    interval: Interval | None
    decided: bool
    stopped: bool = False


def time_is_up(experiment: Experiment, now: datetime) -> bool:
    """Whether the maximum duration has passed since the start."""
    started = experiment.started_at
    return started is not None and now - started >= timedelta(days=experiment.design.maximum_days)


def rule_on(
    experiment: Experiment,
    totals: Totals,
    compared: Sequence[Compared],
    evidence: Mapping[str, Carried],
    now: datetime,
) -> tuple[Schedule, dict[str, Ruling], dict[str, Carried]]:
    """Take the look that is due, if any, and say what all looks so far have shown.

    Args:
        experiment: whose rule schedules looks.
        totals: say how many units gave a value.
        compared: every treatment on the primary metric, now.
        evidence: of the looks taken before.
        now: of this look; once the time is up the last look is due.

    Returns:
        The schedule after this look, a ruling for every treatment, and what must be carried.
    """
    rule, metric = experiment.design.rule, experiment.design.primary.metric
    looks = rule.scheduled_looks
    units = sum(totals.pooled(metric, arm.name).units for arm in experiment.arms)
    known = {name: state for name, state in evidence.items() if name.startswith("look/")}
    number = due_look(units, experiment.planned_units, looks, over=time_is_up(experiment, now))
    ready = [each for each in compared if each.fixed.known and not each.look.inconclusive]
    carried: dict[str, Carried] = {}
    if number > last_look(known, looks) and ready and experiment.conclusion is None:
        share = 1.0 if number == looks else min(1.0, units / experiment.planned_units)
        carried[f"look/{number}"] = {"units": units, "share": share}
        for each in ready:
            if not _ruling(known, each.arm, looks).decided:  # nothing is spent on what is shown
                carried[f"look/{number}/{each.arm}"] = _look(experiment, each, known, units, share)
    known |= carried
    stopped, watched = _watch(rule, compared, evidence)
    taken = last_look(known, looks)
    schedule = Schedule(
        taken=taken,
        looks=looks,
        units=int(units),
        next_units=None if taken >= looks else look_units(taken + 1, experiment.planned_units, looks),
        at_units=int(known[f"look/{taken}"]["units"] or 0) if taken else None,
    )
    rulings = {}
    for each in compared:
        ruling = _ruling(known, each.arm, looks)
        rulings[each.arm] = Ruling(ruling.interval, ruling.decided, each.arm in stopped)
    return schedule, rulings, {**carried, **watched}


def look_units(number: int, planned: int, looks: int) -> int:
    """Units over all arms at which a look is due.

    >>> [look_units(number, 1_001, 2) for number in (1, 2)]
    [501, 1001]
    """
    return math.ceil(number * planned / looks)


def due_look(units: float, planned: int, looks: int, *, over: bool) -> int:
    """Number of the latest look that is due; 0 before the first. The last one is due when the time is up.

    >>> due_look(2_100, 5_000, 5, over=False), due_look(9_000, 5_000, 5, over=False), due_look(400, 5_000, 5, over=True)
    (2, 5, 5)
    """
    if over:
        return looks
    return max((number for number in range(1, looks + 1) if units >= look_units(number, planned, looks)), default=0)


def last_look(evidence: Mapping[str, Carried], looks: int) -> int:
    """Number of the last look that was taken; 0 before the first."""
    return max((number for number in range(1, looks + 1) if f"look/{number}" in evidence), default=0)


def clock_of(units: Sequence[float], information: Sequence[float]) -> tuple[float, ...]:
    """How far the looks are apart: the information at each as a share of that at the last.

    Where it grew like the units within a tenth, the units stand for it. It never runs backwards: where a few heavy
    users made an estimate less certain, the look counts as just after the one before.

    >>> clock_of([200, 400], [10.0, 19.0])
    (0.5, 1.0)
    >>> clock_of([200, 400], [10.0, 40.0])
    (0.25, 1.0)
    """
    by_units = [each / units[-1] for each in units]
    shares = [each / information[-1] for each in information]
    alike = all(abs(share / unit - 1) <= _ALIKE for share, unit in zip(shares, by_units, strict=True))
    rising: list[float] = []
    for share in by_units if alike else shares:
        rising.append(max(share, rising[-1] + _LEAST_STEP) if rising else max(share, _LEAST_STEP))
    return tuple(each / max(rising[-1], 1.0) for each in rising)


def _look(
    experiment: Experiment, compared: Compared, known: Mapping[str, Carried], units: float, share: float
) -> Carried:
    """One look at one arm: its interval, and what later looks must know of it."""
    rule = experiment.design.rule
    alpha = (1 - rule.level) / (len(experiment.design.arms) - 1)
    if rule.method is Method.FIXED:
        fixed = compared.fixed
        critical = float(stdtrit(fixed.degrees_of_freedom, 1 - alpha / 2))
        return _carried(fixed.difference, fixed.standard_error, critical)
    effect = compared.look.effect
    before = _looks_at(known, compared.arm, rule.looks)
    numbers = [number for number, _ in before]
    clock = clock_of(
        [*(known[f"look/{number}"]["units"] or 0.0 for number in numbers), units],
        [*(look["information"] or 0.0 for _, look in before), effect.standard_error**-2],
    )
    spend = (*(known[f"look/{number}"]["share"] or 0.0 for number in numbers), share)
    return _carried(effect.difference, effect.standard_error, _boundary(clock, spend, alpha, rule.method))


@lru_cache(maxsize=512)
def _boundary(clock: tuple[float, ...], spend_at: tuple[float, ...], alpha: float, method: Method) -> float:
    """In standard errors, of the last of these looks."""
    if method is Method.HYBRID:
        return hybrid_plan(clock, alpha, WATCH_SHARE, spend_at=spend_at).looks.z[-1]
    return boundaries(clock, alpha, spend_at=spend_at).z[-1]


def _carried(difference: float, error: float, critical: float) -> Carried:
    half = critical * error
    return {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "critical": critical,
        "information": error**-2,
    }


def _watch(
    rule: Rule, compared: Sequence[Compared], evidence: Mapping[str, Carried]
) -> tuple[set[str], dict[str, Carried]]:
    """The arms of a hybrid rule that have ever been shown to do damage, by its watch."""
    if rule.method is not Method.HYBRID:
        return set(), {}
    stopped: set[str] = set()
    carried: dict[str, Carried] = {}
    for each, e_value in zip(compared, closed_mean([each.look.e_value for each in compared]), strict=True):
        worse = each.look.effect.difference * each.goal.better.sign < 0
        p = smallest(evidence, f"watch/{each.arm}", 1 / max(1.0, float(e_value)) if worse else 1.0)
        carried[f"watch/{each.arm}"] = {"p": p}
        if p <= WATCH_SHARE * (1 - rule.level):
            stopped.add(each.arm)
    return stopped, carried


def _looks_at(known: Mapping[str, Carried], arm: str, looks: int) -> list[tuple[int, Carried]]:
    names = ((number, f"look/{number}/{arm}") for number in range(1, looks + 1))
    return [(number, known[name]) for number, name in names if name in known]


def _ruling(known: Mapping[str, Carried], arm: str, looks: int) -> Ruling:
    interval = None
    for _, look in _looks_at(known, arm, looks):
        interval = Interval(look["difference"] or 0.0, look["low"] or 0.0, look["high"] or 0.0)
        if interval.low > 0 or interval.high < 0:
            return Ruling(interval, decided=True)
    return Ruling(interval, decided=False)
