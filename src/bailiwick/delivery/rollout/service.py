"""What people do with rollouts: start, stop, hurry, slow down, take back. The controller does the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery.people import require_another
from bailiwick.delivery.rollout import store
from bailiwick.delivery.rollout.decide import barred, harm, step_after, unproven
from bailiwick.delivery.rollout.model import (
    Evidence,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Step,
    Transition,
)
from bailiwick.delivery.rollout.moves import aborted, at_weight, paused, resumed
from bailiwick.delivery.rollout.policy import default_policy
from bailiwick.delivery.rollout.reading import EvidenceReader
from bailiwick.delivery.rollout.recording import RolloutRecorder
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
from bailiwick.delivery.rollout.starting import Started, Starting
from bailiwick.delivery.service import DeliveryService
from bailiwick.errors import Conflict, GateFailed, InvalidInput, NotFound, PolicyDenied
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import percent


class RolloutService:
    """The rollouts of every domain. Each change is one transaction with its plan, transition and audit entry.

    Every change takes ``expected``: the row version that the caller decided on; None: whatever is there.

    Args:
        database: with the rollouts.
        clock: for the instants.
        traffic: the plans.
        delivery: whose gates let a version in.
        reader: of the evidence.
        recorder: writes the moves.
        units_per_s: new units of a domain per second, lately; 0 where nothing is known.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        traffic: TrafficService,
        delivery: DeliveryService,
        reader: EvidenceReader,
        recorder: RolloutRecorder,
        units_per_s: Callable[[str], float] = lambda domain: 0.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._traffic = traffic
        self._reader = reader
        self._recorder = recorder
        self._starting = Starting(clock, traffic, delivery, recorder, units_per_s)

    def start(
        self,
        domain: str,
        version: str,
        *,
        actor: Actor,
        steps: Sequence[Step] = DEFAULT_STEPS,
        policy: RolloutPolicy | None = None,
        adapt: bool = True,
        force: bool = False,
        break_glass: bool = False,
        expected_revision: int | None = None,
    ) -> Started:
        """Let a version in as a canary beside the one that serves, if the gates allow it.

        Args:
            domain: that the version belongs to; one version must serve all of it now.
            version: the canary.
            actor: who starts it; forcing needs the reason.
            steps: rising weights, the last one 100 %.
            policy: how it is judged; by default `default_policy`.
            adapt: make the first step large enough for its sample within its dwell, see `start_weight`.
            force: although a gate does not pass. Whoever must agree is asked all the same.
            break_glass: although a freeze of the domain or of ``policy`` holds now; needs the reason.
            expected_revision: of the plan that the caller decided on; None: whatever is in force.

        Returns:
            The recorded deployment and the rollout; without one where the deployment is held, or waits for approval:
            once people have agreed, start it again.

        Raises:
            NotFound: the domain or version does not exist, or nothing serves the domain.
            InvalidInput: the schedule or the policy does not fit, its blast radius allows no proof, or it is forced
                without a reason.
            Conflict: a rollout is active in the domain, several versions share it, the version serves it already, its
                artefact is damaged, the plan has changed since ``expected_revision``, or the gate policy meanwhile.
            PolicyDenied: a freeze of the domain or of ``policy`` holds now.
        """
        return self._starting.start(
            domain,
            version,
            steps,
            policy or default_policy(),
            actor,
            adapt=adapt,
            force=force,
            break_glass=break_glass,
            expected_revision=expected_revision,
        )

    def pause(self, id: str, *, actor: Actor, expected: int | None = None) -> Rollout:
        """Hold a rollout where it is. Evidence of harm still takes it back.

        Raises:
            NotFound: there is no such rollout.
            Conflict: it is over, paused already, or not at ``expected``.
        """
        reason = actor.reason or f"paused by {actor.name}"
        with self._moving(id, expected) as (connection, rollout):
            return self._recorder.write(connection, rollout, paused(rollout, reason), "pause", actor)

    def resume(self, id: str, *, actor: Actor, expected: int | None = None) -> Rollout:
        """Let a paused rollout go on.

        Raises:
            NotFound: there is no such rollout.
            Conflict: it is over, not paused, or not at ``expected``.
        """
        reason = actor.reason or f"resumed by {actor.name}"
        with self._moving(id, expected) as (connection, rollout):
            return self._recorder.write(connection, rollout, resumed(rollout, reason), "resume", actor)

    def abort(self, id: str, *, actor: Actor, expected: int | None = None) -> Rollout:
        """Take the canary out, in any state that is not final. It asks no gate, no evidence, no approval, no freeze.

        Raises:
            NotFound: there is no such rollout.
            Conflict: it is over, not at ``expected``, or the plan was changed by hand meanwhile.
        """
        # whoever takes back at night has no time to find words
        said = actor if (actor.reason or "").strip() else replace(actor, reason=f"taken back by hand, by {actor.name}")
        with self._moving(id, expected) as (connection, rollout):
            after = aborted(rollout, str(said.reason), self._clock.now())
            return self._recorder.write(connection, rollout, after, "abort", said)

    def promote(
        self, id: str, *, actor: Actor, full: bool = False, force: bool = False, expected: int | None = None
    ) -> Rollout:
        """Move on to the next step, or to all but the hold-back, before the dwell is over; from guarding: finish.

        Args:
            id: of the rollout.
            actor: who does it; forcing needs the reason.
            full: skip the steps between.
            force: without evidence, in a freeze, or without the approval. Never against evidence of harm.
            expected: row version.

        Raises:
            NotFound: there is no such rollout.
            GateFailed: the evidence does not allow it.
            PolicyDenied: a freeze, or a missing approval.
            Conflict: it is over, or not at ``expected``.
            InvalidInput: it is forced without a reason.
        """
        rollout = self.get(id)
        if rollout.present is None:
            return self._raise_to(id, SLOTS, "finish", actor, force=force, expected=expected)
        weight = max(rollout.weight, SLOTS - rollout.policy.hold_back) if full else step_after(rollout)[1]
        # what was read decides the weight, so it must still be so when it is written
        return self._raise_to(
            id, weight, "advance", actor, force=force, expected=rollout.row_version if expected is None else expected
        )

    def set_weight(
        self, id: str, weight: int, *, actor: Actor, force: bool = False, expected: int | None = None
    ) -> Rollout:
        """Give the canary another weight. Less is free; more needs the same evidence as the next step.

        Args:
            id: of the rollout.
            weight: basis points, 1 to `SLOTS` less the hold-back.
            actor: who does it; forcing needs the reason.
            force: as for `promote`.
            expected: row version.

        Raises:
            NotFound: there is no such rollout.
            InvalidInput: the weight is out of bounds, or it is forced without a reason.
            GateFailed: the evidence does not allow more.
            PolicyDenied: a freeze, or a missing approval.
            Conflict: it is over, not at ``expected``, or has this weight already.
        """
        rollout = self.get(id)
        most = SLOTS - rollout.policy.hold_back
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= most:
            raise InvalidInput(
                f"a weight of {weight!r} basis points",
                what="weight",
                requested=str(weight),
                allowed=f"1 to {most}",
                remedy="abort the rollout to take the canary out altogether",
            )
        if weight > rollout.weight:
            return self._raise_to(id, weight, "weight", actor, force=force, expected=expected)
        with self._moving(id, expected) as (connection, stored):
            if weight == stored.weight:
                raise Conflict(f"the canary has {percent(weight)} already", what="weight", requested=percent(weight))
            if weight > stored.weight:
                raise Conflict("the canary has got less meanwhile", what="weight", remedy="look at it again")
            after = replace(at_weight(stored, weight), reason=actor.reason or f"set by {actor.name}")
            return self._recorder.write(connection, stored, after, "weight", actor)

    def approve(self, id: str, *, actor: Actor, expected: int | None = None) -> Rollout:
        """Let the present step be left, where its schedule asks for approval.

        Raises:
            NotFound: there is no such rollout.
            PolicyDenied: who started a rollout cannot approve it, by whichever face they come, nor can nobody.
            Conflict: it is over, guards already, asks for no approval, or is not at ``expected``.
        """
        with self._moving(id, expected) as (connection, rollout):
            step = rollout.present
            if step is None or not step.approval or rollout.approved_step >= rollout.step:
                raise Conflict(
                    f"the rollout {id!r} does not wait for approval at {percent(rollout.weight)}",
                    what="rollout",
                    requested=id,
                )
            require_another(actor.name, [rollout.started_by], rollout.id)
            after = replace(rollout, approved_step=rollout.step, reason=f"approved by {actor.name}")
            return self._recorder.write(connection, rollout, after, "approve", actor)

    def get(self, id: str) -> Rollout:
        """The rollout of that id, or the active one, else the latest, of the domain of that id.

        Raises:
            NotFound: there is neither.
        """
        with self._database.read() as connection:
            found = store.find(connection, id) or store.active_of(connection, id)
            if found is None:
                found = next(iter(store.listed(connection, id, limit=1)), None)
        if found is None:
            raise NotFound(
                f"{id!r} is neither a rollout nor a domain that has one",
                what="rollout",
                requested=id,
                remedy="see `bailiwick rollout list`",
            )
        return found

    def list(self, domain: str | None = None, *, active: bool = False, limit: int = 100) -> Sequence[Rollout]:
        """Rollouts of a domain or of all, the newest first."""
        with self._database.read() as connection:
            return store.listed(connection, domain, active=active, limit=limit)

    def transitions(self, id: str) -> Sequence[Transition]:
        """Every move of a rollout, the first one first."""
        with self._database.read() as connection:
            return store.transitions(connection, id)

    def evidence(self, id: str) -> Evidence:
        """What the numbers say now, with the intervals; of a rollout that is over: what they said at its end."""
        rollout = self.get(id)
        return rollout.evidence if rollout.state.is_final else self._reader.look(rollout, intervals=True)[0]

    @contextmanager
    def _moving(self, id: str, expected: int | None) -> Iterator[tuple[Connection, Rollout]]:
        """A unit in which nobody else moves plans, with the rollout as it is there."""
        known = self.get(id).id
        with self._traffic.changing() as connection:
            rollout = store.find(connection, known)
            assert rollout is not None
            if rollout.state.is_final:
                raise Conflict(
                    f"the rollout {known!r} is over: {rollout.state.value}, {rollout.reason}",
                    what="rollout",
                    requested=known,
                    remedy=f"to take out what serves now: `bailiwick rollback {rollout.domain}`",
                )
            if expected is not None and rollout.row_version != expected:
                raise Conflict(
                    f"the rollout {known!r} is at version {rollout.row_version}, not {expected}",
                    what="version",
                    requested=expected,
                    allowed=rollout.row_version,
                    remedy="look at it as it is now, and decide again",
                )
            yield connection, rollout

    def _raise_to(
        self, id: str, weight: int, action: str, actor: Actor, *, force: bool, expected: int | None
    ) -> Rollout:
        """Give the canary more, on evidence or by force."""
        if force and not (actor.reason or "").strip():
            raise InvalidInput("forcing a rollout needs a reason", what="reason", remedy="say why with --reason")
        rollout = self.get(id)
        evidence, planned = self._reader.look(rollout, intervals=True)
        self._require(rollout, evidence, self._clock.now(), force=force)
        with self._moving(id, rollout.row_version if expected is None else expected) as (connection, stored):
            seen = replace(stored, evidence=evidence, planned=planned)
            if weight == SLOTS:
                after = replace(seen, state=RolloutState.SUCCEEDED, weight=SLOTS, ended_at=self._clock.now())
            else:
                after = at_weight(seen, weight)
            after = replace(after, reason=actor.reason or f"promoted by {actor.name}")
            return self._recorder.write(connection, stored, after, action, actor, forced=force)

    def _require(self, rollout: Rollout, evidence: Evidence, now: datetime, *, force: bool) -> None:
        harmful = harm(evidence)
        if harmful is not None:
            raise GateFailed(
                f"the canary is harmful: {harmful}", what="evidence", remedy="abort the rollout; nothing overrides this"
            )
        if force:
            return
        bar = barred(rollout, now, self._recorder.freezes(rollout.domain))
        if bar is not None:
            raise PolicyDenied(
                f"the rollout {rollout.id!r} may not go on: {bar}",
                what="rollout",
                remedy="wait, approve it, or break the glass with --force --reason ...",
            )
        lacking = unproven(rollout, evidence)
        if lacking is not None:
            raise GateFailed(
                f"the evidence does not allow more: {lacking}",
                what="evidence",
                remedy="wait for more traffic, or use --force --reason ...",
            )
