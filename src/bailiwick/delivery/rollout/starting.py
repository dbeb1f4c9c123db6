"""Begins rollouts: the gates are asked, the plan must be free, and the first step is made large enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery.model import Deployment, DeploymentStatus
from bailiwick.delivery.rollout import store
from bailiwick.delivery.rollout.blast_radius import require_provable
from bailiwick.delivery.rollout.decide import step_at
from bailiwick.delivery.rollout.model import Rollout, RolloutPolicy, RolloutState, Step
from bailiwick.delivery.rollout.policy import check_policy
from bailiwick.delivery.rollout.recording import RolloutRecorder
from bailiwick.delivery.rollout.schedule import check_steps, start_weight
from bailiwick.delivery.service import DeliveryService
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor
from bailiwick.storage.ids import new_id
from bailiwick.traffic.model import SLOTS, TrafficPlan
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import percent


@dataclass(frozen=True, slots=True)
class Started:
    """What became of an attempt to start a rollout.

    Args:
        deployment: as it was recorded, with what the gates say; ``held`` where one does not pass,
            ``waiting`` where people must agree first.
        rollout: None where the deployment is held or waits.
    """

    deployment: Deployment
    rollout: Rollout | None


class Starting:
    """Starts rollouts.

    Args:
        clock: for the instants.
        traffic: the plans.
        delivery: whose gates let a version in.
        recorder: writes the first move.
        units_per_s: new units of a domain per second, lately; 0 where nothing is known.
    """

    def __init__(
        self,
        clock: Clock,
        traffic: TrafficService,
        delivery: DeliveryService,
        recorder: RolloutRecorder,
        units_per_s: Callable[[str], float],
    ) -> None:
        self._clock = clock
        self._traffic = traffic
        self._delivery = delivery
        self._recorder = recorder
        self._units_per_s = units_per_s

    def start(
        self,
        domain: str,
        version: str,
        steps: Sequence[Step],
        policy: RolloutPolicy,
        actor: Actor,
        *,
        adapt: bool,
        force: bool,
        break_glass: bool,
        expected_revision: int | None,
    ) -> Started:
        """See `RolloutService.start`."""
        checked, judged = check_steps(steps), check_policy(policy)
        require_provable(checked, judged)
        if force and not (actor.reason or "").strip():
            raise InvalidInput("forcing a rollout needs a reason", what="reason", remedy="say why with --reason")
        verdict = self._delivery.judge(domain, version)
        if verdict.passed or force:
            self._delivery.require_servable(domain, verdict.version)
        if adapt:
            checked = start_weight(checked, self._units_per_s(domain))
        with self._traffic.changing() as connection:
            plan = self._free_plan(connection, domain, version, expected_revision)
            weight = min(checked[0].weight, SLOTS - judged.hold_back)
            made = self._delivery.for_rollouts.admit(
                connection,
                verdict,
                weight,
                plan.weights,
                plan.revision + 1,
                actor,
                force=force,
                break_glass=break_glass,
                freezes=judged.freezes,
            )
            if made.status is not DeploymentStatus.DEPLOYED:
                return Started(made, None)
            return self._begin(connection, plan, made, checked, judged, actor)

    def _free_plan(
        self, connection: Connection, domain: str, version: str, expected_revision: int | None
    ) -> TrafficPlan:
        """The plan in force, where a rollout may begin on it."""
        active = store.active_of(connection, domain)
        if active is not None:
            raise Conflict(
                f"{domain!r} is busy: {active.version!r} is being rolled out there",
                what="domain",
                requested=domain,
                remedy=f"wait for it, or take it back with `bailiwick rollout abort {domain}`",
            )
        newest = self._traffic.newest(connection, domain)
        if newest is None:
            raise NotFound(
                f"nothing serves {domain!r} that a canary could be compared with",
                what="domain",
                requested=domain,
                remedy=f"deploy its first version with `bailiwick deploy {domain}`",
            )
        plan = newest.plan
        if expected_revision is not None and expected_revision != plan.revision:
            raise Conflict(
                f"the traffic plan of {domain!r} is at revision {plan.revision}, not {expected_revision}",
                what="revision",
                requested=expected_revision,
                allowed=plan.revision,
            )
        if version in plan.weights or len(plan.weights) > 1:
            raise Conflict(
                f"{version!r} cannot be tried: {domain!r} is served by "
                + ", ".join(f"{name} ({percent(weight)})" for name, weight in plan.weights.items()),
                what="domain",
                requested=domain,
                remedy=f"promote one version with `bailiwick traffic promote {domain} VERSION`, and try another"
                if len(plan.weights) > 1
                else "name another version",
            )
        return plan

    def _begin(
        self,
        connection: Connection,
        plan: TrafficPlan,
        made: Deployment,
        steps: tuple[Step, ...],
        policy: RolloutPolicy,
        actor: Actor,
    ) -> Started:
        now, step = self._clock.now(), step_at(steps, policy.hold_back, made.share)
        rollout = Rollout(
            id=new_id("rollout", now),
            domain=plan.domain,
            version=made.version,
            baseline=next(iter(plan.weights)),
            steps=steps,
            policy=policy,
            state=RolloutState.GUARDING if step == len(steps) else RolloutState.RUNNING,
            step=step,
            weight=made.share,
            seen_s=0.0,
            ticked_at=now,
            approved_step=-1,
            row_version=1,
            fence=0,
            plan_revision=plan.revision,
            base_revision=plan.revision,
            deployment=made.id,
            started_at=now,
            started_by=actor.name,
            reason=actor.reason or f"started by {actor.name}",
        )
        return Started(made, self._recorder.begin(connection, rollout, actor, forced=made.forced))
