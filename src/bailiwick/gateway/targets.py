"""Which versions of which domains are asked for a request, in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bailiwick.backends.model import Operation
from bailiwick.backends.ports import Backend
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.gateway.deciding import routed
from bailiwick.gateway.model import ModelRequest, Served, Snapshot
from bailiwick.gateway.participants import Participant
from bailiwick.metrics.exposures import Exposure
from bailiwick.routing.choose import stand_ins
from bailiwick.routing.model import AUTO, Route, RouteMethod
from bailiwick.traffic.assign import slot, version_at
from bailiwick.traffic.comparison import arm_of
from bailiwick.traffic.enter import assignments
from bailiwick.traffic.model import Assignment, Scalar, TrafficPlan


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt.

    Args:
        counted: the request counts as traffic of the domain's plan: a pin does not, nor does a version that was
            chosen otherwise than by the plan or by chance, such as a tester's.
        assigned: the arms that the request got.
        compared: the arm of the domain's rollout that the request is in, if in any.
    """

    served: Served
    version: str
    backend: Backend
    route: Route
    counted: bool = True
    assigned: tuple[Assignment, ...] = ()
    compared: Exposure | None = None

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """What the experiments and the rollout count of the request."""
        if not self.counted:
            return ()
        compared = () if self.compared is None else (self.compared,)
        return (*map(exposure_of, self.assigned), *compared)

    @property
    def arm(self) -> str:
        """The experiment or rollout and its arm that chose the version, else nothing."""
        if self.compared is not None:
            return f"{self.compared.experiment}={self.compared.arm}"
        return next((f"{each.experiment}={each.arm.name}" for each in self.assigned if each.arm.version), "")

    @property
    def parameters(self) -> dict[str, Scalar]:
        """What the arms set; no two of them set the same."""
        return {name: value for each in self.assigned for name, value in each.arm.parameters.items()}


def exposure_of(assignment: Assignment) -> Exposure:
    """What is counted of an assignment."""
    return Exposure(
        assignment.experiment, assignment.epoch, assignment.arm.name, assignment.unit, assignment.propensity
    )


def targets(
    request: ModelRequest, snapshot: Snapshot, unit: str, participant: Participant | None = None
) -> Iterator[Target]:
    """The routed domain, then its fallbacks, each with the version that its experiments or its plan give to the unit.

    Embeddings of different domains or versions cannot be compared, so they are asked of the named domain alone,
    and of the version with the largest share; they take part in no experiment.

    Args:
        request: what is asked.
        snapshot: what is served.
        unit: whom the plan's version stays the same for.
        participant: who may take part in experiments; None: nobody.

    Raises:
        NotFound, InvalidInput: as `choose`.
        Unavailable: neither the domain nor any of its fallbacks can answer.
    """
    embedding = request.operation is Operation.EMBEDDING
    if embedding and request.model == AUTO:
        raise InvalidInput(
            "embeddings of different domains cannot be compared", what="model", requested=AUTO, remedy="name a domain"
        )
    route = routed(request, snapshot, unit, participant)
    found = False
    for domain in [route.domain] if embedding else stand_ins(route.domain, snapshot.table):
        served = snapshot.served[domain]
        if not served.backends:
            break
        found = True
        chosen = route if domain == route.domain else _fallback(route, domain)
        if embedding:
            assert served.main is not None
            yield Target(served, served.main, served.backends[served.main], chosen, len(served.backends) == 1)
        else:
            yield _chosen(served, chosen, unit, participant)
    if not found:
        problem = snapshot.served[route.domain].problem
        raise Unavailable(f"the domain {route.domain!r} cannot answer now: {problem}", what="model")


def _chosen(served: Served, route: Route, unit: str, participant: Participant | None) -> Target:
    assigned: tuple[Assignment, ...] = ()
    if participant is not None and served.experiments.by_unit:
        assigned = assignments(served.experiments, participant.attribute, participant.unit)
    version = next((each.arm.version for each in assigned if each.arm.version), None)
    counted = all(each.counted for each in assigned)
    if version is not None:
        return Target(served, version, served.arm_backends[version], route, counted, assigned)
    if served.plan is None:
        assert served.main is not None
        return Target(served, served.main, served.backends[served.main], route, counted, assigned)
    place = 0 if len(served.plan.ranges) == 1 else slot(served.plan.salt, unit)
    version = version_at(served.plan, place)
    compared = None if served.plan.comparison is None else _compared(served.plan, place, version, unit)
    return Target(served, version, served.backends[version], route, counted, assigned, compared)


def _compared(plan: TrafficPlan, place: int, version: str, unit: str) -> Exposure | None:
    found = arm_of(plan, place, version)
    if found is None or plan.comparison is None:
        return None
    return Exposure(plan.comparison.rollout, plan.comparison.epoch, found[0], unit, found[1])


def _fallback(route: Route, domain: str) -> Route:
    return replace(
        route,
        domain=domain,
        method=RouteMethod.FALLBACK,
        reason=f"{route.domain!r} cannot answer; {domain!r} stands in",
    )
