"""CPU time of a decision of learning, by the number of domains: detection is not in it."""

from __future__ import annotations

import gc
import time
from statistics import median
from typing import Any

from bailiwick.detection.model import CLASSIFIER, Detection
from bailiwick.routing.model import Mode, RoutingTable
from bailiwick.routing.policy import Algorithm, Knobs, LinearArm, Policy
from bailiwick.routing.rules import Rule, RuleBook
from bailiwick.routing.runtime import Published, Question, Router
from benchmarks.records import record

SIZES = (10, 1_000, 10_000)
_DECISIONS = 5_000
_PASSES = 5


class _Says:
    """A detector that knows its answers beforehand."""

    def __init__(self, detections: list[Detection]) -> None:
        self._detections = detections
        self._next = 0

    def detect(self, _text: str) -> Detection:
        self._next = (self._next + 1) % len(self._detections)
        return self._detections[self._next]


def _policy(names: list[str], algorithm: Algorithm) -> Policy:
    means = {f"{name}|clear|short|chat/completions": {name: (50.0, 0.7), names[0]: (9.0, 0.6)} for name in names}
    identity = tuple(0.05 * (row == column) for row in range(4) for column in range(4))
    linear = {name: {name: LinearArm((0.0, 1.0, 0.0, 0.0), identity)} for name in names}
    return Policy(Knobs(algorithm), means, linear, 50 * len(names))


def decision_us(size: int, algorithm: Algorithm, *, sure: bool = False, rules: int = 0) -> float:
    """CPU microseconds per decision, the median of five passes."""
    names = [f"domain-{number}" for number in range(size)]
    table = RoutingTable(frozenset(names), frozenset(names), {}, names[0])
    scores = (0.98, 0.01, 0.005) if sure else (0.6, 0.3, 0.05)
    detections = [
        Detection(names[n], scores[0], CLASSIFIER, tuple((names[(n + k) % size], scores[k]) for k in range(3)))
        for n in range(0, size, max(1, size // 500))
    ]
    book = RuleBook([Rule(f"rule-{n}", names[0], keywords=(f"word{n}x", f"phrase {n} y")) for n in range(rules)])
    router = Router(Published(1, Mode.ON, book, _policy(names, algorithm), 1))
    questions = [Question("where is my new debit card now", "chat/completions", f"r{n}") for n in range(_DECISIONS)]
    passes = []
    for _ in range(_PASSES):
        says = _Says(detections)
        gc.collect()
        began = time.process_time()
        for question in questions:
            router.route(question, table, says)
        passes.append((time.process_time() - began) / _DECISIONS * 1e6)
    return median(passes)


def records() -> list[dict[str, Any]]:
    """Microseconds by algorithm and number of domains; the largest against the smallest."""
    found = []
    for algorithm in (Algorithm.UCB, Algorithm.THOMPSON, Algorithm.LINUCB):
        smallest = 0.0
        for size in SIZES:
            spent = decision_us(size, algorithm)
            smallest = smallest or spent
            name = f"{algorithm.value}, two candidates, {size:,} domains"
            flat = size != SIZES[0]
            row = record(
                name,
                round(spent, 1),
                "CPU us per decision",
                better="lower",
                goal=round(2 * smallest, 1) if flat else None,
                peer=f"{SIZES[0]} domains" if flat else None,
                peer_value=round(smallest, 1) if flat else None,
                runs=_PASSES,
            )
            found.append({**row, "part": "speed"})
    others = {
        "ucb, one sure candidate, 1,000 domains": decision_us(1_000, Algorithm.UCB, sure=True),
        "ucb, one sure candidate, 1,000 domains, 1,000 rules": decision_us(
            1_000, Algorithm.UCB, sure=True, rules=1_000
        ),
    }
    for name, spent in others.items():
        row = record(name, round(spent, 1), "CPU us per decision", better="lower", runs=_PASSES)
        found.append({**row, "part": "speed"})
    return found
