"""New shares for versions that were deployed before. A freeze forbids all but to lessen the newest one's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.freezing import broken_freeze
from bailiwick.delivery.model import Deployment, DeploymentStatus
from bailiwick.delivery.policies import GatePolicies
from bailiwick.delivery.records import DeploymentRecords, present_plan
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor
from bailiwick.traffic.model import SLOTS, TrafficPlan
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import check_weights, share_weights

_SHIFTABLE = {DeploymentStatus.DEPLOYED, DeploymentStatus.PROMOTED, DeploymentStatus.REPLACED}

_Weights = Callable[[Connection, TrafficPlan], Mapping[str, int]]


class Shifting:
    """Moves traffic between versions, each time in one transaction with what becomes of their deployments."""

    def __init__(
        self, traffic: TrafficService, records: DeploymentRecords, policies: GatePolicies, clock: Clock
    ) -> None:
        self._traffic = traffic
        self._records = records
        self._policies = policies
        self._clock = clock

    def shift(
        self, domain: str, weights: Mapping[str, int], actor: Actor, expected_revision: int | None, break_glass: bool
    ) -> TrafficPlan:
        """See `DeliveryService.shift`."""
        wanted = check_weights(weights)

        def new_weights(connection: Connection, present: TrafficPlan) -> Mapping[str, int]:
            _require_deployed(connection, domain, wanted.keys() - present.weights.keys())
            return wanted

        return self._change(domain, new_weights, actor, expected_revision, break_glass)

    def share(
        self, domain: str, share: int, actor: Actor, expected_revision: int | None, break_glass: bool
    ) -> TrafficPlan:
        """See `DeliveryService.share`."""

        def new_weights(connection: Connection, present: TrafficPlan) -> Mapping[str, int]:
            newest = _latest_in_service(present, store.latest_by_version(connection, domain))
            return share_weights(present.weights, newest, share)

        return self._change(domain, new_weights, actor, expected_revision, break_glass)

    def promote(
        self, domain: str, version: str | None, actor: Actor, expected_revision: int | None, break_glass: bool
    ) -> TrafficPlan:
        """See `DeliveryService.promote`."""
        winner: list[Deployment] = []

        def new_weights(connection: Connection, present: TrafficPlan) -> Mapping[str, int]:
            latest = store.latest_by_version(connection, domain)
            chosen = version or _latest_in_service(present, latest)
            _require_in_part(present, chosen)
            winner.extend([latest[chosen]] if chosen in latest else [])
            return {chosen: SLOTS}

        def crown(connection: Connection) -> None:
            for won in winner:
                self._records.set_status(connection, won, DeploymentStatus.PROMOTED, actor)

        return self._change(
            domain, new_weights, actor, expected_revision, break_glass, action="traffic.promote", then=crown
        )

    def _change(
        self,
        domain: str,
        new_weights: _Weights,
        actor: Actor,
        expected_revision: int | None,
        break_glass: bool,
        *,
        action: str = "traffic.shift",
        then: Callable[[Connection], None] = lambda _: None,
    ) -> TrafficPlan:
        with self._traffic.changing() as connection:
            present = present_plan(self._traffic, connection, domain)
            weights = new_weights(connection, present)
            latest = store.latest_by_version(connection, domain)
            if not _only_lessens(present, weights, _latest_in_service(present, latest)):
                self._respect_freeze(connection, domain, actor, break_glass)
            plan = self._traffic.change(
                connection, domain, weights, actor=actor, expected_revision=expected_revision, action=action
            )
            self._records.settle(connection, domain, present.weights.keys(), plan.weights.keys(), actor)
            then(connection)
        return plan

    def _respect_freeze(self, connection: Connection, domain: str, actor: Actor, break_glass: bool) -> None:
        policy = self._policies.seen_by(connection, domain).policy
        broken = broken_freeze(policy.windows, domain, self._clock.now(), actor, break_glass=break_glass)
        self._records.note_broken_freeze(connection, actor, domain, broken)


def _only_lessens(present: TrafficPlan, weights: Mapping[str, int], newest: str) -> bool:
    """Whether nobody comes in and the newest version gets no more than it has: a step back, allowed at any time."""
    before = present.weights
    if len(before) == 1 or weights.keys() - before.keys():
        return dict(weights) == before
    return weights.get(newest, 0) <= before[newest]


def _require_in_part(present: TrafficPlan, version: str) -> None:
    if version not in present.weights:
        raise Conflict(
            f"{version!r} is not in service in {present.domain!r}",
            what="version",
            requested=version,
            allowed=list(present.weights),
            remedy="deploy it first",
        )
    if present.weights[version] == SLOTS:
        raise Conflict(f"{version!r} already serves all of {present.domain!r}", what="version", requested=version)


def _require_deployed(connection: Connection, domain: str, versions: set[str]) -> None:
    """Traffic goes only to what has passed the gates or was forced past them."""
    latest = store.latest_by_version(connection, domain)
    for version in sorted(versions):
        if version not in latest or latest[version].status not in _SHIFTABLE:
            state = "was rolled back from" if version in latest else "is not deployed in"
            raise Conflict(
                f"{version!r} {state} {domain!r}",
                what="version",
                requested=version,
                remedy=f"pass it through the gates with `bailiwick deploy {version} --share 1%`",
            )


def _latest_in_service(plan: TrafficPlan, latest: Mapping[str, Deployment]) -> str:
    """The version that was deployed last, of those that serve; ``latest`` is in the order of deployment."""
    serving = [version for version in latest if version in plan.weights]
    return serving[-1] if serving else next(reversed(plan.weights))
