"""The nouns of traffic: a plan that says which share of a domain's users each model version serves, and its past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SLOTS = 10_000
"""Slots a plan divides: one slot is one basis point of the units."""

ALGORITHM = 1
"""Version of the assignment: ``slot = (xxh3_64(salt + ":" + unit) * SLOTS) >> 64``."""


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots ``first`` (included) to ``end`` (excluded) go to a version."""

    first: int
    end: int
    version: str


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """Which version serves which slot of a domain. Ranges are sorted, disjoint, and cover every slot.

    Args:
        revision: grows by one with each change; a gateway applies a plan only if its revision is newer.
        salt: fixed for the plan's life, so that a unit keeps its slot.
    """

    domain: str
    revision: int
    salt: str
    ranges: tuple[SlotRange, ...]
    algorithm: int = ALGORITHM

    @property
    def weights(self) -> dict[str, int]:
        """Basis points of each version that serves, in the order of the slots; they sum to `SLOTS`."""
        found: dict[str, int] = {}
        for piece in self.ranges:
            found[piece.version] = found.get(piece.version, 0) + piece.end - piece.first
        return found


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """One revision of a plan in its history: in force from ``at`` until the next revision.

    Args:
        change: the audit action that made it, such as ``traffic.shift``.
        restores: the earlier revision whose ranges this one brought back; None for a plan of its own.
    """

    plan: TrafficPlan
    at: datetime
    actor: str
    change: str
    reason: str | None = None
    restores: int | None = None
