"""The nouns of routing: where a query goes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

AUTO = "auto"
"""The model name that asks for detection."""


class RouteMethod(StrEnum):
    """What decided: the client, a matched keyword or tag, the learned detector, or nothing but the fallback."""

    EXPLICIT = "explicit"
    RULE = "rule"
    DETECTED = "detected"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a query goes.

    Args:
        domain: that answers.
        confidence: 0 to 1; 1 for an explicit choice; the detector's score otherwise.
        alternatives: other candidates with their scores, best first.
        reason: one sentence for people.
    """

    domain: str
    confidence: float
    method: RouteMethod
    alternatives: tuple[tuple[str, float], ...] = ()
    reason: str = ""


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
