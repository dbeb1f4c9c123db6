"""Routing as it is published and learned: rules, mode and policies as revisions, the log of decisions, the learner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, GateFailed, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.metrics.judgements import Judgements
from bailiwick.routing import store
from bailiwick.routing.analytics import RoutingAnalytics, by_domain, confusion
from bailiwick.routing.drift import drift_of
from bailiwick.routing.evaluate import PolicyEvaluation, Verdict, evaluate
from bailiwick.routing.learn import learn
from bailiwick.routing.logged import LoggedDecision
from bailiwick.routing.model import Mode, RoutingTable
from bailiwick.routing.observed import balanced
from bailiwick.routing.policy import (
    Knobs,
    Policy,
    digest_of,
    knobs_document,
    parse_policy,
    policy_document,
)
from bailiwick.routing.revisions import Learned, Revision
from bailiwick.routing.rewards import Judged
from bailiwick.routing.rules import Rule, RuleBook, parse_rules, rule_document
from bailiwick.routing.runtime import Published
from bailiwick.storage.database import Database

DOMAIN_METRIC = "domain"
"""Feedback of this metric says in its label which domain would have been right."""

LEARNER = Actor("router")
_BATCH = 1_000
_MOST = 30_000  # two CPU seconds for a step of the learner
_MOST_ANALYSED = 50_000
_OVERLAP = timedelta(minutes=10)
_log = logging.getLogger(__name__)


class RoutingService:
    """Publishes rules, mode and policies; learns from feedback.

    Args:
        database: the main database.
        audit: every change is recorded there.
        clock: the time.
        judgements: feedback.
        knobs: of learning, until a policy is applied by hand.
        mode: until it is set.
        table: the domains and who of them can answer.
        kept: how long decisions are kept.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        judgements: Judgements,
        *,
        knobs: Knobs,
        mode: Mode,
        table: Callable[[], RoutingTable],
        kept: timedelta = timedelta(days=30),
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._judgements = judgements
        self._knobs = knobs
        self._mode = mode
        self._table = table
        self._kept = kept

    # What is published

    def revision(self) -> int:
        """The counter that moves with every change."""
        with self._database.read() as connection:
            return store.newest_revision(connection)

    def published(self) -> Published:
        """What is in force."""
        with self._database.read() as connection:
            policy_revision, policy = self._policy(connection)
            return Published(
                store.newest_revision(connection),
                self._mode_in(connection),
                RuleBook(self._rules(connection)),
                policy,
                policy_revision,
            )

    def history(self, limit: int = 100) -> Sequence[Revision]:
        """Changes, newest first."""
        with self._database.read() as connection:
            return [
                Revision(row.revision, row.kind, row.at, row.actor, row.reason, row.digest)
                for row in store.history(connection, limit)
            ]

    def body(self, revision: int) -> tuple[Revision, Mapping[str, Any]]:
        """A revision with its document.

        Raises:
            NotFound: there is none of that number.
        """
        with self._database.read() as connection:
            row = store.one(connection, revision)
        if row is None:
            raise NotFound(f"routing has no revision {revision}", what="revision", requested=revision)
        return Revision(row.revision, row.kind, row.at, row.actor, row.reason, row.digest), row.body

    def set_mode(self, mode: Mode, actor: Actor) -> int:
        """Turn learning off, to shadow, or on.

        Returns:
            the revision.
        """
        with self._database.write() as connection:
            before = self._mode_in(connection)
            return self._append(connection, store.MODE, {"mode": mode.value}, actor, {"mode": before.value})

    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        with self._database.read() as connection:
            return self._rules(connection)

    def set_rules(self, rules: Sequence[Rule], actor: Actor) -> int:
        """Put these rules in the place of all others.

        Raises:
            InvalidInput: a rule names an unknown domain, or is malformed.

        Returns:
            the revision.
        """
        known = self._table().known
        checked = parse_rules([rule_document(rule) for rule in rules])
        strange = next((rule for rule in checked if rule.domain not in known), None)
        if strange is not None:
            raise InvalidInput(
                f"the rule {strange.name!r} sends queries to {strange.domain!r}, which is no active domain",
                what="domain",
                requested=strange.domain,
                allowed=sorted(known)[:50],
                remedy="bailiwick domain list",
            )
        with self._database.write() as connection:
            before = [rule_document(rule) for rule in self._rules(connection)]
            body = {"rules": [rule_document(rule) for rule in checked]}
            return self._append(connection, store.RULES, body, actor, {"rules": before})

    # Decisions

    def write(self, decisions: Sequence[LoggedDecision]) -> None:
        """Log decisions; for `DecisionLog`."""
        with self._database.write(durable=False) as connection:
            store.write_decisions(self._database, connection, decisions)

    def decision(self, request_id: str) -> Row[Any] | None:
        """What was decided for a request; None where it is not in the log."""
        with self._database.read() as connection:
            return store.decision(connection, request_id)

    def analytics(self, since: datetime, until: datetime) -> RoutingAnalytics:
        """What routing did in a span; the span of the same length before it is the reference of drift.

        Raises:
            InvalidInput: ``since`` is not before ``until``, or there is no calendar for the span before it.
        """
        try:
            since, until = since.astimezone(UTC), until.astimezone(UTC)
            before = since - max(until - since, timedelta(0))
        except OverflowError as error:
            raise InvalidInput("the span reaches beyond the calendar", what="since", where=str(since)) from error
        if since >= until:
            raise InvalidInput(f"since ({since.isoformat()}) is not before until ({until.isoformat()})", what="since")
        with self._database.read() as connection:
            knobs = self._policy(connection)[1].knobs
            entries = store.entries(connection, since, until, _MOST_ANALYSED)
            reference = store.counts_by_detected(connection, before, since)
            current = store.counts_by_detected(connection, since, until)
        return RoutingAnalytics(
            since,
            until,
            len(entries),
            by_domain(entries, knobs),
            confusion(entries),
            drift_of(reference, current),
            truncated=len(entries) >= _MOST_ANALYSED,
        )

    # Learning

    def judged(self, mode: Mode | None = Mode.ON) -> list[Judged]:
        """The judged decisions that are learned from: the newest 30,000, oldest first; failures as `balanced`."""
        since = self._clock.now() - self._kept
        with self._database.read() as connection:
            found = store.judged(connection, mode, since, _MOST)
            share = store.judged_share(connection, mode, found[0].at if found else since)
        return balanced(found, share)

    def propose(self, knobs: Knobs | None = None) -> Policy:
        """What the learner would publish now, under these knobs or those in force."""
        return self._learned(self.judged(None), knobs or self.knobs())

    def knobs(self) -> Knobs:
        """The knobs in force: those of the policy that was applied by hand, else of the settings."""
        with self._database.read() as connection:
            return self._policy(connection)[1].knobs

    def evaluate(self, knobs: Knobs, *, learn_share: float = 0.5, level: float = 0.95) -> PolicyEvaluation:
        """Value a policy on the log; see `evaluate.evaluate`.

        Raises:
            InvalidInput: the share is out of bounds, or the policy names an unknown domain.
        """
        self._check_domains(knobs)
        found = self.judged()
        share = self._feedback_share(found)
        return evaluate(found, knobs, self._table(), feedback_share=share, learn_share=learn_share, level=level)

    def apply(self, knobs: Knobs, actor: Actor, *, force: bool = False) -> tuple[int, PolicyEvaluation]:
        """Publish the policy that these knobs give; from then on the learner goes on with them.

        Args:
            knobs: of the policy.
            actor: who, and why.
            force: although the logs show harm; needs a reason.

        Returns:
            the revision, and what the logs say.

        Raises:
            GateFailed: the interval of the difference lies below zero.
            InvalidInput: forced without a reason, or a domain is unknown.
        """
        if force and not actor.reason:
            raise InvalidInput("forcing a policy needs a reason", what="reason", remedy="say why with --reason")
        found = self.evaluate(knobs)
        if found.verdict is Verdict.HARM and not force:
            raise GateFailed(
                f"the logs show harm: {found.reason}",
                what="policy",
                remedy="change the policy, or force it and give a reason",
            )
        policy = self.propose(knobs)
        with self._database.write() as connection:
            revision = self._publish(connection, policy, actor, verdict=found.verdict.value, forced=force)
        return revision, found

    def step(self) -> Learned:
        """Take new feedback in; where it is news, publish what follows from it. For one process of many.

        In mode ``off`` nothing is published. A policy that the logs show to do harm is withheld.
        """
        judgements = self._take_in()
        with self._database.write(durable=False) as connection:
            store.purge(connection, self._clock.now() - self._kept)
        with self._database.read() as connection:
            present, mode = self._policy(connection)[1], self._mode_in(connection)
        if not judgements or mode is Mode.OFF:
            return Learned(judgements)
        known = self.judged(None)
        policy = self._learned(known, present.knobs)
        if policy_document(policy) == policy_document(present):
            return Learned(judgements)
        explored = [each for each in known if each.mode is Mode.ON]
        found = evaluate(explored, policy.knobs, self._table(), feedback_share=self._feedback_share(explored))
        if found.verdict is Verdict.HARM:
            _log.warning("a policy is withheld, the logs show harm: %s", found.reason)
            return Learned(judgements, withheld=found.reason)
        with self._database.write() as connection:
            revision = self._publish(connection, policy, LEARNER, verdict=found.verdict.value)
        return Learned(judgements, revision)

    def _learned(self, judged: Sequence[Judged], knobs: Knobs) -> Policy:
        return learn(judged, knobs, self._clock.now())

    def _feedback_share(self, judged: Sequence[Judged]) -> float:
        """How many of the decisions since the oldest of these were judged."""
        since = judged[0].at if judged else self._clock.now() - self._kept
        with self._database.read() as connection:
            decided = store.count(connection, Mode.ON, since)
        return min(1.0, len(judged) / decided) if decided else 0.0

    def _take_in(self) -> int:
        """Write feedback to the decisions that it is about; how many judgements are news."""
        with self._database.read() as connection:
            until = store.judged_until(connection)
        instant = self._clock.now() - self._kept if until is None else until - _OVERLAP
        after = ("", "")
        taken = 0
        knobs, known = self.knobs(), self._table().known
        while batch := self._judgements.since(instant, after, (knobs.metric, DOMAIN_METRIC), _BATCH):
            with self._database.write(durable=False) as connection:
                for each in batch:
                    if each.metric == DOMAIN_METRIC and each.label in known:
                        found = store.judge_domain(connection, each.request_id, knobs.metric, each.label, each.at)
                    elif each.value is not None and each.metric == knobs.metric:
                        found = store.judge(connection, each.request_id, each.metric, each.value, each.at)
                    else:
                        continue
                    taken += found and (until is None or each.at > until)
            instant, after = batch[-1].at, (batch[-1].request_id, batch[-1].metric)
        return taken

    # Below

    def _mode_in(self, connection: Connection) -> Mode:
        row = store.newest(connection, store.MODE)
        return self._mode if row is None else Mode(row.body["mode"])

    def _rules(self, connection: Connection) -> tuple[Rule, ...]:
        row = store.newest(connection, store.RULES)
        return () if row is None else parse_rules(row.body["rules"])

    def _policy(self, connection: Connection) -> tuple[int, Policy]:
        row = store.newest(connection, store.POLICY)
        if row is None:
            return 0, Policy(self._knobs)
        policy = parse_policy(row.body["policy"])
        if not row.by_hand:
            policy = Policy(self._learner_knobs(connection), policy.means, policy.linear, policy.decisions)
        return row.revision, policy

    def _learner_knobs(self, connection: Connection) -> Knobs:
        """Those that were applied by hand, else those of the settings as they are now."""
        row = store.newest_by_hand(connection)
        return self._knobs if row is None else parse_policy(row.body["policy"]).knobs

    def _publish(self, connection: Connection, policy: Policy, actor: Actor, **why: Any) -> int:
        body = {"policy": policy_document(policy), **why}
        shown = {"knobs": knobs_document(policy.knobs), "decisions": policy.decisions, **why}
        return self._append(connection, store.POLICY, body, actor, None, shown)

    def _append(
        self,
        connection: Connection,
        kind: str,
        body: Mapping[str, Any],
        actor: Actor,
        before: Any,
        shown: Mapping[str, Any] | None = None,
    ) -> int:
        revision = store.newest_revision(connection) + 1
        digest = digest_of(body)
        row = {
            "revision": revision,
            "kind": kind,
            "at": self._clock.now(),
            "actor": actor.name,
            "reason": actor.reason,
            "digest": digest,
            "by_hand": actor is not LEARNER,
            "body": body,
        }
        if not store.append(self._database, connection, row):
            raise Conflict(
                "somebody else changed routing at the same moment", what="routing", remedy="look at it and try again"
            )
        after = {"revision": revision, "digest": digest, **(body if shown is None else shown)}
        self._audit.record(connection, actor, f"routing.{kind}", f"routing:{revision}", before=before, after=after)
        return revision

    def _check_domains(self, knobs: Knobs) -> None:
        known = self._table().known
        named = [*knobs.alternatives, *knobs.weights]
        named += [each for others in knobs.alternatives.values() for each in others]
        named += [each for shares in knobs.weights.values() for each in shares]
        strange = next((each for each in named if each not in known), None)
        if strange is not None:
            raise InvalidInput(
                f"the policy names {strange!r}, which is no active domain",
                what="domain",
                requested=strange,
                allowed=sorted(known)[:50],
                remedy="bailiwick domain list",
            )
