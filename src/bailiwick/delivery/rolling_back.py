"""Taking the newcomer out of service."""

from __future__ import annotations

from bailiwick.delivery.model import DeploymentStatus, Rollback
from bailiwick.delivery.records import DeploymentRecords, present_plan
from bailiwick.delivery.rollback import rollback_target
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor
from bailiwick.traffic.service import TrafficService


class RollingBack:
    """Goes back to an earlier plan. It needs nothing but the database: no gate, no registry, no cache, no metrics."""

    def __init__(self, traffic: TrafficService, records: DeploymentRecords) -> None:
        self._traffic = traffic
        self._records = records

    def rollback(self, domain: str, actor: Actor, expected_revision: int | None) -> Rollback:
        """See `DeliveryService.rollback`."""
        with self._traffic.changing() as connection:
            present = present_plan(self._traffic, connection, domain)
            target = rollback_target(self._traffic.past(connection, domain))
            if target is None:
                raise Conflict(
                    f"{domain!r} served nothing before {', '.join(present.weights)}",
                    what="domain",
                    requested=domain,
                    remedy="deploy another version, or archive the domain",
                )
            plan = self._traffic.restore(
                connection, domain, target.plan.revision, actor=actor, expected_revision=expected_revision
            )
            self._records.settle(
                connection,
                domain,
                present.weights.keys(),
                plan.weights.keys(),
                actor,
                leaving=DeploymentStatus.ROLLED_BACK,
            )
        removed = [version for version in present.weights if version not in plan.weights]
        return Rollback(domain, removed, target.plan.revision, plan)
