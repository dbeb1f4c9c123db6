"""Logged decisions of a small world in which one domain answers better, for tests of routing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from bailiwick.detection.model import CLASSIFIER, Detection
from bailiwick.routing.model import Decision, Mode, RoutingTable
from bailiwick.routing.policy import Knobs, Policy
from bailiwick.routing.rewards import Judged
from bailiwick.routing.rules import RuleBook
from bailiwick.routing.runtime import Published, Question, Router

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = frozenset({"cards", "loans", "misc"})
TABLE = RoutingTable(NAMES, NAMES, {}, default="misc")
TIE = (("cards", 0.5), ("loans", 0.45), ("misc", 0.05))
EXPLORING = Knobs(exploration_floor=0.1, margin=1.0, half_life_days=0)
BEGUN = Policy(EXPLORING, {"cards|*": {"cards": (1.0, 0.5)}})
"""One answer was judged: from then on there is something to explore for."""


class Says:
    """A detector that always says the same."""

    def __init__(
        self,
        ranking: tuple[tuple[str, float], ...] = TIE,
        method: str = CLASSIFIER,
        abstains: bool = False,
    ) -> None:
        best = ranking[0] if ranking else ("", 0.0)
        self.detection = Detection(None if abstains else best[0], best[1], method, ranking)

    def detect(self, _text: str) -> Detection:
        return self.detection


def router(mode: Mode = Mode.ON, policy: Policy | None = None) -> Router:
    return Router(Published(1, mode, RuleBook(()), policy or BEGUN, 1))


def decide(made: Router, number: int, says: Says | None = None) -> Decision:
    route = made.route(Question("which fee", "chat/completions", f"r{number}"), TABLE, says or Says())
    assert route.decision is not None
    return route.decision


def world(count: int, means: dict[str, float], *, made: Router | None = None, seed: int = 0) -> list[Judged]:
    """Judged decisions, a minute apart, of domains that earn these means."""
    random = np.random.default_rng(seed)
    used = made or router()
    found = []
    for number in range(count):
        decision = decide(used, number + 1_000_000 * seed)
        found.append(judged(decision, number, float(random.random() < means[decision.domain])))
    return found


def judged(decision: Decision, number: int, value: float) -> Judged:
    return Judged(
        request_id=f"r{number:06}",
        at=START + timedelta(minutes=number),
        domain=decision.domain,
        propensity=decision.propensity,
        features=decision.features,
        candidates=decision.candidates,
        context=decision.context,
        metric="correct",
        value=value,
    )
