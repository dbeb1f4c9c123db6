"""Treatments against the control on one metric: at one look, at every look together, and as a belief. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bailiwick.experiments.evidence import Totals, carried_watch, watch_of
from bailiwick.experiments.findings import ArmEffect, ArmEstimate, Bayes, Carried, Interval, Rank
from bailiwick.experiments.model import Experiment, Goal, Kind
from bailiwick.statistics.bayesian import compare_arms, rank_arms
from bailiwick.statistics.confidence_sequence import SequentialResult, Tuning, compare
from bailiwick.statistics.effect import Effect
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.regression_adjustment import regression_adjusted
from bailiwick.statistics.score import BurnIn
from bailiwick.statistics.stratification import equivalent_moments, post_stratified
from bailiwick.statistics.welch import welch
from bailiwick.traffic.model import SLOTS


@dataclass(frozen=True, slots=True)
class Compared:
    """One arm against the control on one metric, before the multiplicity of arms and metrics is accounted for."""

    arm: str
    goal: Goal
    look: SequentialResult
    fixed: Effect
    variance_saved: float
    bayes: Bayes
    units: int


def compare_goal(
    experiment: Experiment, totals: Totals, goal: Goal, level: float, evidence: Mapping[str, Carried]
) -> tuple[list[Compared], dict[str, Carried]]:
    """Every treatment against the control on one metric, and what the next look must know.

    Args:
        experiment: names the arms.
        totals: of all arms.
        goal: the metric and which way is good.
        level: of each always-valid interval.
        evidence: carried from the last look.
    """
    control = experiment.design.control.name
    found, carried = [], {}
    for arm in treatments(experiment):
        name = f"effect/{goal.metric}/{arm}"
        tuning = tuning_of(experiment, totals, goal.metric, arm, level)
        ours, theirs = totals.of(goal.metric, control), totals.of(goal.metric, arm)
        look = compare(ours, theirs, tuning, watch_of(evidence.get(name)))
        carried[name] = carried_watch(look.state)
        one, other, saved = combined(ours, theirs)
        belief = compare_arms(one, other, level=experiment.design.rule.level, larger_is_better=goal.better.sign > 0)
        found.append(
            Compared(
                arm=arm,
                goal=goal,
                look=look,
                fixed=_at_one_look(experiment, one, other),
                variance_saved=saved,
                bayes=Bayes(
                    belief.probability_better,
                    belief.loss_of_treatment,
                    Interval(belief.difference, belief.low, belief.high),
                ),
                units=int(sum(each.units for each in (*ours, *theirs))),
            )
        )
    return found, carried


def _at_one_look(experiment: Experiment, control: UnitMoments, treatment: UnitMoments) -> Effect:
    """The test of fixed horizon; without interval and p-value for a bandit, whose weights follow what was observed."""
    found = welch(control, treatment, experiment.design.rule.level)
    if experiment.design.kind is not Kind.BANDIT:
        return found
    return replace(
        found, standard_error=math.inf, low=-math.inf, high=math.inf, lift_low=None, lift_high=None, p_value=1.0
    )


def arm_effect(
    compared: Compared, p: float, *, significant: bool, scheduled: Interval | None = None, stopped: bool = False
) -> ArmEffect:
    """The finding, once it is known what the other arms and metrics, and the declared rule, leave of it."""
    fixed, valid = compared.fixed, compared.look.effect
    return ArmEffect(
        metric=compared.goal.metric,
        arm=compared.arm,
        better=compared.goal.better,
        units=compared.units,
        fixed=Interval(fixed.difference, fixed.low, fixed.high),
        always_valid=Interval(valid.difference, valid.low, valid.high),
        relative=_lift(fixed),
        relative_always_valid=_lift(valid),
        p_fixed=fixed.p_value,
        p=p,
        e_value=compared.look.e_value,
        significant=significant,
        variance_saved=compared.variance_saved,
        bayes=compared.bayes,
        scheduled=scheduled,
        stopped=stopped,
    )


def estimates(experiment: Experiment, totals: Totals, metric: str) -> list[ArmEstimate]:
    """Every arm's value with its interval at one look, in the same mix of epochs where that can be."""
    arms = [arm.name for arm in experiment.arms]
    strata = [[totals.of(metric, arm)[epoch] for arm in arms] for epoch in range(totals.epochs)]
    mixed = post_stratified(strata).arms if totals.epochs > 1 else ()
    known = [moments.units >= 2 for moments in mixed]
    found = []
    for index, arm in enumerate(arms):
        pooled = totals.pooled(metric, arm)
        moments = mixed[index] if known and all(known) else pooled
        alone = welch(UnitMoments.of([0.0, 0.0]), moments, experiment.design.rule.level)
        half = (alone.high - alone.low) / 2 if alone.known else math.inf
        value = Interval(moments.mean, moments.mean - half, moments.mean + half)
        found.append(ArmEstimate(arm, metric, int(pooled.units), value))
    return found


def ranking(experiment: Experiment, totals: Totals) -> list[Rank]:
    """The present arms by the primary metric, best first."""
    goal, control = experiment.design.primary, experiment.design.control.name
    arms = present_arms(experiment)
    base = totals.pooled(goal.metric, control)
    standing = []
    for arm in arms:
        if arm == control or base.units < 2:
            standing.append(totals.pooled(goal.metric, arm))
            continue
        # drawn against the control within epochs, so that arms of different epochs can stand in one list
        one, other, _ = combined(totals.of(goal.metric, control), totals.of(goal.metric, arm))
        difference = other.mean - one.mean
        known = math.isfinite(difference) and other.units >= 2
        standing.append(
            equivalent_moments(base.mean + difference, other.standard_error, other.units) if known else UnitMoments()
        )
    ranks = rank_arms(standing, larger_is_better=goal.better.sign > 0)
    order = sorted(range(len(arms)), key=lambda index: (-ranks[index].probability_best, index))
    return [
        Rank(place, arms[index], ranks[index].probability_best, ranks[index].expected_loss)
        for place, index in enumerate(order, start=1)
    ]


def combined(
    control: Sequence[UnitMoments], treatment: Sequence[UnitMoments]
) -> tuple[UnitMoments, UnitMoments, float]:
    """Two arms over their epochs: adjusted for what was known of the units, compared within epochs.

    Returns:
        Moments of the control and of the treatment, and the share of the variance that the covariate took away.
    """
    pairs = [(ours, theirs) for ours, theirs in zip(control, treatment, strict=True) if ours.units and theirs.units]
    if not pairs:
        return UnitMoments(), UnitMoments(), 0.0
    made = [regression_adjusted(pair) for pair in pairs]
    sharpest = max(made, key=lambda each: sum(arm.units for arm in each.arms))
    saved = max(0.0, min(sharpest.variance_reduction))
    if len(made) == 1:
        return made[0].arms[0], made[0].arms[1], saved
    ours, theirs = post_stratified([each.arms for each in made]).arms
    return ours, theirs, saved


def tuning_of(experiment: Experiment, totals: Totals, metric: str, arm: str, level: float) -> Tuning:
    """What was fixed before the first look: the pair's share of the planned units, and the burn-in."""
    rule, control = experiment.design.rule, experiment.design.control.name
    first = next(epoch for epoch in experiment.epochs if arm in epoch.weights)
    share = (first.weights[control] + first.weights[arm]) / SLOTS
    return Tuning(
        planned_units=max(1.0, experiment.planned_units * share),
        level=level,
        support=totals.support(metric, [control, arm]),
        burn_in=BurnIn(rule.burn_in_units, rule.burn_in_events),
    )


def treatments(experiment: Experiment) -> list[str]:
    """Every arm that ever took part but the control."""
    return [arm.name for arm in experiment.arms[1:]]


def present_arms(experiment: Experiment) -> list[str]:
    """The arms that take part now, control first."""
    epoch = experiment.present
    return [arm.name for arm in (epoch.arms if epoch else experiment.design.arms)]


def _lift(effect: Effect) -> Interval:
    low = -math.inf if effect.lift_low is None else effect.lift_low
    high = math.inf if effect.lift_high is None else effect.lift_high
    return Interval(math.nan if effect.lift is None else effect.lift, low, high)
