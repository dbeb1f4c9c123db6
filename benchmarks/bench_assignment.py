"""Assignment to experiments: buckets and full assignments per second of CPU on one core, beside GrowthBook's SDK.

A full assignment is what a request pays: holdout, layer, targeting on an attribute, split over three arms.
``--peer-python PATH`` names an interpreter with ``growthbook`` (4.0.0) installed, which then does the same work.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bailiwick.traffic.arms import arms_for
from bailiwick.traffic.assign import salt_bytes, slot, slot_of_bytes, slots_of, unit_bytes
from bailiwick.traffic.enter import CompiledDomain, assignments, compile_domain
from bailiwick.traffic.model import SLOTS, Arm, Condition, ExperimentPlan, Holdout, Operator
from bailiwick.traffic.splits import first_split
from benchmarks.records import publish, record

UNITS = [f"user-{number}" for number in range(50_000)]
ROUNDS = 5
CONCURRENT = (1, 10, 100, 1_000)
ATTRIBUTES = {"country": "nl"}.get
PEER = Path(__file__).with_name("growthbook_peer.py")


def domain_of(experiments: int, layers: int = 1) -> CompiledDomain:
    """A domain whose layers are wholly taken by as many experiments, evenly."""
    each = SLOTS * layers // experiments
    plans = []
    for number in range(experiments):
        layer, place = number % layers, number // layers
        name = f"experiment-{number}"
        plans.append(
            ExperimentPlan(
                experiment=name,
                domain="cards",
                layer=f"layer-{layer}",
                slots=((place * each, (place + 1) * each),),
                split=first_split("cards", name, {"a": 5000, "b": 3000, "c": 2000}),
                arms=(Arm("a"), Arm("b"), Arm("c")),
                conditions=(Condition("country", Operator.IN, ("nl", "de", "fr")),),
            )
        )
    return compile_domain(plans, Holdout(slots=500))


def per_second(work: Callable[[], None], units: int) -> float:
    """Units per second of CPU: the median of some rounds."""
    work()
    rates = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        rates.append(units / (time.process_time() - started))
    return statistics.median(rates)


def buckets_from_text() -> None:
    """The public function: salt and unit are texts."""
    for unit in UNITS:
        slot("salt", unit)


def buckets_from_bytes() -> None:
    """What assignment does: both are encoded already."""
    salt = salt_bytes("salt")
    for unit in RAW:
        slot_of_bytes(salt, unit)


def assign_all(domain: CompiledDomain) -> Callable[[], None]:
    """Every unit through every layer of a domain, one at a time, as requests come."""

    def work() -> None:
        for unit in UNITS:
            assignments(domain, ATTRIBUTES, {"user": unit}.get)

    return work


RAW = [unit_bytes(unit) for unit in UNITS]


def records(peer_python: str | None = None) -> list[dict[str, Any]]:
    """The figures, GrowthBook's beside them where an interpreter with it is given."""
    peer = float(subprocess.check_output([peer_python, str(PEER)], text=True)) if peer_python else None
    beside = {"peer": "growthbook 4.0.0 eval_feature", "peer_value": peer} if peer is not None else {}
    n = len(UNITS)
    found = [
        record(
            "bare buckets, encoded", per_second(buckets_from_bytes, n), "1/s", better="higher", goal=1e6, runs=ROUNDS
        ),
        record("bare buckets, texts", per_second(buckets_from_text, n), "1/s", better="higher", goal=1e6, runs=ROUNDS),
        record("bare buckets, batch", per_second(lambda: void(slots_of("salt", UNITS)), n), "1/s", better="higher"),
    ]
    rates = {count: per_second(assign_all(domain_of(count)), n) for count in CONCURRENT}
    for count, rate in rates.items():
        name = f"full assignments, {count:,} experiments in one layer"
        found.append(record(name, rate, "1/s", better="higher", goal=2e5, runs=ROUNDS, **beside))
    flat = rates[CONCURRENT[0]] / rates[CONCURRENT[-1]]
    found.append(record("time at 1,000 experiments over time at 1", flat, "ratio", better="lower", goal=1.25))
    four = per_second(assign_all(domain_of(1_000, layers=4)), n)
    found.append(record("requests, 1,000 experiments in 4 layers", four, "1/s", better="higher", runs=ROUNDS))
    domain = domain_of(1)
    batch = per_second(lambda: void(arms_for(domain, "experiment-0", UNITS)), n)
    return [*found, record("full assignments, batch", batch, "1/s", better="higher", goal=2e5, runs=ROUNDS)]


def void(_value: object) -> None:
    """Drop a value."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="an interpreter that has growthbook")
    publish("assignment", records(parser.parse_args().peer_python))
