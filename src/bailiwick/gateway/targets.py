"""Which versions of which domains are asked for a request, in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bailiwick.backends.model import Operation
from bailiwick.backends.ports import Backend
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.gateway.model import ModelRequest, Served, Snapshot
from bailiwick.routing.choose import choose, stand_ins
from bailiwick.routing.model import AUTO, Route, RouteMethod
from bailiwick.traffic.assign import version_for


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt.

    Args:
        counted: the request counts as traffic of the domain's plan: a pin does not, nor does a version that was
            chosen otherwise than by the plan.
    """

    served: Served
    version: str
    backend: Backend
    route: Route
    counted: bool = True


def targets(request: ModelRequest, snapshot: Snapshot, unit: str) -> Iterator[Target]:
    """The routed domain, then its fallbacks, each with the version that its plan gives to the unit.

    Embeddings of different domains or versions cannot be compared, so they are asked of the named domain alone,
    and of the version with the largest share.

    Raises:
        NotFound, InvalidInput: as `choose`.
        Unavailable: neither the domain nor any of its fallbacks can answer.
    """
    embedding = request.operation is Operation.EMBEDDING
    if embedding and request.model == AUTO:
        raise InvalidInput(
            "embeddings of different domains cannot be compared", what="model", requested=AUTO, remedy="name a domain"
        )
    route = choose(request.model, request.text, snapshot.table, snapshot.detector)
    found = False
    for domain in [route.domain] if embedding else stand_ins(route.domain, snapshot.table):
        served = snapshot.served[domain]
        if not served.backends:
            break
        found = True
        chosen = route if domain == route.domain else _fallback(route, domain)
        version = served.main if embedding or served.plan is None else version_for(served.plan, unit)
        assert version is not None
        yield Target(served, version, served.backends[version], chosen, not embedding or len(served.backends) == 1)
    if not found:
        problem = snapshot.served[route.domain].problem
        raise Unavailable(f"the domain {route.domain!r} cannot answer now: {problem}", what="model")


def _fallback(route: Route, domain: str) -> Route:
    return replace(
        route,
        domain=domain,
        method=RouteMethod.FALLBACK,
        reason=f"{route.domain!r} cannot answer; {domain!r} stands in",
    )
