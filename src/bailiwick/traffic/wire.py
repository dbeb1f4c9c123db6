"""Plans as JSON bytes, for the shared cache."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from bailiwick.errors import InvalidInput
from bailiwick.traffic.experiment_document import experiment_document, parse_experiment
from bailiwick.traffic.model import SLOTS, Comparison, ExperimentPlan, Holdout, Shadow, SlotRange, TrafficPlan
from bailiwick.traffic.shadow import check_shadow


@dataclass(frozen=True, slots=True)
class PublishedPlans:
    """Every plan at one value of the revision counter.

    Args:
        plans: by domain.
        experiments: the running ones, by domain.
    """

    revision: int
    plans: dict[str, TrafficPlan]
    experiments: dict[str, tuple[ExperimentPlan, ...]] = field(default_factory=dict)
    holdout: Holdout = field(default_factory=Holdout)


def dump_plans(published: PublishedPlans) -> bytes:
    """The document that `load_plans` reads."""
    running = [experiment_document(plan) for plans in published.experiments.values() for plan in plans]
    return orjson.dumps(
        {
            "revision": published.revision,
            "plans": [asdict(plan) for plan in published.plans.values()],
            "experiments": running,
            "holdout": asdict(published.holdout),
        }
    )


def load_plans(document: bytes) -> PublishedPlans:
    """Read a published document back, trusting nothing in it.

    Raises:
        InvalidInput: it is not such a document, or a plan in it does not cover every slot exactly once.
    """
    try:
        parsed = orjson.loads(document)
        plans = [_plan(entry) for entry in parsed["plans"]]
        experiments: dict[str, tuple[ExperimentPlan, ...]] = {}
        for entry in parsed.get("experiments", []):
            running = parse_experiment(entry)
            experiments[running.domain] = (*experiments.get(running.domain, ()), running)
        holdout = _holdout(parsed.get("holdout", {}))
        return PublishedPlans(int(parsed["revision"]), {plan.domain: plan for plan in plans}, experiments, holdout)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"the published plans cannot be read: {error!r}", what="plans") from error


def _holdout(entry: Any) -> Holdout:
    holdout = Holdout(str(entry.get("salt", Holdout().salt)), int(entry.get("slots", 0)))
    if not 0 <= holdout.slots < SLOTS:
        raise ValueError(f"a holdout of {holdout.slots} slots")
    return holdout


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
        comparison=_comparison(entry.get("comparison")),
        shadow=_shadow(entry.get("shadow")),
    )


def _shadow(entry: Any) -> Shadow | None:
    return None if entry is None else check_shadow(Shadow(str(entry["version"]), int(entry["share"])))


def _comparison(entry: Any) -> Comparison | None:
    if entry is None:
        return None
    first, end = (int(slot) for slot in entry["control"])
    if not 0 <= first <= end <= SLOTS:
        raise ValueError(f"a control from slot {first} to {end}")
    return Comparison(str(entry["rollout"]), int(entry["epoch"]), str(entry["canary"]), (first, end))
