"""Why a query goes where it goes: every stage, with all numbers that had a say in it. Nothing is sent or logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sqlalchemy import Row

from bailiwick.detection.model import Detection, Explanation
from bailiwick.errors import BailiwickError, InvalidInput, NotFound, Unavailable
from bailiwick.routing.choose import DETECTED_CHARACTERS, choose, stand_ins
from bailiwick.routing.decide import draw_of, drawn
from bailiwick.routing.model import AUTO, Decision, Mode, Route, RoutingTable
from bailiwick.routing.runtime import Published, Question, Router
from bailiwick.routing.service import RoutingService
from bailiwick.routing.store import candidates_from
from bailiwick.traffic.model import Scalar
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.who import whereabouts, whereabouts_document


class ExplainingDetector(Protocol):
    """A detector that gives its reasons."""

    def detect(self, text: str) -> Detection:
        """See `DomainDetector`."""
        ...

    def explain(self, text: str) -> Explanation:
        """Why a text is detected as it is."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """What is to be explained.

    Args:
        model: ``auto`` or a domain.
        unit: the user; keeps a version, and keys the draw where no request id is given.
        attributes: headers in lower case, for rules.
        request_id: keys the draw.
    """

    text: str
    model: str = AUTO
    unit: str = "anonymous"
    attributes: Mapping[str, Scalar] | None = None
    operation: str = "chat/completions"
    request_id: str | None = None


class Explainer:
    """Explains queries and past requests.

    Args:
        routing: rules, policies, the log.
        traffic: plans and experiments.
        detector: the newest.
        table: the domains and who can answer.
    """

    def __init__(
        self,
        routing: RoutingService,
        traffic: TrafficService,
        detector: Callable[[], ExplainingDetector | None],
        table: Callable[[], RoutingTable],
    ) -> None:
        self._routing = routing
        self._traffic = traffic
        self._detector = detector
        self._table = table

    def explain(self, asking: Asking) -> dict[str, Any]:
        """Every stage, and who would answer; ``domain`` is None, and ``reason`` says why, where nobody can.

        Raises:
            NotFound: the model is no known domain.
        """
        table, detector = self._table(), self._detector()
        published = self._routing.published()
        route: Route | None = None
        try:
            found = self._route(asking, table, detector, published)
        except (InvalidInput, Unavailable) as error:
            reason = str(error)
        else:
            route, reason = found, found.reason
        if route is not None and route.domain not in table.ready and not list(stand_ins(route.domain, table)):
            reason = f"{route.domain!r} cannot answer now, and it has no fallback that can"
            route = None
        document: dict[str, Any] = {
            **_route(route, reason, table),
            "mode": published.mode.value,
            "policy_revision": published.policy_revision,
        }
        if asking.model == AUTO:
            document["rules"] = self._rules(asking, published)
            document["detection"] = None if detector is None else _detection(detector.explain(_read(asking.text)))
            document["learning"] = self._learning(asking, table, detector, published, route)
        served = None if route is None else self._served(route.domain, asking.unit)
        return {**document, "served": served, "version": served["version"] if served else None}

    def request(self, request_id: str) -> dict[str, Any]:
        """What was decided for a request of the log, and whether a replay of its draw gives the same.

        Raises:
            NotFound: there is none of that id.
        """
        row = self._routing.decision(request_id)
        if row is None:
            raise NotFound(
                f"routing has logged no decision for {request_id!r}",
                what="request",
                requested=request_id,
                remedy="requests to `auto` are logged in mode shadow and on, about a second after their answer",
            )
        return _logged(row)

    def _route(
        self, asking: Asking, table: RoutingTable, detector: ExplainingDetector | None, published: Published
    ) -> Route:
        if asking.model != AUTO or published.idle:
            return choose(asking.model, asking.text, table, detector)
        return Router(published).route(_question(asking), table, detector)

    def _rules(self, asking: Asking, published: Published) -> list[dict[str, Any]]:
        held = published.rules.matches(asking.text, _question(asking).attributes)
        return [{"name": rule.name, "domain": rule.domain, "priority": rule.priority} for rule in held]

    def _learning(
        self,
        asking: Asking,
        table: RoutingTable,
        detector: ExplainingDetector | None,
        published: Published,
        route: Route | None,
    ) -> dict[str, Any] | None:
        """What learning says, or would say in mode ``shadow``."""
        decision = None if route is None else route.decision
        if decision is None:
            shadow = Published(published.revision, Mode.SHADOW, policy=published.policy)
            try:
                decision = Router(shadow).route(_question(asking), table, detector).decision
            except BailiwickError:
                return None
        return None if decision is None or not decision.candidates else _decision(decision)

    def _served(self, domain: str, unit: str) -> dict[str, Any] | None:
        plan = self._traffic.plan(domain)
        if plan is None:
            return None
        found = whereabouts(plan, self._traffic.experiments(domain), self._traffic.holdout(), unit)
        return whereabouts_document(domain, unit, plan.revision, found)


def _route(route: Route | None, reason: str, table: RoutingTable) -> dict[str, Any]:
    return {
        "domain": None if route is None else route.domain,
        "version": None,
        "method": None if route is None else route.method.value,
        "confidence": 0.0 if route is None else route.confidence,
        "reason": reason,
        "alternatives": [] if route is None else [list(pair) for pair in route.alternatives],
        "fallbacks": [] if route is None else [each for each in stand_ins(route.domain, table) if each != route.domain],
    }


def _read(text: str) -> str:
    return text[:DETECTED_CHARACTERS]


def _question(asking: Asking) -> Question:
    given = {name.lower(): value for name, value in (asking.attributes or {}).items()}
    given = {"operation": asking.operation, "user": asking.unit, **given}
    return Question(
        text=asking.text,
        operation=asking.operation,
        request_id=asking.request_id or asking.unit,
        user=asking.unit,
        attributes=given.get,
    )


def _detection(found: Explanation) -> dict[str, Any]:
    document = asdict(found)
    return {
        "domain": found.detection.domain,
        "score": found.detection.score,
        "method": found.detection.method,
        "threshold": found.threshold,
        "familiarity": found.familiarity,
        "reason": found.reason,
        "ranking": [list(pair) for pair in found.detection.ranking],
        "words": document["matches"],
        "by_keywords": [list(pair) for pair in found.keyword_ranking],
        "by_classifier": [list(pair) for pair in found.classifier_ranking],
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "context": decision.context,
        "draw": decision.draw,
        "proposed": decision.proposed,
        "propensity": next(each.probability for each in decision.candidates if each.domain == decision.proposed),
        "acts": decision.mode is Mode.ON,
        "candidates": [asdict(each) for each in decision.candidates],
    }


def _logged(row: Row[Any]) -> dict[str, Any]:
    candidates = candidates_from(row.seen)
    again = drawn(candidates, row.draw).domain if candidates else row.domain
    names = ("request_id", "mode", "method", "domain", "proposed", "propensity", "detected", "context", "draw")
    later = ("revision", "rule", "follow_up", "answered", "version", "status", "latency_ms", "tokens")
    return {
        "at": row.at.isoformat(),
        **{name: getattr(row, name) for name in (*names, *later)},
        "abstained": row.seen["abstained"],
        "ranking": row.seen["ranking"],
        "candidates": [asdict(each) for each in candidates],
        "replayed": again == row.proposed,
        "keyed_by_request": draw_of(row.request_id) == row.draw,
        "feedback": {"metric": row.metric, "value": row.value, "right_domain": row.right_domain},
    }
