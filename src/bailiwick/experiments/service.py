"""Creates experiments and takes them through their life. Each change is one transaction with its placed plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.domains.model import DomainRevision, Lifecycle
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.experiments import plans, store
from bailiwick.experiments.design import check_design, check_versions
from bailiwick.experiments.history import SPAN, MetricPast
from bailiwick.experiments.lifecycle import Step, after_step, no_such_experiment
from bailiwick.experiments.model import (
    Conclusion,
    Epoch,
    Experiment,
    ExperimentDesign,
    PowerCheck,
    State,
)
from bailiwick.experiments.planning import WITHOUT_HISTORY, check_power, require_reachable
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.metrics.experiment_totals import Covariates
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database
from bailiwick.traffic.model import Arm
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import percent


class ExperimentService:
    """The experiments of the fleet.

    Args:
        traffic: places what runs; nobody else places experiments.
        metrics: shows how the primary metric varied lately, and joins feedback to exposures.
        version_domain: the domain of a registered version; None where there is no such version.
        domains: the current revision of a domain; raises `NotFound`.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        traffic: TrafficService,
        metrics: MetricsService,
        version_domain: Callable[[str], str | None],
        domains: Callable[[str], DomainRevision],
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._traffic = traffic
        self._metrics = metrics
        self._past = MetricPast(metrics, clock)
        self._version_domain = version_domain
        self._domains = domains

    def get(self, id: str) -> Experiment:
        """One experiment.

        Raises:
            NotFound: there is none of that id.
        """
        with self._database.read() as connection:
            found = store.find(connection, id) if _is_storable(id) else None
        if found is None:
            raise no_such_experiment(id)
        return found

    def list(
        self, domain: str | None = None, states: Sequence[State] = (), *, limit: int = 1_000
    ) -> Sequence[Experiment]:
        """Experiments, newest first."""
        with self._database.read() as connection:
            return store.listed(connection, domain=domain, states=states, limit=limit)

    def power(self, design: ExperimentDesign) -> PowerCheck | None:
        """How many units and how long, changing nothing; None where the metric has no history to tell from.

        Raises:
            InvalidInput: the history says that it cannot work at all.
        """
        history = self._past.history(design.domain, design.primary.metric, design.unit)
        return check_power(design, history) if history else None

    def create(self, design: ExperimentDesign, *, actor: Actor, force: bool = False) -> Experiment:
        """Write a design down, if it makes sense and can be answered in its time.

        Args:
            design: as parsed.
            actor: who does it; forcing needs the reason.
            force: create it although the maximum duration cannot reach the planned sample, or a metric was never seen.

        Raises:
            NotFound: there is no such domain.
            InvalidInput: the design makes no sense, or cannot be answered in its time; or forced without a reason.
            Conflict: the id is taken.
        """
        reason = (actor.reason or "").strip()
        if force and not reason:
            raise InvalidInput("forcing an experiment needs a reason", what="reason", remedy="say why with --reason")
        self._domains(design.domain)
        known = self._past.known(design.domain) | (set(design.metrics) if force else set())
        check_design(design, versions=self._versions(design.arms), metrics=known)
        power = self.power(design)
        if power is not None and not force:
            require_reachable(power, design)
        new = Experiment(
            design=design,
            state=after_step(design.id, None, Step.CREATE),
            revision=1,
            planned_units=power.planned_units if power else WITHOUT_HISTORY,
            created_at=self._clock.now(),
            created_by=actor.name,
            power_check=power,
            forced=reason if force else None,
        )
        with self._database.write() as connection:
            if not store.add(self._database, connection, new):
                present = store.find(connection, design.id)
                after_step(design.id, present.state if present else None, Step.CREATE)
            self._record(connection, Step.CREATE, None, new, actor)
        return new

    def start(self, id: str, *, actor: Actor, revision: int | None = None) -> Experiment:
        """Expose the first units: from now on the layer's slots are taken.

        Raises:
            NotFound: there is no such experiment, or its domain is gone.
            InvalidInput: a version is gone.
            Conflict: it is no draft, its domain is archived, the layer has no room, or the fleet's holdout is smaller
                than the design asks for.
        """
        design = self.get(id).design
        self._require_served(design)
        check_versions(design.arms, design.domain, self._versions(design.arms))
        after_step(id, self.get(id).state, Step.START)
        covariates = self._covariates(design)
        with self._changing(id, Step.START, revision) as (connection, present):
            self._require_holdout(design)
            now = self._clock.now()
            window = timedelta(hours=design.feedback_hours)
            self._metrics.experiments.agree(connection, id, window, covariates)
            slots = self._traffic.reserve(connection, design.domain, design.layer, id, design.coverage)
            self._traffic.place(connection, plans.first_plan(present, slots), actor=actor)
            changed = replace(present, started_at=now, epochs=(plans.first_epoch(present, now),))
            agreed = {
                "feedback_hours": design.feedback_hours,
                "covariates": None
                if covariates is None
                else {"units": len(covariates.means), "since": covariates.since.isoformat()},
            }
            return self._save(connection, Step.START, present, changed, actor, agreed)

    def pause(self, id: str, *, actor: Actor, revision: int | None = None) -> Experiment:
        """Expose nobody for now. The layer's slots become free for others; what came in is kept.

        Raises:
            Conflict: it does not run.
        """
        with self._changing(id, Step.PAUSE, revision) as (connection, present):
            self._traffic.withdraw(connection, id, actor=actor)
            return self._save(connection, Step.PAUSE, present, present, actor)

    def resume(self, id: str, *, actor: Actor, revision: int | None = None) -> Experiment:
        """Go on with the same units in the same arms.

        Raises:
            NotFound: its domain is gone.
            InvalidInput: a version is gone.
            Conflict: it is not paused, its domain is archived, or its slots were taken by another experiment meanwhile.
        """
        present = self.get(id)
        self._require_served(present.design)
        arms = present.present.arms if present.present else present.design.arms
        check_versions(arms, present.design.domain, self._versions(arms))
        with self._changing(id, Step.RESUME, revision) as (connection, present):
            placed = self._traffic.placed(connection, id)
            assert placed is not None, "what is paused was placed once"
            self._traffic.place(connection, replace(placed.plan, overrides=present.overrides), actor=actor)
            return self._save(connection, Step.RESUME, present, present, actor)

    def pause_arms(self, connection: Connection, domain: str, versions: Set[str], *, actor: Actor) -> Sequence[str]:
        """Pause whatever sends users of a domain to one of these versions, in the caller's unit; the ids.

        The unit is one of `TrafficService.changing`, so that the gateways hear of it.
        """
        because = replace(actor, reason=actor.reason or f"{', '.join(sorted(versions))} was taken out of service")
        paused = []
        for plan in self._traffic.running(connection, domain):
            if not versions & {arm.version for arm in plan.arms}:
                continue
            present = store.lock(connection, plan.experiment)
            assert present is not None, "what is placed was created"
            self._traffic.withdraw(connection, present.id, actor=because)
            self._save(connection, Step.PAUSE, present, present, because)
            paused.append(present.id)
        return paused

    def is_served(self, experiment: Experiment) -> bool:
        """Whether its domain is there and not archived."""
        try:
            return self._domains(experiment.design.domain).lifecycle is not Lifecycle.ARCHIVED
        except NotFound:
            return False

    def reweight(self, id: str, weights: Mapping[str, int], *, actor: Actor, revision: int | None = None) -> Experiment:
        """Give the arms new shares, in basis points. Opens an epoch.

        Raises:
            InvalidInput: the weights do not fit the arms.
            Conflict: it does not run, or the weights are so already.
        """
        with self._changing(id, Step.REWEIGHT, revision) as (connection, present):
            epoch = plans.with_weights(present, weights, self._clock.now(), actor.reason)
            return self._open_epoch(connection, present, epoch, actor)

    def add_arm(
        self, id: str, arm: Arm, share: int | None = None, *, actor: Actor, revision: int | None = None
    ) -> Experiment:
        """Let one more arm take part. Opens an epoch; the others keep the rest in their proportions.

        Raises:
            InvalidInput: the arm is there already or equals the control, or its version is unknown.
            Conflict: it does not run.
        """
        check_versions([arm], self.get(id).design.domain, self._versions([arm]))
        with self._changing(id, Step.REWEIGHT, revision) as (connection, present):
            epoch = plans.with_arm(present, arm, share, self._clock.now(), actor.reason)
            return self._open_epoch(connection, present, epoch, actor)

    def drop_arm(self, id: str, arm: str, *, actor: Actor, revision: int | None = None) -> Experiment:
        """Let an arm take part no longer. Opens an epoch; what it showed is kept.

        Raises:
            InvalidInput: it is no treatment of this experiment.
            Conflict: it does not run, or only one treatment is left.
        """
        with self._changing(id, Step.REWEIGHT, revision) as (connection, present):
            epoch = plans.without_arm(present, arm, self._clock.now(), actor.reason)
            kept = {unit: name for unit, name in present.overrides.items() if name != arm}
            return self._open_epoch(connection, replace(present, overrides=kept), epoch, actor)

    def override(self, id: str, unit: str, arm: str | None, *, actor: Actor, revision: int | None = None) -> Experiment:
        """Put a tester into an arm, or with None back where chance puts it. Testers are not counted.

        Raises:
            InvalidInput: there is no such arm, or the unit cannot be named so.
            Conflict: it is over.
        """
        with self._changing(id, Step.OVERRIDE, revision) as (connection, present):
            names = [each.name for each in (present.present or plans.first_epoch(present, self._clock.now())).arms]
            if arm is not None and arm not in names:
                raise InvalidInput(f"{id!r} has no arm {arm!r}", what="arm", requested=arm, allowed=names)
            if not 1 <= len(unit) <= 512 or not unit.isprintable():
                raise InvalidInput("the unit cannot be named so", what="unit", allowed="1 to 512 printable characters")
            overrides = {name: chosen for name, chosen in present.overrides.items() if name != unit}
            changed = replace(present, overrides=overrides if arm is None else {**overrides, unit: arm})
            placed = self._traffic.placed(connection, id)
            if present.state is State.RUNNING and placed is not None:
                plan = replace(placed.plan, overrides=changed.overrides)
                self._traffic.place(connection, plan, actor=actor)
            return self._save(connection, Step.OVERRIDE, present, changed, actor)

    def conclude(self, id: str, conclusion: Conclusion, *, actor: Actor, revision: int | None = None) -> Experiment:
        """End it with what came out. Nobody is exposed any more; nothing is deployed by this.

        Raises:
            InvalidInput: the winner is no arm.
            Conflict: it never ran, or is over already.
        """
        with self._changing(id, Step.CONCLUDE, revision) as (connection, present):
            names = [arm.name for arm in present.arms]
            if conclusion.winner is not None and conclusion.winner not in names:
                raise InvalidInput(
                    f"{id!r} has no arm {conclusion.winner!r}",
                    what="winner",
                    requested=conclusion.winner,
                    allowed=names,
                )
            self._traffic.withdraw(connection, id, actor=actor)
            changed = replace(present, ended_at=conclusion.at, conclusion=conclusion)
            return self._save(connection, Step.CONCLUDE, present, changed, actor)

    def deployed(self, id: str, deployment: str, *, actor: Actor) -> Experiment:
        """Write down which deployment followed from the conclusion."""
        with self._changing(id, Step.DEPLOY, None) as (connection, present):
            assert present.conclusion is not None, "only what is concluded is deployed"
            changed = replace(present, conclusion=replace(present.conclusion, deployment=deployment))
            return self._save(connection, Step.DEPLOY, present, changed, actor)

    def archive(self, id: str, *, actor: Actor, revision: int | None = None) -> Experiment:
        """Put it out of sight: a draft that is not wanted, or what is concluded. Its results and its history stay.

        What is known of single units is deleted; the log of exposures goes as it ages.

        Raises:
            Conflict: it runs or is paused.
        """
        with self._changing(id, Step.ARCHIVE, revision) as (connection, present):
            forgotten = self._metrics.experiments.forget(connection, id)
            return self._save(connection, Step.ARCHIVE, present, present, actor, {"units_forgotten": forgotten})

    def _open_epoch(self, connection: Connection, present: Experiment, epoch: Epoch, actor: Actor) -> Experiment:
        placed = self._traffic.placed(connection, present.id)
        assert placed is not None, "what runs is placed"
        self._traffic.place(connection, plans.next_plan(placed.plan, epoch), actor=actor)
        changed = replace(present, epochs=(*present.epochs, epoch))
        return self._save(connection, Step.REWEIGHT, present, changed, actor)

    @contextmanager
    def _changing(self, id: str, step: Step, revision: int | None) -> Iterator[tuple[Connection, Experiment]]:
        """A unit that may change plans, and the experiment as it is; refused where the step is not possible."""
        with self._traffic.changing() as connection:
            present = store.lock(connection, id) if _is_storable(id) else None
            after_step(id, present.state if present else None, step)
            assert present is not None, "no step leads from nothing"
            if revision is not None and present.revision != revision:
                raise Conflict(
                    f"the experiment {id!r} is at revision {present.revision}, not {revision}: somebody changed it",
                    what="revision",
                    requested=revision,
                    allowed=present.revision,
                    remedy="look at it again, then decide",
                )
            yield connection, present

    def _save(
        self,
        connection: Connection,
        step: Step,
        before: Experiment,
        after: Experiment,
        actor: Actor,
        beside: Mapping[str, object] | None = None,
    ) -> Experiment:
        made = replace(after, state=after_step(before.id, before.state, step), revision=before.revision + 1)
        store.save(connection, made)
        self._record(connection, step, before, made, actor, beside)
        return made

    def _record(
        self,
        connection: Connection,
        step: Step,
        before: Experiment | None,
        after: Experiment,
        actor: Actor,
        beside: Mapping[str, object] | None = None,
    ) -> None:
        self._audit.record(
            connection,
            actor,
            f"experiment.{step.value}",
            f"experiment:{after.id}",
            before=_audited(before) if before else None,
            after={**_audited(after), **(beside or {})},
        )

    def _versions(self, arms: Sequence[Arm]) -> dict[str, str]:
        named = {arm.version: self._version_domain(arm.version) for arm in arms if arm.version is not None}
        return {version: domain for version, domain in named.items() if domain is not None}

    def _covariates(self, design: ExperimentDesign) -> Covariates | None:
        """What is known of the users already; the log knows no other units. Read before anything is locked."""
        if design.unit != "user":
            return None
        now = self._clock.now()
        return self._metrics.experiments.covariates(now - SPAN, now, domain=design.domain)

    def _require_served(self, design: ExperimentDesign) -> None:
        if self._domains(design.domain).lifecycle is Lifecycle.ARCHIVED:
            raise Conflict(
                f"the domain {design.domain!r} of {design.id!r} is archived: nobody can be exposed there",
                what="domain",
                requested=design.domain,
                remedy=f"bring it back first with `bailiwick domain activate {design.domain}`",
            )

    def _require_holdout(self, design: ExperimentDesign) -> None:
        kept_out = self._traffic.holdout().slots
        if kept_out < design.holdout:
            raise Conflict(
                f"{design.id!r} asks for a holdout of {percent(design.holdout)}; the fleet has {percent(kept_out)}",
                what="holdout",
                requested=percent(design.holdout),
                allowed=percent(kept_out),
                remedy="enlarge the fleet's holdout first; it is for all experiments together",
            )


def _audited(experiment: Experiment) -> dict[str, object]:
    present = experiment.present
    conclusion = experiment.conclusion
    return {
        "state": experiment.state.value,
        "revision": experiment.revision,
        "epoch": present.number if present else 0,
        "weights": dict(present.weights if present else experiment.design.weights),
        "overrides": dict(experiment.overrides),
        "forced": experiment.forced,
        "verdict": conclusion.verdict.value if conclusion else None,
        "winner": conclusion.winner if conclusion else None,
        "deployment": conclusion.deployment if conclusion else None,
    }


def _is_storable(id: str) -> bool:
    return 0 < len(id) <= 64 and id.isprintable()
