"""The choice of the domain that answers a query. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.detection.model import Detection
from bailiwick.errors import InvalidInput, NotFound, Unavailable
from bailiwick.routing.model import AUTO, Route, RouteMethod, RoutingTable
from bailiwick.routing.ports import DomainDetector

DETECTED_CHARACTERS = 8_000
"""Detection reads so much of a query: what it is about shows early, and its time must stay bounded."""

_RULES = frozenset({"keyword", "keywords", "tag", "rule", "manual"})


def choose(model: str, query: str, table: RoutingTable, detector: DomainDetector | None) -> Route:
    """The route of a query: the named domain, else the detected one, else the default.

    A detected domain that cannot answer is stood in for by its fallbacks in turn, then by the default domain.

    Args:
        model: a domain's id, or ``auto``.
        query: what the user asks.
        table: the domains.
        detector: for ``auto``; None where there is none yet.

    Raises:
        NotFound: the model is no known domain.
        InvalidInput: ``auto`` finds no domain and there is no default.
        Unavailable: neither the detected domain nor its fallbacks nor the default can answer now.
    """
    if model != AUTO:
        if model not in table.known:
            raise NotFound(
                f"the model {model!r} does not exist",
                what="model",
                requested=model,
                remedy="GET /v1/models lists the domains; `auto` lets the gateway choose",
            )
        return Route(model, 1.0, RouteMethod.EXPLICIT, reason="the request names the domain")
    if detector is None:
        return _default(table, Detection(None, 0.0, "none", ()), "there is no detector yet")
    return route_detected(detector.detect(query[:DETECTED_CHARACTERS]), table)


def route_detected(detection: Detection, table: RoutingTable) -> Route:
    """The route that follows from a detection; see `choose`."""
    if detection.domain is None:
        return _default(table, detection, "no domain is likely enough")
    for domain in stand_ins(detection.domain, table):
        alternatives = tuple(pair for pair in detection.ranking if pair[0] != domain)
        if domain == detection.domain:
            method = RouteMethod.RULE if detection.method in _RULES else RouteMethod.DETECTED
            reason = f"detected by {detection.method}"
            return Route(domain, detection.score, method, alternatives, reason)
        reason = f"{detection.domain!r} cannot answer now"
        return Route(domain, detection.score, RouteMethod.FALLBACK, alternatives, reason)
    return _default(table, detection, f"{detection.domain!r} and its fallbacks cannot answer now")


def stand_ins(domain: str, table: RoutingTable) -> Iterator[str]:
    """The domain and then its fallbacks, as far as they can answer; each at most once, so a cycle ends.

    >>> ready = frozenset({"a", "c"})
    >>> table = RoutingTable(known=frozenset("abc"), ready=ready, fallbacks={"a": "b", "b": "c", "c": "a"})
    >>> list(stand_ins("a", table)), list(stand_ins("b", table))
    (['a', 'c'], ['c', 'a'])
    """
    seen: set[str] = set()
    current: str | None = domain
    while current is not None and current not in seen:
        seen.add(current)
        if current in table.ready:
            yield current
        current = table.fallbacks.get(current)


def _default(table: RoutingTable, detection: Detection, reason: str) -> Route:
    for domain in stand_ins(table.default, table) if table.default is not None else ():
        alternatives = tuple(pair for pair in detection.ranking if pair[0] != domain)
        return Route(domain, detection.score, RouteMethod.FALLBACK, alternatives, reason)
    if detection.domain is not None or table.default is not None:
        raise Unavailable(
            f"no domain can answer the query: {reason}, and neither can the default domain",
            what="model",
            requested=AUTO,
            allowed=sorted(table.ready)[:50],
            remedy="deploy a version of the domain, or of a default domain",
        )
    raise InvalidInput(
        f"no domain can be chosen for the query: {reason}, and there is no default domain",
        what="model",
        requested=AUTO,
        allowed=sorted(table.ready)[:50],
        remedy="name a domain as the model, or set a default domain",
    )
