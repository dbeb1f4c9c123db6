"""Places and withdraws experiments: in the same units, under the same lock and counter as the traffic plans."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.traffic import experiment_store, layers, store
from bailiwick.traffic.experiment_check import check_experiment
from bailiwick.traffic.experiment_document import experiment_document
from bailiwick.traffic.model import SLOTS, ExperimentPlan, ExperimentRecord, Holdout, PlacedExperiments
from bailiwick.traffic.weights import percent


class ExperimentPlacement:
    """The experiments that run, of every domain; a part of `TrafficService`, whose `changing` gives the write units."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def experiments(self, domain: str) -> tuple[ExperimentPlan, ...]:
        """The plans of the experiments that run on a domain, by id."""
        with self._database.read() as connection:
            return self.running(connection, domain)

    def all_experiments(self) -> dict[str, tuple[ExperimentPlan, ...]]:
        """The plans of the experiments that run, by domain."""
        with self._database.read() as connection:
            return by_domain(connection)

    def placements(self) -> PlacedExperiments:
        """What runs, who is held out, and what has ended, in one read."""
        with self._database.read() as connection:
            return PlacedExperiments(
                running=by_domain(connection),
                holdout=experiment_store.newest_holdout(connection)[1],
                ended=experiment_store.ended_experiments(connection),
            )

    def experiment(self, experiment: str) -> ExperimentRecord | None:
        """The newest revision of an experiment's plan, running or withdrawn; None when it was never placed."""
        with self._database.read() as connection:
            return experiment_store.newest_experiment(connection, experiment)

    def experiment_history(self, experiment: str) -> Sequence[ExperimentRecord]:
        """The revisions of an experiment's plan, newest first."""
        with self._database.read() as connection:
            return experiment_store.experiment_history(connection, experiment)

    def holdout(self) -> Holdout:
        """Who takes part in no experiment."""
        with self._database.read() as connection:
            return experiment_store.newest_holdout(connection)[1]

    def running(self, connection: Connection, domain: str) -> tuple[ExperimentPlan, ...]:
        """`experiments`, as seen by the caller's unit."""
        return tuple(record.plan for record in experiment_store.running_experiments(connection, domain))

    def placed(self, connection: Connection, experiment: str) -> ExperimentRecord | None:
        """`experiment`, as seen by the caller's unit."""
        return experiment_store.newest_experiment(connection, experiment)

    def reserve(
        self, connection: Connection, domain: str, layer: str, experiment: str, coverage: int
    ) -> tuple[tuple[int, int], ...]:
        """The slots with which an experiment reaches ``coverage`` slots of a layer; see `layers.reserve`.

        They are held once the plan with them is placed in the same unit of `changing`.

        Raises:
            Conflict: the layer has not that many free slots.
            InvalidInput: the coverage is out of bounds.
        """
        return layers.reserve(self.running(connection, domain), domain, layer, experiment, coverage)

    def place(
        self,
        connection: Connection,
        plan: ExperimentPlan,
        *,
        actor: Actor,
        base_revision: int | None = None,
        action: str = "traffic.experiment.place",
    ) -> ExperimentRecord:
        """Let an experiment run under this plan. Without any difference nothing is written.

        Args:
            connection: of `TrafficService.changing`, or of any write unit whose owner calls `publish` after the commit.
            plan: with its slots (`reserve`) and its split (`splits.first_split`, later `weights.reweight`).
            actor: who does it, and why.
            base_revision: of the experiment's record that the caller decided on (0: never placed); None: whatever is
                in force.
            action: the name under which the change is audited.

        Raises:
            Conflict: somebody changed the plan since ``base_revision``, or another experiment stands in the way.
            InvalidInput: the plan makes no sense, changes what is fixed, or keeps the epoch though weights or arms
                change.
        """
        check_experiment(plan)
        store.lock(self._database, connection)
        present = experiment_store.newest_experiment(connection, plan.experiment)
        _check_base(plan.experiment, present, base_revision)
        if present is not None:
            if present.running and present.plan == plan:
                return present
            _check_succession(present.plan, plan)
        layers.check_beside(plan, self.running(connection, plan.domain))
        return self._append_experiment(connection, plan, present, actor, action, running=True)

    def withdraw(
        self,
        connection: Connection,
        experiment: str,
        *,
        actor: Actor,
        base_revision: int | None = None,
        action: str = "traffic.experiment.withdraw",
    ) -> ExperimentRecord:
        """Let an experiment end, or pause: nobody enters it any more, and its slots are free for others.

        Withdrawing what is withdrawn changes nothing. `place` with the same plan resumes, while the slots are free.

        Raises:
            NotFound: it was never placed.
            Conflict: somebody changed the plan since ``base_revision``.
        """
        store.lock(self._database, connection)
        present = experiment_store.newest_experiment(connection, experiment)
        if present is None:
            raise NotFound(f"the experiment {experiment!r} was never placed", what="experiment", requested=experiment)
        _check_base(experiment, present, base_revision)
        if not present.running:
            return present
        return self._append_experiment(connection, present.plan, present, actor, action, running=False)

    def set_holdout(self, connection: Connection, slots: int, *, actor: Actor) -> Holdout:
        """Keep this many slots of all units out of every experiment; 0 ends the holdout.

        Raises:
            InvalidInput: the slots are out of bounds.
        """
        if isinstance(slots, bool) or not isinstance(slots, int) or not 0 <= slots < SLOTS:
            raise InvalidInput(
                f"a holdout of {percent(slots) if isinstance(slots, int) else repr(slots)}",
                what="slots",
                requested=slots,
                allowed=f"0 to {percent(SLOTS - 1)}, in whole slots",
            )
        store.lock(self._database, connection)
        revision, present = experiment_store.newest_holdout(connection)
        if present.slots == slots:
            return present
        holdout = Holdout(present.salt, slots)
        experiment_store.append_holdout(connection, revision + 1, holdout, self._clock.now(), actor.name, actor.reason)
        store.move_revision(connection)
        before, after = ({"share": percent(each.slots)} for each in (present, holdout))
        self._audit.record(connection, actor, "traffic.holdout", "traffic:holdout", before=before, after=after)
        return holdout

    def _append_experiment(
        self,
        connection: Connection,
        plan: ExperimentPlan,
        present: ExperimentRecord | None,
        actor: Actor,
        action: str,
        *,
        running: bool,
    ) -> ExperimentRecord:
        # A clock that was set back must not let a later revision seem older than an earlier one.
        now = max(self._clock.now(), present.at) if present else self._clock.now()
        revision = present.revision + 1 if present else 1
        record = ExperimentRecord(plan, revision, running, now, actor.name, action, actor.reason)
        experiment_store.append_experiment(connection, record)
        store.move_revision(connection)
        self._audit.record(
            connection,
            actor,
            action,
            f"experiment:{plan.experiment}",
            before=_audited(present) if present else None,
            after=_audited(record),
        )
        return record


def by_domain(connection: Connection) -> dict[str, tuple[ExperimentPlan, ...]]:
    """The plans of the experiments that run, by domain, each by id."""
    found: dict[str, list[ExperimentPlan]] = {}
    for record in experiment_store.running_experiments(connection):
        found.setdefault(record.plan.domain, []).append(record.plan)
    return {domain: tuple(plans) for domain, plans in found.items()}


def _audited(record: ExperimentRecord) -> dict[str, object]:
    return {"revision": record.revision, "running": record.running, "plan": experiment_document(record.plan)}


def _check_base(experiment: str, present: ExperimentRecord | None, base: int | None) -> None:
    revision = present.revision if present else 0
    if base is not None and base != revision:
        raise Conflict(
            f"the plan of the experiment {experiment!r} is at revision {revision}, not {base}: "
            "somebody changed it first",
            what="revision",
            requested=base,
            allowed=revision,
            remedy="look at the experiment as it is now, and decide again",
        )


def _check_succession(present: ExperimentPlan, plan: ExperimentPlan) -> None:
    """What keeps units where they are is fixed; what moves them opens an epoch."""
    for what, old, new in (
        ("domain", present.domain, plan.domain),
        ("layer", present.layer, plan.layer),
        ("unit", present.unit, plan.unit),
        ("salt", present.split.salt, plan.split.salt),
    ):
        if old != new:
            raise InvalidInput(
                f"the {what} of the experiment {plan.experiment!r} is {old!r} and stays so",
                what=what,
                requested=new,
                allowed=old,
                remedy="start another experiment",
            )
    moved = (present.split.ranges, present.arms) != (plan.split.ranges, plan.arms)
    least = present.split.revision + moved
    if plan.split.revision < least:
        raise InvalidInput(
            f"the epoch of {plan.experiment!r} is {present.split.revision}; "
            + (f"other weights or arms make it at least {least}" if moved else "it never goes back"),
            what="epoch",
            requested=plan.split.revision,
            allowed=f"from {least}",
        )
