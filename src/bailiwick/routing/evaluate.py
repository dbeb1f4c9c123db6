"""What a proposed policy would have earned on the decisions that were logged. Pure.

The decisions are cut in two by time. From the earlier part the policy learns, and so does the model of the reward that
the doubly robust estimate needs; on the later part, which neither has seen, the policy is valued. What was not
drawn on its own is left out of the valuation: follow-ups in a conversation, and what shares its draw with one before.

Assumed, and not to be seen in the log: whether an answer is judged does not hang on how good it was beyond what the
decision looked at, and the later decisions are like those to come.

Sources: see `bailiwick.statistics.off_policy`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bailiwick.errors import InvalidInput
from bailiwick.routing.decide import candidates_of, expected_of
from bailiwick.routing.learn import learn
from bailiwick.routing.model import Features, RoutingTable
from bailiwick.routing.observed import independent
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.routing.rewards import FAILED, Judged, bounds_of, reward_of
from bailiwick.statistics.off_policy import (
    Interval,
    Logged,
    PolicyValue,
    doubly_robust,
    inverse_propensity,
    self_normalised,
)

Floats = NDArray[np.float64]

ENOUGH = 30
"""Judged decisions below which nothing is said."""


class Verdict(StrEnum):
    """What the interval of the difference to what was done says."""

    BETTER = "better"
    HARM = "harm"
    NO_DIFFERENCE = "no difference shown"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Difference:
    """Proposed less logged policy, per decision, by paired doubly robust scores."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """What the logs say of a proposed policy.

    Args:
        judged: decisions with a judgement.
        learned_from: the earlier ones.
        valued_on: the later ones, each of a draw of its own.
        logged_value: mean reward of what was done.
        estimates: inverse propensity, self-normalised, doubly robust.
        difference: to what was done; None where nothing can be said.
        explored: share of the valued decisions that had a choice.
        warnings: in words.
        reason: for the verdict, one sentence.
    """

    judged: int
    learned_from: int
    valued_on: int
    logged_value: float
    estimates: tuple[PolicyValue, ...]
    difference: Difference | None
    explored: float
    verdict: Verdict
    reason: str
    warnings: tuple[str, ...] = ()


def evaluate(
    decisions: Sequence[Judged],
    knobs: Knobs,
    table: RoutingTable,
    *,
    feedback_share: float = 1.0,
    learn_share: float = 0.5,
    level: float = 0.95,
) -> PolicyEvaluation:
    """Value the policy that these knobs would have given.

    Args:
        decisions: judged, made in mode ``on``.
        knobs: of the proposed policy.
        table: who can answer.
        feedback_share: of all decisions, how many were judged; low ones are warned of.
        learn_share: of the decisions, in the order of time, that are learned from.
        level: of the intervals.

    Raises:
        InvalidInput: the share to learn from is not within 0 to 0.9.
    """
    if not 0 <= learn_share <= 0.9:
        raise InvalidInput("learn_share must leave decisions to value on", what="learn_share", requested=learn_share)
    fitting = sorted(
        (each for each in decisions if each.metric in (knobs.metric, FAILED) and each.candidates and each.context),
        key=lambda each: (each.at, each.request_id),
    )
    cut = int(len(fitting) * learn_share)
    before = fitting[:cut]
    after = independent(fitting[cut:], before)
    if len(after) < ENOUGH:
        reason = f"{len(after)} judged decisions to value on, {ENOUGH} are needed"
        return PolicyEvaluation(len(fitting), len(before), len(after), math.nan, (), None, 0.0, Verdict.UNKNOWN, reason)
    now = before[-1].at if before else after[0].at
    proposed = learn(before, knobs, now)
    model = learn(
        before,
        Knobs(
            metric=knobs.metric,
            latency_weight=knobs.latency_weight,
            cost_weight=knobs.cost_weight,
            prior_strength=knobs.prior_strength,
            half_life_days=0.0,
        ),
        now,
    )
    return _valued(len(fitting), len(before), after, proposed, model, table, feedback_share, level)


def targets_of(features: Features, policy: Policy, table: RoutingTable) -> dict[str, float]:
    """The probabilities with which a policy would choose."""
    return {each.domain: each.probability for each in candidates_of(features, policy, table)}


def predicted(context: str, domain: str, prior: float, model: Policy) -> float:
    """A model's reward of a domain in a context."""
    return expected_of(context, domain, prior, model)[0]


def _valued(
    judged: int,
    learned_from: int,
    after: Sequence[Judged],
    proposed: Policy,
    model: Policy,
    table: RoutingTable,
    feedback_share: float,
    level: float,
) -> PolicyEvaluation:
    rewards = np.array([reward_of(each, proposed.knobs) for each in after])
    aims = [targets_of(each.features, proposed, table) for each in after]
    targets = np.array([min(1.0, aim.get(each.domain, 0.0)) for each, aim in zip(after, aims, strict=True)])
    logged = Logged.of(rewards, [each.propensity for each in after], targets)
    predictions = np.array([predicted(each.context, each.domain, _prior(each, each.domain), model) for each in after])
    baselines = np.array(
        [
            sum(share * predicted(each.context, domain, _prior(each, domain), model) for domain, share in aim.items())
            for each, aim in zip(after, aims, strict=True)
        ]
    )
    low, high = bounds_of(proposed.knobs)
    estimates = (
        inverse_propensity(logged, interval=Interval.BERNSTEIN, bounds=(low, high), level=level),
        self_normalised(logged, level=level),
        doubly_robust(logged, predictions, baselines, level=level),
    )
    difference = _difference(logged, predictions, baselines, level)
    explored = sum(len(each.candidates) > 1 for each in after) / len(after)
    warnings = _warnings(logged, estimates[2], explored, feedback_share, proposed)
    verdict, reason = _verdict(difference, estimates[2], explored)
    return PolicyEvaluation(
        judged,
        learned_from,
        len(after),
        float(rewards.mean()),
        estimates,
        difference,
        explored,
        verdict,
        reason,
        tuple(warnings),
    )


def _prior(judged: Judged, domain: str) -> float:
    known = next((each.prior for each in judged.candidates if each.domain == domain), None)
    return dict(judged.features.ranking).get(domain, 0.0) if known is None else known


def _difference(logged: Logged, predictions: Floats, baselines: Floats, level: float) -> Difference:
    """Paired: what both policies have in common cancels, so the interval is that of what differs."""
    scores = baselines + logged.weights * (logged.rewards - predictions) - logged.rewards
    mean, error = float(scores.mean()), float(scores.std(ddof=1)) / math.sqrt(len(scores))
    half = NormalDist().inv_cdf(0.5 + level / 2) * error
    return Difference(mean, mean - half, mean + half, level)


def _warnings(
    logged: Logged, found: PolicyValue, explored: float, feedback_share: float, proposed: Policy
) -> list[str]:
    warnings = []
    if found.overlap.reason is not None:
        warnings.append(found.overlap.reason)
    if found.overlap.largest_weight > 50:
        warnings.append(f"one decision counts {found.overlap.largest_weight:.0f} times: raise the exploration floor")
    if feedback_share < 0.2:
        warnings.append(f"only {100 * feedback_share:.0f} % of the decisions were judged: do those speak for the rest?")
    if explored == 0:
        warnings.append("no decision had a choice: the logs hold nothing but what detection does")
    if proposed.knobs.algorithm in (Algorithm.UCB, Algorithm.THOMPSON, Algorithm.LINUCB) and not proposed.decisions:
        warnings.append("the policy had nothing to learn from")
    return warnings


def _verdict(difference: Difference, found: PolicyValue, explored: float) -> tuple[Verdict, str]:
    shown = f"{difference.value:+.4f} per decision, {difference.low:+.4f} to {difference.high:+.4f}"
    if found.inconclusive:
        return Verdict.UNKNOWN, f"the logs do not hold enough of it: {found.overlap.reason}"
    if difference.low > 0:
        return Verdict.BETTER, f"it earns more than what was done: {shown}"
    if difference.high < 0:
        return Verdict.HARM, f"it earns less than what was done: {shown}"
    return Verdict.NO_DIFFERENCE, f"the interval holds zero: {shown}"
