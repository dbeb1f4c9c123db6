"""What learning may do (knobs) and what it has learned (a compiled policy): documents in and out. Pure."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.routing.checks import choice_of, is_name, known_keys, number_of, texts_of, whole_of

MAX_ALTERNATIVES = 4


class Algorithm(StrEnum):
    """How candidates are drawn.

    ``ucb``: the highest upper bound of what the context earned; ``thompson``: by the probability to be best;
    ``linucb``: the highest upper bound of a linear model; ``static``: by weights that are given; ``detection``: the
    best of detection, always.
    """

    UCB = "ucb"
    THOMPSON = "thompson"
    LINUCB = "linucb"
    STATIC = "static"
    DETECTION = "detection"


class Sticky(StrEnum):
    """What keeps its domain: nothing, a conversation, or everything that a user asks in one context."""

    NONE = "none"
    CONVERSATION = "conversation"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Knobs:
    """How learning is done.

    Args:
        algorithm: how candidates are drawn.
        metric: of feedback: the reward before cost and latency, cut to 0 to 1.
        candidates: how many of the ranking's domains are considered at most.
        margin: how far a candidate may be expected to stay behind the best, in reward.
        exploration_floor: smallest probability of each candidate where there are two or more.
        prior_strength: how many answers detection's confidence counts as.
        learning_rate: how many answers one judged answer counts as; 0 learns nothing.
        half_life_days: after which a judged answer counts half; 0: it never fades.
        change_evidence: nats of evidence that what a domain earns has changed, after which what was before is
            forgotten; 0: never looked for.
        latency_weight: reward that a second costs.
        cost_weight: reward that a thousand tokens cost.
        sticky: what keeps its domain.
        confidence_width: multiple of the standard error that an upper bound adds.
        alternatives: domains that may answer for a detected one, such as the same models in another size.
        weights: of the static algorithm: probabilities by detected domain.
    """

    algorithm: Algorithm = Algorithm.UCB
    metric: str = "correct"
    candidates: int = 3
    margin: float = 0.2
    exploration_floor: float = 0.02
    prior_strength: float = 1.0
    learning_rate: float = 1.0
    half_life_days: float = 14.0
    change_evidence: float = 4.0
    latency_weight: float = 0.0
    cost_weight: float = 0.0
    sticky: Sticky = Sticky.CONVERSATION
    confidence_width: float = 1.0
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


_BOUNDS: dict[str, tuple[float, float]] = {
    "candidates": (1, 5),
    "margin": (0, 1),
    "exploration_floor": (0, 0.1),
    "prior_strength": (0.1, 1e6),
    "learning_rate": (0, 100),
    "half_life_days": (0, 3_650),
    "change_evidence": (0, 1e6),
    "latency_weight": (0, 100),
    "cost_weight": (0, 100),
    "confidence_width": (0, 100),
}


@dataclass(frozen=True, slots=True)
class LinearArm:
    """A ridge regression of the reward on four features; see `linear`.

    Args:
        coefficients: of the features.
        inverse: of the design matrix, 16 numbers row by row: the variance of a prediction.
    """

    coefficients: tuple[float, ...]
    inverse: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: knobs and what was learned under them. Immutable; published as a revision.

    Args:
        means: by context, then by domain: judged answers (as they count now) and their mean reward. A context of one
            domain without buckets, ``DOMAIN|*``, stands in for those that were never seen.
        linear: by detected domain, then by domain.
        decisions: judged decisions that it was learned from.
    """

    knobs: Knobs = field(default_factory=Knobs)
    means: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    linear: Mapping[str, Mapping[str, LinearArm]] = field(default_factory=dict)
    decisions: int = 0


def parse_policy_text(text: str, where: str, defaults: Knobs) -> Knobs:
    """Knobs from a TOML document; what it does not say stays as in ``defaults``.

    Raises:
        InvalidInput: it is no TOML, or a field is unknown or out of bounds.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"the policy is not TOML: {error}", what="policy", where=where) from error
    return parse_knobs({**knobs_document(defaults), **document}, where)


def parse_knobs(document: Mapping[str, Any], where: str = "policy") -> Knobs:
    """Knobs from a plain document.

    Raises:
        InvalidInput: a field is unknown or out of bounds.
    """
    known_keys(document, Knobs.__dataclass_fields__, where)
    plain = Knobs()
    numbers = {
        name: number_of(document, name, getattr(plain, name), least, most, where)
        for name, (least, most) in _BOUNDS.items()
    }
    metric = document.get("metric", plain.metric)
    if not isinstance(metric, str) or not 0 < len(metric) <= 200 or not metric.isprintable():
        raise InvalidInput(
            f"metric must be the name of feedback, got {str(metric)[:100]!r}",
            what="metric",
            where=where,
            allowed="1 to 200 printable characters",
        )
    return Knobs(
        **{**numbers, "candidates": whole_of(document, "candidates", plain.candidates, 1, 5, where)},  # type: ignore[arg-type]
        algorithm=Algorithm(choice_of(document, "algorithm", plain.algorithm, list(Algorithm), where)),
        metric=metric,
        sticky=Sticky(choice_of(document, "sticky", plain.sticky, list(Sticky), where)),
        alternatives=_alternatives(document, where),
        weights=_weights(document, where),
    )


def _tables(document: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = document.get(name, {})
    wrong = not isinstance(found, Mapping) or next((key for key in found if not is_name(key)), None)
    if wrong:
        raise InvalidInput(f"{name} must be a table by domain", what=name, where=where)
    return dict(found)


def _alternatives(document: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    found = _tables(document, "alternatives", where)
    read = {domain: texts_of(found, domain, MAX_ALTERNATIVES, f"{where}: alternatives") for domain in found}
    for domain, others in read.items():
        wrong = next((each for each in others if not is_name(each)), None)
        if wrong is not None:
            raise InvalidInput(f"{wrong!r} is no domain's id", what="alternatives", where=f"{where}: {domain}")
    return read


def _weights(document: Mapping[str, Any], where: str) -> dict[str, dict[str, float]]:
    found = _tables(document, "weights", where)
    read: dict[str, dict[str, float]] = {}
    for detected in found:
        shares = _tables(found, detected, f"{where}: weights")
        read[detected] = {each: number_of(shares, each, 0, 0, 1, f"{where}: weights.{detected}") for each in shares}
        total = sum(read[detected].values())
        if abs(total - 1) > 1e-6:
            raise InvalidInput(
                f"the weights of {detected!r} sum to {total:g}",
                what="weights",
                where=where,
                requested=total,
                allowed="shares that sum to 1",
            )
    return read


def knobs_document(knobs: Knobs) -> dict[str, Any]:
    """Knobs for JSON."""
    document = asdict(knobs)
    document["alternatives"] = {domain: list(others) for domain, others in knobs.alternatives.items()}
    return {**document, "algorithm": knobs.algorithm.value, "sticky": knobs.sticky.value}


def policy_document(policy: Policy) -> dict[str, Any]:
    """A policy for JSON; `parse_policy` reads it."""
    return {
        "knobs": knobs_document(policy.knobs),
        "means": {
            context: {domain: [round(count, 6), round(mean, 9)] for domain, (count, mean) in of_context.items()}
            for context, of_context in policy.means.items()
        },
        "linear": {
            detected: {
                domain: {"coefficients": list(arm.coefficients), "inverse": list(arm.inverse)}
                for domain, arm in arms.items()
            }
            for detected, arms in policy.linear.items()
        },
        "decisions": policy.decisions,
    }


def parse_policy(document: Mapping[str, Any]) -> Policy:
    """A policy from what `policy_document` wrote."""
    return Policy(
        parse_knobs(document["knobs"], "stored policy"),
        {
            context: {domain: (float(count), float(mean)) for domain, (count, mean) in of_context.items()}
            for context, of_context in document["means"].items()
        },
        {
            detected: {
                domain: LinearArm(tuple(map(float, arm["coefficients"])), tuple(map(float, arm["inverse"])))
                for domain, arm in arms.items()
            }
            for detected, arms in document["linear"].items()
        },
        int(document["decisions"]),
    )


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 over the document in canonical form."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
