"""The nouns of routing: where a query goes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

AUTO = "auto"
"""The model name that asks for detection."""


class RouteMethod(StrEnum):
    """What decided.

    The client; a rule of this installation; a matched keyword or tag; the learned detector; what was learned from
    feedback; or nothing but the fallback.
    """

    EXPLICIT = "explicit"
    USER_RULE = "user-rule"
    RULE = "rule"
    DETECTED = "detected"
    LEARNED = "learned"
    FALLBACK = "fallback"


class Mode(StrEnum):
    """What learning may do: nothing; decide and log beside what is done; decide."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A domain that a query may go to.

    Args:
        prior: what detection thinks of it, 0 to 1.
        expected: the reward that is expected of it, after what was learned.
        probability: with which it is drawn.
    """

    domain: str
    prior: float
    expected: float
    probability: float


@dataclass(frozen=True, slots=True)
class Features:
    """What a decision may look at, all of it bounded.

    Args:
        detected: the best domain of the ranking; empty where nothing spoke for any domain.
        abstained: detection thought no domain likely enough.
        ranking: domains with their calibrated scores, best first; at most five.
        length: characters of the query.
        operation: such as ``chat/completions``.
    """

    detected: str
    abstained: bool
    ranking: tuple[tuple[str, float], ...]
    length: int
    operation: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of a domain for a request that asked for ``auto``, as it is logged.

    Args:
        method: what decided about ``domain``.
        domain: that is asked.
        propensity: the probability with which ``domain`` was chosen, given the features.
        proposed: what learning would choose; in mode ``on`` the same as ``domain``, unless a rule decided.
        candidates: what learning chose from; empty where a rule decided.
        context: the key under which is learned; empty where nothing is to be learned, since not every candidate might
            be asked for this request.
        draw: uniform number in [0, 1) that chose; from the key alone, so that a decision can be replayed.
        revision: of the policy; 0 before the first.
        rule: the rule's name, where one decided.
        follow_up: a later turn of a conversation that was decided before: not independent of the first.
    """

    method: RouteMethod
    domain: str
    propensity: float
    proposed: str
    features: Features
    candidates: tuple[Candidate, ...]
    context: str
    draw: float
    revision: int
    mode: Mode
    rule: str = ""
    follow_up: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Where a query goes.

    Args:
        domain: that answers.
        confidence: 0 to 1; 1 for an explicit choice; the detector's score otherwise.
        alternatives: other candidates with their scores, best first.
        reason: one sentence for people.
        decision: to be logged; None where rules and learning have no part in it.
    """

    domain: str
    confidence: float
    method: RouteMethod
    alternatives: tuple[tuple[str, float], ...] = ()
    reason: str = ""
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """What routing must know of the domains.

    Args:
        known: every active domain.
        ready: those of them that can answer now.
        fallbacks: domain to the domain that stands in for it.
        default: the domain for queries that belong nowhere.
    """

    known: frozenset[str]
    ready: frozenset[str]
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
