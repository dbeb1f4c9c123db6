"""Whether a design makes sense, before anybody is exposed. Every refusal names the input and the remedy. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set

from bailiwick.errors import InvalidInput
from bailiwick.experiments.model import ExperimentDesign, Kind
from bailiwick.traffic.model import SLOTS, Arm
from bailiwick.traffic.weights import percent

ALWAYS_KNOWN = frozenset({"latency_ms", "failed", "correct"})
"""Metrics that the gateway and its feedback give without being asked."""


def check_design(design: ExperimentDesign, *, versions: Mapping[str, str], metrics: Set[str]) -> None:
    """Refuse a design that cannot work.

    Args:
        design: as parsed.
        versions: the domain of every registered version that an arm names; what is missing here does not exist.
        metrics: that have been seen in the domain, besides `ALWAYS_KNOWN`.

    Raises:
        InvalidInput: naming the part at fault.
    """
    check_arms(design.kind, design.arms)
    check_arm_weights(design.weights, design.arms)
    check_versions(design.arms, design.domain, versions)
    _check_metrics(design, metrics | ALWAYS_KNOWN)
    _check_amounts(design)
    _check_rule(design)


def check_arms(kind: Kind, arms: Sequence[Arm]) -> None:
    """Refuse arms that are too few, share a name, or do not fit the kind.

    Raises:
        InvalidInput: naming the arm.
    """
    repeated = [name for name, count in Counter(arm.name for arm in arms).items() if count > 1]
    if repeated:
        raise InvalidInput(
            f"two arms are named {repeated[0]!r}", what="arms", requested=repeated[0], remedy="name each arm once"
        )
    fewest, most = {Kind.AB: (2, 2), Kind.AA: (2, 100), Kind.MULTIVARIANT: (3, 100), Kind.BANDIT: (2, 100)}[kind]
    if not fewest <= len(arms) <= most:
        raise InvalidInput(
            f"an experiment of kind {kind.value!r} with {len(arms)} arm(s)",
            what="arms",
            requested=len(arms),
            allowed=f"{fewest} arms" if fewest == most else f"{fewest} to {most} arms",
            remedy="two arms are an ab test, three or more a multivariant one",
        )
    control = arms[0]
    if kind is Kind.AA:
        different = [arm.name for arm in arms if not _same(arm, control)]
        if different:
            raise InvalidInput(
                f"the arm {different[0]!r} of an A/A experiment differs from {control.name!r}",
                what=different[0],
                remedy="give every arm the same version and parameters, or make it an ab test",
            )
        return
    equal = [arm.name for arm in arms[1:] if _same(arm, control)]
    if equal:
        raise InvalidInput(
            f"the arm {equal[0]!r} is the same as the control {control.name!r}",
            what=equal[0],
            remedy="give it another version or parameters, or ask for kind aa to check the machinery",
        )


def check_arm_weights(weights: Mapping[str, int], arms: Sequence[Arm]) -> None:
    """Refuse weights that name other arms, leave one without units, or do not sum to 100 %.

    Raises:
        InvalidInput: naming the weight.
    """
    names = [arm.name for arm in arms]
    unknown = sorted(weights.keys() - set(names))
    if unknown:
        raise InvalidInput(
            f"a weight is given to {unknown[0]!r}, which is no arm", what="weights", requested=unknown[0], allowed=names
        )
    for name in names:
        weight = weights.get(name, 0)
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 1:
            raise InvalidInput(
                f"the arm {name!r} has no share",
                what=name,
                requested=str(weight),
                allowed="at least 0.01 %",
                remedy="give it a share, or drop the arm",
            )
    total = sum(weights.values())
    if total != SLOTS:
        raise InvalidInput(
            f"the weights sum to {percent(total)}, not to 100 %",
            what="weights",
            requested={name: weight / 100 for name, weight in weights.items()},
            remedy="give every arm its share of the experiment's units; coverage says how many take part at all",
        )


def check_versions(arms: Sequence[Arm], domain: str, versions: Mapping[str, str]) -> None:
    """Refuse versions that do not exist, or belong to another domain.

    Raises:
        InvalidInput: naming the version.
    """
    for arm in arms:
        if arm.version is None:
            continue
        if arm.version not in versions:
            raise InvalidInput(
                f"the arm {arm.name!r} names {arm.version!r}, which is no registered version",
                what=arm.name,
                requested=arm.version,
                remedy=f"see `bailiwick model list {domain}`",
            )
        if versions[arm.version] != domain:
            raise InvalidInput(
                f"the arm {arm.name!r} names {arm.version!r}, a version of {versions[arm.version]!r}, not {domain!r}",
                what=arm.name,
                requested=arm.version,
                remedy=f"see `bailiwick model list {domain}`",
            )


def _check_metrics(design: ExperimentDesign, known: Set[str]) -> None:
    for metric in design.metrics:
        if metric not in known:
            raise InvalidInput(
                f"the metric {metric!r} was never seen in {design.domain!r}",
                what="metric",
                requested=metric,
                allowed=sorted(known),
                remedy="send it once, as feedback or with `POST /v1/feedback`, before an experiment depends on it",
            )
    repeated = [name for name, count in Counter(goal.metric for goal in design.secondary).items() if count > 1]
    if design.primary.metric in {goal.metric for goal in design.secondary}:
        repeated.append(design.primary.metric)
    guards = Counter(guardrail.name for guardrail in design.guardrails)
    repeated += [name for name, count in guards.items() if count > 1]
    if repeated:
        raise InvalidInput(
            f"the metric {repeated[0]!r} is named twice",
            what="metrics",
            requested=repeated[0],
            remedy="name it once, as primary, as guardrail or as secondary metric",
        )


def _check_amounts(design: ExperimentDesign) -> None:
    amounts = {"minimum_effect": design.minimum_effect.size}
    amounts |= {f"margin of {guardrail.name}": guardrail.margin for guardrail in design.guardrails}
    for name, amount in amounts.items():
        if not (math.isfinite(amount) and amount > 0):
            raise InvalidInput(
                f"the {name} is {amount!r}",
                what=name,
                requested=str(amount),
                allowed="a positive number, or a percentage of the control's value",
                remedy="its direction follows from the metric; give its size",
            )


def _check_rule(design: ExperimentDesign) -> None:
    rule = design.rule
    if not 0.5 <= rule.level <= 0.9999:
        raise InvalidInput(
            f"a level of {rule.level!r}",
            what="level",
            requested=rule.level,
            allowed="0.5 to 0.9999; 0.95 is usual",
            remedy="the level is the confidence, not the error",
        )
    if not 0.5 <= design.power <= 0.999:
        raise InvalidInput(
            f"a power of {design.power!r}", what="power", requested=design.power, allowed="0.5 to 0.999; 0.8 is usual"
        )
    if design.coverage < 1:
        raise InvalidInput("no unit takes part", what="coverage", requested=0, allowed="0.01 % to 100 %")
    if design.kind is Kind.BANDIT and not 1 <= rule.floor * len(design.arms) <= SLOTS:
        raise InvalidInput(
            f"a floor of {percent(rule.floor)} for each of {len(design.arms)} arms",
            what="floor",
            requested=rule.floor / 100,
            allowed=f"above 0, at most {percent(SLOTS // len(design.arms))}",
            remedy="5 % to 10 % keeps the intervals honest",
        )
    if design.kind is Kind.AA and rule.deploy:
        raise InvalidInput("an A/A experiment has no winner to deploy", what="deploy", remedy="leave --deploy out")
    if rule.deploy and design.control.version is None:
        raise InvalidInput(
            "a winner can only be deployed where arms name versions",
            what="deploy",
            remedy="give every arm a version, or leave --deploy out",
        )


def _same(one: Arm, other: Arm) -> bool:
    return one.version == other.version and dict(one.parameters) == dict(other.parameters)
