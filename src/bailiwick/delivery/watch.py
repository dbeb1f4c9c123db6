"""Looks after young deployments, and takes back what has made things worse."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bailiwick.delivery import store
from bailiwick.delivery.degradation import Finding, Observed, degraded
from bailiwick.delivery.live import Live
from bailiwick.delivery.looking import BASELINE_KEPT, MARKED, Grounds, Looked, is_due
from bailiwick.delivery.model import Deployment, RollbackEvent
from bailiwick.delivery.policies import GatePolicies
from bailiwick.delivery.policy import LONGEST_GUARD_S, GatePolicy
from bailiwick.delivery.rolling_back import SERVING, RollingBack, may_take_back
from bailiwick.errors import BailiwickError, NotFound
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database
from bailiwick.traffic.model import PlanRecord
from bailiwick.traffic.service import TrafficService

_log = logging.getLogger(__name__)

WATCHER = "watch"
_NEVER = timedelta(0)


class DegradationWatch:
    """Compares every young deployment with what served before it, or serves beside it.

    Any process may watch at any time: the rollback itself checks, in its unit, that the deployment still is what serves
    newest, so two watchers take it back once.

    Args:
        database: of the deployments.
        traffic: the plans, with their history.
        policies: of this environment.
        live: live numbers.
        rolling_back: takes a deployment back.
        governed: domains that somebody else looks after, such as a canary rollout; they are left alone.
    """

    def __init__(
        self,
        database: Database,
        traffic: TrafficService,
        policies: GatePolicies,
        live: Live,
        rolling_back: RollingBack,
        governed: Callable[[str], bool],
    ) -> None:
        self._database = database
        self._traffic = traffic
        self._policies = policies
        self._live = live
        self._rolling_back = rolling_back
        self._governed = governed
        self._looked: dict[str, Looked] = {}
        self._before: dict[str, _Before] = {}

    def watch(self, now: datetime) -> list[RollbackEvent]:
        """Look at every deployment that is younger than its guard window, if anything is new; what was taken back."""
        with self._database.read() as connection:
            young = store.serving_since(connection, now - timedelta(seconds=LONGEST_GUARD_S), SERVING)
        self._forget_all_but({deployment.id for deployment in young})
        happened = []
        for deployment in young:
            try:
                event = self._look(deployment, now)
            except BailiwickError as error:  # of one domain; the others are looked at all the same
                _log.warning("cannot look after %s: %s", deployment.id, error)
            else:
                happened += [event] if event else []
        return happened

    def judge(self, deployment: Deployment, now: datetime) -> tuple[Finding, ...]:
        """What speaks for taking a deployment back now, changing nothing; nothing once its guard window is over."""
        return self._judge(deployment, self._policies.current(deployment.domain).policy, now)[0]

    def _look(self, deployment: Deployment, now: datetime) -> RollbackEvent | None:
        try:
            record = self._policies.current(deployment.domain)
        except NotFound:  # the domain is gone; so is what it served
            return None
        grounds = Grounds(deployment.id, record.revision, self._traffic.revision())
        if not record.policy.automatic_rollback or not self._is_due(deployment, grounds, now):
            return None
        if self._governed(deployment.domain):
            return None
        since = now - MARKED
        mark = self._live.mark(deployment.domain, since)  # before the look, so that nothing falls in between
        findings, samples = self._judge(deployment, record.policy, now)
        if not findings:
            self._looked[deployment.id] = Looked(now, grounds, since, mark, samples)
            return None
        actor = Actor(WATCHER, reason=findings[0].reason)
        return self._rolling_back.take_back(deployment, findings[0], actor).event

    def _is_due(self, deployment: Deployment, grounds: Grounds, now: datetime) -> bool:
        known = self._looked.pop(deployment.id, None)  # until it was looked at without a finding
        if known is None or is_due(known, now, grounds, self._live.mark(deployment.domain, known.marked_since)):
            return True
        self._looked[deployment.id] = known
        return False

    def _judge(self, deployment: Deployment, policy: GatePolicy, now: datetime) -> tuple[tuple[Finding, ...], int]:
        """The findings, and on how many requests and opinions they rest."""
        past = self._traffic.history(deployment.domain, limit=_LONGEST_HISTORY)
        begun = _begun(past, deployment)
        previous = deployment.previous
        if begun is None or previous is None or not may_take_back(past, deployment.version):
            return (), 0
        guard = timedelta(seconds=policy.guard_s)
        if not _NEVER <= now - begun <= guard:
            return (), 0
        until = now + timedelta(seconds=1)  # what was observed at this very instant counts
        current = self._live.observed(deployment.domain, deployment.version, begun, until)
        before = self._observed_before(deployment, previous, begun - guard, begun, now)
        beside = Observed()
        if previous in past[0].plan.weights:
            beside = self._live.observed(deployment.domain, previous, begun, until)
        found = degraded(best_baseline(beside, before, policy.rollback_samples), current, policy.tolerances)
        return found, current.failed.trials + current.correct.trials

    def _observed_before(
        self, deployment: Deployment, version: str, since: datetime, until: datetime, now: datetime
    ) -> Observed:
        """What happened before a deployment, which changes no more, but for what comes late."""
        kept = self._before.get(deployment.id)
        span = (version, since, until)
        if kept is None or kept.span != span or not _NEVER <= now - kept.at < BASELINE_KEPT:
            kept = _Before(span, now, self._live.observed(deployment.domain, version, since, until))
            self._before[deployment.id] = kept
        return kept.observed

    def _forget_all_but(self, young: Set[str]) -> None:
        for known in (self._looked, self._before):
            for id in known.keys() - young:
                del known[id]


@dataclass(frozen=True, slots=True)
class _Before:
    """What a version showed over a span (version, from, to), as read at an instant."""

    span: tuple[str, datetime, datetime]
    at: datetime
    observed: Observed


_LONGEST_HISTORY = 1_000


def best_baseline(beside: Observed, before: Observed, samples: int) -> Observed:
    """What to compare with: what happened beside it where that is enough, else what happened before.

    Beside is fairer: it saw the same day. Each metric chooses for itself.

    >>> from bailiwick.delivery.degradation import Rate
    >>> best_baseline(Observed(failed=Rate(1, 60)), Observed(failed=Rate(9, 900)), 50).failed.trials
    60
    """
    chosen = beside
    if beside.correct.trials < samples and before.correct.trials > beside.correct.trials:
        chosen = replace(chosen, correct=before.correct)
    if beside.failed.trials < samples and before.failed.trials > beside.failed.trials:
        chosen = replace(chosen, failed=before.failed)
    if beside.latencies < samples and before.latencies > beside.latencies and not math.isnan(before.latency_p95_ms):
        chosen = replace(chosen, latencies=before.latencies, latency_p95_ms=before.latency_p95_ms)
    return chosen


def _begun(past: Sequence[PlanRecord], deployment: Deployment) -> datetime | None:
    """When the plan of a deployment came into force."""
    return next((record.at for record in past if record.plan.revision == deployment.plan_revision), None)
