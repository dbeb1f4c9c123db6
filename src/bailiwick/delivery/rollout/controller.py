"""Moves rollouts on evidence, while it holds the lease. Level-triggered: each tick looks at what is, not at what was.

So it may be killed at any instant, run beside others, wake up after its lease has passed on, or see its clock jump:
what it decided on is compared with what is there when it writes, and where they differ it writes nothing and looks
again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bailiwick.delivery.rollout import store
from bailiwick.delivery.rollout.decide import decide, watched
from bailiwick.delivery.rollout.model import Action, Decision, Rollout
from bailiwick.delivery.rollout.moves import moved, superseded
from bailiwick.delivery.rollout.reading import EvidenceReader
from bailiwick.delivery.rollout.recording import RolloutRecorder
from bailiwick.errors import BailiwickError, Conflict
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Lease, Leases
from bailiwick.traffic.service import TrafficService

_log = logging.getLogger(__name__)

LEASE = "delivery.rollouts"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tick did with one rollout.

    Args:
        decision: what was decided; None where the rollout was superseded or could not be judged.
        rollout: as it is since then.
        written: whether it got into the database; not where somebody else wrote first.
        problem: why it could not be judged or written.
    """

    rollout: Rollout
    decision: Decision | None
    written: bool
    problem: str | None = None


class RolloutController:
    """One of any number of controllers.

    Args:
        database: with the rollouts.
        leases: of the same database.
        traffic: whose plans move.
        reader: of the evidence.
        recorder: writes the moves.
        refresh: brings the totals up to date; called once per tick. That it fails delays decisions, nothing else.
        ttl_s: of the lease: how long after a controller's death another one takes over, in seconds.
        longest_tick_s: the most that one tick adds to a step's time.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        traffic: TrafficService,
        reader: EvidenceReader,
        recorder: RolloutRecorder,
        refresh: Callable[[], object],
        *,
        ttl_s: float = 10.0,
        longest_tick_s: float = 5.0,
        holder: str | None = None,
    ) -> None:
        self._database = database
        self._leases = leases
        self._traffic = traffic
        self._reader = reader
        self._recorder = recorder
        self._refresh = refresh
        self._ttl_s = ttl_s
        self._longest_tick_s = longest_tick_s
        self._holder = holder or secrets.token_hex(12)

    def tick(self, now: datetime) -> Sequence[Outcome]:
        """Look at every active rollout once; empty without the lease, or without a rollout.

        Args:
            now: by this controller's clock. It may jump: see `watched`.
        """
        with self._database.read() as connection:
            active = store.listed(connection, active=True, limit=10_000)
        if not active:
            return []
        lease = self._leases.acquire(LEASE, self._holder, self._ttl_s)
        if lease is None:
            return []
        try:
            self._refresh()
        except BailiwickError as error:
            _log.warning("rollouts are judged on older totals: %s", error)
        return [self.step(rollout, lease, now) for rollout in active]

    def step(self, rollout: Rollout, lease: Lease, now: datetime) -> Outcome:
        """Judge and move one rollout. Errors of the house end up in the outcome: other rollouts go on.

        Args:
            rollout: as it was read.
            lease: under which it is moved; its epoch is the fence.
            now: by this controller's clock.
        """
        try:
            return self._step(rollout, lease.epoch, now)
        except Conflict as error:
            return Outcome(rollout, None, False, str(error))
        except BailiwickError as error:
            _log.warning("the rollout %s could not be looked at: %s", rollout.id, error)
            return Outcome(rollout, None, False, str(error))

    def _step(self, rollout: Rollout, fence: int, now: datetime) -> Outcome:
        plan = self._traffic.plan(rollout.domain)
        if plan is None or plan.revision != rollout.plan_revision:
            return self._yield(rollout, fence, now)
        freezes = self._recorder.freezes(rollout.domain)
        seen = watched(rollout, now, self._longest_tick_s, freezes)
        evidence, planned = self._reader.look(seen)
        decision = decide(seen, evidence, now, freezes)
        after = replace(moved(seen, decision, now), planned=planned)
        if decision.action is Action.HOLD:
            with self._database.write() as connection:
                written = store.progress(connection, after, fence=fence)
            return Outcome(after, decision, written)
        actor = Actor("controller", reason=decision.reason)
        with self._traffic.changing() as connection:
            after = self._recorder.write(connection, seen, after, decision.action.value, actor, fence=fence)
        return Outcome(after, decision, True)

    def _yield(self, rollout: Rollout, fence: int, now: datetime) -> Outcome:
        """Somebody changed the plan otherwise than through delivery: it is theirs, and the rollout is over."""
        with self._traffic.changing() as connection:
            newest = self._traffic.newest(connection, rollout.domain)
            revision = newest.plan.revision if newest else 0
            stored = store.find(connection, rollout.id)
            if stored is None or stored.row_version != rollout.row_version or stored.plan_revision == revision:
                raise Conflict(f"the rollout {rollout.id!r} has moved meanwhile", what="rollout")
            reason = f"{newest.actor} changed the traffic by hand" if newest else "nothing is deployed any more"
            ended = superseded(stored, reason, now)
            written = self._recorder.end_superseded(connection, stored, ended, revision, fence)
        return Outcome(written, None, True)
