"""Keeps experiments going without being asked: concludes by their rule, deploys winners, and reweights bandits.

Level-triggered: each step looks at what is, does what is missing, and may be repeated after any crash.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from bailiwick.clock import Clock
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.delivery.service import DeliveryService
from bailiwick.errors import BailiwickError, Conflict, InvalidInput
from bailiwick.experiments.adapt import next_weights
from bailiwick.experiments.analyst import ExperimentAnalyst
from bailiwick.experiments.model import Conclusion, Experiment, Kind, State, Verdict
from bailiwick.experiments.report import Report
from bailiwick.experiments.service import ExperimentService
from bailiwick.governance.audit import Actor
from bailiwick.traffic.model import SLOTS, TrafficPlan
from bailiwick.traffic.service import TrafficService

IN_SERVICE = "already in service"
"""What stands in place of a deployment where the winner served everybody before."""

_log = logging.getLogger(__name__)


def stranger_of(experiment: Experiment, plan: TrafficPlan | None) -> str | None:
    """A version that serves and is no arm: the winner is not known to be better than it."""
    compared = {arm.version for arm in experiment.arms}
    return next((version for version in (plan.weights if plan else ()) if version not in compared), None)


class ExperimentKeeper:
    """Ends experiments and acts on them.

    Args:
        delivery: deploys winners, through its gates like any deployment.
        traffic: says what serves now.
    """

    def __init__(
        self,
        experiments: ExperimentService,
        analyst: ExperimentAnalyst,
        delivery: DeliveryService,
        traffic: TrafficService,
        clock: Clock,
    ) -> None:
        self._experiments = experiments
        self._analyst = analyst
        self._delivery = delivery
        self._traffic = traffic
        self._clock = clock

    def conclude(
        self,
        id: str,
        *,
        actor: Actor,
        winner: str | None = None,
        verdict: Verdict | None = None,
        deploy: bool | None = None,
        revision: int | None = None,
    ) -> Experiment:
        """End an experiment as its rule says, or as somebody decides.

        Args:
            id: of an experiment that runs or is paused.
            actor: who does it; deciding against the rule needs the reason.
            winner: the arm that ships whatever the rule says.
            verdict: another end than shipping, whatever the rule says.
            deploy: deploy the winner now; None: as the design says.
            revision: conclude only this revision.

        Raises:
            Conflict: the rule says that it is too early, it never ran, or it is over.
            InvalidInput: winner and verdict contradict each other, or the rule is overruled without a reason.
        """
        report = self._analyst.report(id)
        conclusion = self.conclusion(report, actor, winner, verdict)
        seen = report.experiment.revision if revision is None else revision
        concluded = self._experiments.conclude(id, conclusion, actor=actor, revision=seen)
        wanted = concluded.design.rule.deploy if deploy is None else deploy
        return self.deploy(id, actor=actor) if wanted and conclusion.verdict is Verdict.SHIP else concluded

    def deploy(self, id: str, *, actor: Actor) -> Experiment:
        """Deploy the winner of a concluded experiment through the gates, to all users.

        A deployment that the gates hold is written down like one that they let pass; traffic is then as it was.

        Raises:
            Conflict: it has no winner with a version, its winner was deployed already, or something else was deployed
                since it began, with which the winner was never compared.
        """
        experiment = self._experiments.get(id)
        conclusion = experiment.conclusion
        version = next((arm.version for arm in experiment.arms if conclusion and arm.name == conclusion.winner), None)
        if conclusion is None or version is None:
            raise Conflict(
                f"the experiment {id!r} has no winner that can be deployed",
                what="winner",
                requested=id,
                remedy=f"see `bailiwick experiment show {id}`",
            )
        if conclusion.deployment is not None:
            raise Conflict(f"the winner of {id!r} was deployed already: {conclusion.deployment}", what="deployment")
        plan = self._traffic.plan(experiment.design.domain)
        if plan is not None and plan.weights.get(version) == SLOTS:
            return self._experiments.deployed(id, IN_SERVICE, actor=actor)
        if stranger := stranger_of(experiment, plan):
            raise Conflict(
                f"{stranger!r} was deployed since {id!r} began; its winner {version!r} was never compared with that",
                what="version",
                requested=version,
                remedy=f"compare the two, or replace it all the same: bailiwick deploy {version}",
            )
        revision = plan.revision if plan else None
        made = self._delivery.deploy(experiment.design.domain, version, actor=actor, expected_revision=revision)
        held = " (held by the gates)" if made.status is DeploymentStatus.HELD else ""
        return self._experiments.deployed(id, f"{made.id}{held}", actor=actor)

    def tick(self, actor: Actor) -> Sequence[str]:
        """Do what is due for every experiment; what was done, in words. One that fails leaves the others alone."""
        done: list[str] = []
        for experiment in self._experiments.list(states=(State.RUNNING, State.CONCLUDED)):
            try:
                words = self._attend(experiment, actor)
            except BailiwickError as error:
                _log.warning("the experiment %s could not be attended to: %s", experiment.id, error)
                continue
            if words:
                done.append(f"{experiment.id}: {words}")
        return done

    def conclusion(
        self,
        report: Report,
        actor: Actor,
        winner: str | None = None,
        verdict: Verdict | None = None,
        *,
        automatic: bool = False,
    ) -> Conclusion:
        """What a report leads to, by its rule or as somebody decides; nothing is written. Arguments as of `conclude`.

        Raises:
            Conflict, InvalidInput: as `conclude`.
        """
        decision, id = report.decision, report.experiment.id
        if winner is not None and verdict not in (None, Verdict.SHIP):
            raise InvalidInput("a winner ships: no other verdict goes with it", what="verdict", requested=str(verdict))
        if winner is None and verdict is Verdict.SHIP and decision.arm is None:
            raise InvalidInput("shipping needs a winner", what="winner", remedy="name the arm")
        asked = Verdict.SHIP if winner is not None else verdict
        if asked is Verdict.CONTINUE:
            raise InvalidInput("to continue is no end", what="verdict", requested=Verdict.CONTINUE.value)
        chosen = winner or (decision.arm if asked in (None, Verdict.SHIP) else None)
        overruled = asked is not None and (asked, chosen) != (decision.verdict, decision.arm)
        if overruled and not (actor.reason or "").strip():
            raise InvalidInput(
                f"the rule says {decision.verdict.value!r}: deciding otherwise needs a reason",
                what="reason",
                remedy="say why with --reason",
            )
        if asked is None and not decision.final:
            raise Conflict(
                f"it is too early to conclude {id!r}: {'; '.join(decision.reasons)}",
                what="id",
                requested=id,
                remedy="wait, or end it yourself with --winner ARM or --verdict inconclusive, and a --reason",
            )
        reasons = decision.reasons
        if overruled:
            reasons = (f"decided by {actor.name}: {actor.reason}", f"the rule said: {decision.verdict.value}", *reasons)
        return Conclusion(
            verdict=asked or decision.verdict,
            winner=chosen,
            reasons=reasons,
            at=self._clock.now(),
            by=actor.name,
            automatic=automatic,
        )

    def _attend(self, experiment: Experiment, actor: Actor) -> str | None:
        if experiment.state is State.CONCLUDED:
            return self._finish(experiment, actor)
        if not self._experiments.is_served(experiment):
            because = Actor(actor.name, actor.request_id, f"{experiment.design.domain} is not served any more")
            self._experiments.pause(experiment.id, actor=because, revision=experiment.revision)
            return "paused: its domain is not served any more"
        rule = experiment.design.rule
        if not rule.automatic and experiment.design.kind is not Kind.BANDIT:
            return None
        report = self._analyst.report(experiment.id)
        if rule.automatic and report.decision.final:
            conclusion = self.conclusion(report, actor, automatic=True)
            self._experiments.conclude(experiment.id, conclusion, actor=actor, revision=report.experiment.revision)
            concluded = self._experiments.get(experiment.id)
            finished = self._finish(concluded, actor)
            return f"concluded, {conclusion.verdict.value}" + (f"; {finished}" if finished else "")
        if rule.automatic and report.decision.harmed:
            arm = report.decision.harmed[0]
            because = Actor(actor.name, actor.request_id, f"{arm} does damage")
            self._experiments.drop_arm(experiment.id, arm, actor=because, revision=report.experiment.revision)
            return f"dropped {arm}"
        return self._adapt(report, actor)

    def _finish(self, experiment: Experiment, actor: Actor) -> str | None:
        """Deploy a winner that should have been deployed: also where a crash came between conclusion and deployment."""
        conclusion = experiment.conclusion
        due = conclusion is not None and conclusion.automatic and experiment.design.rule.deploy
        if not due or conclusion is None or conclusion.verdict is not Verdict.SHIP or conclusion.deployment is not None:
            return None
        if stranger := stranger_of(experiment, self._traffic.plan(experiment.design.domain)):
            self._experiments.deployed(experiment.id, f"left alone: {stranger} was deployed meanwhile", actor=actor)
            return f"left {stranger} alone, which was deployed meanwhile"
        finished = self.deploy(experiment.id, actor=actor)
        assert finished.conclusion is not None, "it is concluded"
        return f"deployed {conclusion.winner}: {finished.conclusion.deployment}"

    def _adapt(self, report: Report, actor: Actor) -> str | None:
        """Give a bandit's arms the shares that their chance to be best asks for, once its epoch has told enough."""
        experiment = report.experiment
        present = experiment.present
        if experiment.design.kind is not Kind.BANDIT or present is None:
            return None
        rule = experiment.design.rule
        if self._clock.now() - present.at < timedelta(minutes=rule.reweight_minutes):
            return None
        weights = next_weights(experiment, report.analysis)
        if weights is None or weights == dict(present.weights):
            return None
        because = Actor(actor.name, actor.request_id, "Thompson sampling")
        self._experiments.reweight(experiment.id, weights, actor=because, revision=experiment.revision)
        return "reweighted"
