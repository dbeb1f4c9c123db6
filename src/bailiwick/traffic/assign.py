"""Which version serves a unit: a pure function of plan and unit, the same on every machine and in every process.

The hash is xxh3-64 of ``salt:unit``, scaled to the slots by multiplication (no modulo bias). Independent salts give
independent assignments, so two experiments on the same users do not disturb each other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from bailiwick.traffic.model import SLOTS, TrafficPlan

_first = attrgetter("first")


def slot(salt: str, unit: str) -> int:
    """The slot of a unit, 0 to ``SLOTS - 1``, uniform over units.

    >>> slot("s", "user-42") == slot("s", "user-42")
    True
    """
    return slot_of_bytes(salt_bytes(salt), unit_bytes(unit))


def salt_bytes(salt: str) -> bytes:
    """A salt as `slot_of_bytes` takes it."""
    return f"{salt}:".encode("utf-8", "surrogatepass")


def unit_bytes(unit: str) -> bytes:
    """A unit as `slot_of_bytes` takes it."""
    return unit.encode("utf-8", "surrogatepass")


def slot_of_bytes(salt: bytes, unit: bytes) -> int:
    """`slot`, for who encodes salts and units once and asks often.

    >>> slot_of_bytes(salt_bytes("s"), unit_bytes("user-42")) == slot("s", "user-42")
    True
    """
    return (xxh3_64_intdigest(salt + unit) * SLOTS) >> 64


def version_for(plan: TrafficPlan, unit: str) -> str:
    """The version that serves a unit, such as a user, under this plan.

    >>> from bailiwick.traffic.model import SlotRange
    >>> plan = TrafficPlan("cards", 1, "s", (SlotRange(0, SLOTS, "cards-v1"),))
    >>> version_for(plan, "user-42")
    'cards-v1'
    """
    return plan.ranges[0].version if len(plan.ranges) == 1 else version_at(plan, slot(plan.salt, unit))


def version_at(plan: TrafficPlan, place: int) -> str:
    """The version that serves a slot under this plan."""
    return plan.ranges[bisect_right(plan.ranges, place, key=_first) - 1].version


def slots_of(salt: str, units: Sequence[str]) -> NDArray[np.int64]:
    """`slot` of many units, shape ``(len(units),)``."""
    prefix = salt_bytes(salt)
    return np.fromiter(
        ((xxh3_64_intdigest(prefix + unit_bytes(unit)) * SLOTS) >> 64 for unit in units),
        dtype=np.int64,
        count=len(units),
    )


def versions_for(plan: TrafficPlan, units: Sequence[str]) -> NDArray[np.str_]:
    """`version_for` of many units, shape ``(len(units),)``; for replays and reports."""
    starts = np.array([piece.first for piece in plan.ranges])
    names = np.array([piece.version for piece in plan.ranges])
    found: NDArray[np.str_] = names[np.searchsorted(starts, slots_of(plan.salt, units), side="right") - 1]
    return found
