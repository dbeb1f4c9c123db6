"""Plans as JSON bytes, for the shared cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import SLOTS, SlotRange, TrafficPlan


@dataclass(frozen=True, slots=True)
class PublishedPlans:
    """Every plan at one value of the revision counter."""

    revision: int
    plans: dict[str, TrafficPlan]


def dump_plans(revision: int, plans: Iterable[TrafficPlan]) -> bytes:
    """The document that `load_plans` reads."""
    return orjson.dumps({"revision": revision, "plans": [asdict(plan) for plan in plans]})


def load_plans(document: bytes) -> PublishedPlans:
    """Read a published document back, trusting nothing in it.

    Raises:
        InvalidInput: it is not such a document, or a plan in it does not cover every slot exactly once.
    """
    try:
        parsed = orjson.loads(document)
        plans = [_plan(entry) for entry in parsed["plans"]]
        return PublishedPlans(int(parsed["revision"]), {plan.domain: plan for plan in plans})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"the published plans cannot be read: {error!r}", what="plans") from error


def _plan(entry: Any) -> TrafficPlan:
    ranges = tuple(SlotRange(int(r["first"]), int(r["end"]), str(r["version"])) for r in entry["ranges"])
    borders = [0, *(piece.end for piece in ranges)]
    if [piece.first for piece in ranges] != borders[:-1] or borders != sorted(set(borders)) or borders[-1] != SLOTS:
        raise ValueError(f"the ranges of {entry['domain']!r} do not cover the slots")
    return TrafficPlan(
        domain=str(entry["domain"]),
        revision=int(entry["revision"]),
        salt=str(entry["salt"]),
        ranges=ranges,
        algorithm=int(entry["algorithm"]),
    )
