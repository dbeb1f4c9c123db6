"""An ensemble against its members on untouched test rows, and what it does with one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bailiwick.datasets.model import Split
from bailiwick.datasets.service import DatasetService
from bailiwick.errors import InvalidInput
from bailiwick.evaluation.model import Comparison, Evaluation
from bailiwick.evaluation.service import EvaluationService
from bailiwick.governance.audit import Actor
from bailiwick.models.ensemble.cascade import NEVER
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.selection import NO_LIMITS, Limits, why_excluded
from bailiwick.models.ensemble.spec import IN_TURN, MemberSpec, Strategy
from bailiwick.registry.model import ModelVersion
from bailiwick.registry.service import RegistryService
from bailiwick.training.ensembles import EnsembleService
from bailiwick.training.lineage import Mark, learned_marks, marks


@dataclass(frozen=True, slots=True)
class EnsembleReport:
    """What an ensemble is worth.

    Args:
        evaluation: of the ensemble; its metrics are the version's from now on.
        best: the member that held-out rows find best: chosen before the test rows were looked at.
        against: the ensemble compared with each member of its domain, on the same test rows, the best one first.
        asked: mean number of members asked per text.
        cost: of 1,000 tokens, by the members' costs and who is asked; and what asking the best member alone costs.
        decided: by those that ask in turn: the share of texts that each member decided.
    """

    evaluation: Evaluation
    best: str
    against: tuple[Comparison, ...]
    asked: float
    cost: float
    best_cost: float
    decided: dict[str, float]


@dataclass(frozen=True, slots=True)
class MemberView:
    """What one member has to do with one text. ``note`` says in words why it was asked, or not."""

    member: str
    asked: bool
    label: str | None
    confidence: float | None
    weight: float
    note: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an ensemble comes to its label for a text."""

    version: str
    strategy: str
    label: str
    confidence: float
    why: str
    members: tuple[MemberView, ...]


class EnsembleEvaluation:
    """Measures ensembles whose members are models in this process.

    Args:
        evaluation: measures and compares versions.
        ensembles: finds them.
        registry: of the members.
        datasets: where rows come from.
    """

    def __init__(
        self,
        evaluation: EvaluationService,
        ensembles: EnsembleService,
        registry: RegistryService,
        datasets: DatasetService,
    ) -> None:
        self._evaluation = evaluation
        self._ensembles = ensembles
        self._registry = registry
        self._datasets = datasets

    def evaluate(self, reference: str, *, actor: Actor, dataset: str | None = None) -> EnsembleReport:
        """Measure an ensemble on test rows that neither it nor any member has learned from, against its members.

        Args:
            reference: a version, or a domain: its newest ensemble.
            actor: who asks.
            dataset: id or name; default: the one that it was fitted on, or that its first member was trained on.

        Raises:
            NotFound: no such ensemble or data set.
            InvalidInput: a member cannot be measured, or too few rows are left.
            PolicyDenied: a member promises differential privacy.
        """
        version, model = self._ensembles.get(reference)
        name = dataset or self._usual_dataset(version, model)
        best = self._best(version, model, name)
        made = self._evaluation.evaluate(version.id, actor=actor, dataset=name)
        own = [member for member in model.spec.members if member.domain == version.domain]
        own.sort(key=lambda member: member.name != best.name)
        against = tuple(self._evaluation.compare(str(member.version), version.id, name) for member in own)
        texts = [row.text for row in self._datasets.rows(name, Split.TEST, version.domain)]
        course = model.course(texts)
        costs = np.array([member.cost for member in model.spec.members])
        in_turn = model.spec.strategy in IN_TURN
        decided = {
            member.name: float((course.decided == place).mean()) for place, member in enumerate(model.spec.members)
        }
        return EnsembleReport(
            evaluation=made,
            best=best.name,
            against=against,
            asked=float(course.asked.sum(axis=0).mean()),
            cost=float(costs @ course.asked.mean(axis=1)),
            best_cost=best.cost,
            decided=decided if in_turn else {},
        )

    def explain(self, reference: str, text: str, limits: Limits = NO_LIMITS) -> Explanation:
        """How an ensemble comes to its label for a text, as if nobody had been seen to fail.

        Raises:
            NotFound: no such ensemble.
            InvalidInput: a member cannot be asked here, or nobody is within the limits.
        """
        version, model = self._ensembles.get(reference)
        spec = model.spec
        said = model.said([text])[:, 0]
        course = model.course([text], limits)
        asked = course.asked[:, 0]
        chosen = int(course.decided[0])
        final = said[chosen] if spec.strategy in IN_TURN else model.predict([text])[0]
        notes = _notes(model, text, limits, said.max(axis=1).tolist(), chosen)
        views = []
        for place, member in enumerate(spec.members):
            guess = int(said[place].argmax())
            seen = bool(asked[place])
            views.append(
                MemberView(
                    member.name,
                    seen,
                    spec.labels[guess] if seen else None,
                    round(float(said[place, guess]), 6) if seen else None,
                    member.weight,
                    notes[place],
                )
            )
        top = int(final.argmax())
        return Explanation(
            version.id,
            spec.strategy.value,
            spec.labels[top],
            round(float(final[top]), 6),
            _WHY[spec.strategy],
            tuple(views),
        )

    def _best(self, version: ModelVersion, model: EnsembleModel, dataset: str) -> MemberSpec:
        """The most accurate member on held-out rows; of equals the first."""
        members = model.spec.members
        if all(member.accuracy is not None for member in members):
            return max(members, key=lambda member: member.accuracy or 0.0)
        rows = self._datasets.rows(dataset, Split.VALIDATION, version.domain)
        learned = set[Mark]()
        for member in members:
            self._ensembles.member_model(member)
            found = self._registry.get(str(member.version))
            learned |= learned_marks(self._datasets, self._registry, found, with_validation=False)
        kept = [row for row in rows if not learned.intersection(marks(row))]
        if not kept:
            raise InvalidInput(
                f"{dataset!r} has no validation rows to choose the best member by, that no member has learned from",
                what="dataset",
                requested=dataset,
                remedy="fit the ensemble, which chooses by the rows that it is fitted on",
            )
        said = model.said([row.text for row in kept]).argmax(axis=2)
        labels = model.spec.labels
        right = [sum(labels[g] == row.label for g, row in zip(own, kept, strict=True)) for own in said.tolist()]
        return members[max(range(len(members)), key=lambda place: (right[place], -place))]

    def _usual_dataset(self, version: ModelVersion, model: EnsembleModel) -> str:
        if model.spec.fitted.get("dataset"):
            return str(model.spec.fitted["dataset"])
        for member in model.spec.members:
            sha256 = self._registry.get(member.version).dataset_sha256 if member.version else None
            found = next((each for each in self._datasets.list() if each.sha256 == sha256), None)
            if found is not None:
                return found.id
        raise InvalidInput(
            f"nobody says which data set {version.id!r} is about", what="dataset", remedy="name one with --dataset"
        )


def report_document(report: EnsembleReport) -> dict[str, Any]:
    """The report as the faces show it: plain values, with each comparison's verdict."""
    metrics = report.evaluation.metrics
    return {
        "version": report.evaluation.version,
        "dataset": report.evaluation.dataset,
        "metrics": dict(metrics),
        "best_member": report.best,
        "against": [
            {
                "member": each.first,
                "member_accuracy": each.first_accuracy,
                "ensemble_accuracy": each.second_accuracy,
                "difference": each.result.difference,
                "low": each.result.low,
                "high": each.result.high,
                "p_value": each.result.p_value,
                "verdict": each.verdict,
            }
            for each in report.against
        ],
        "members_asked_per_text": report.asked,
        "cost_per_1000_tokens": report.cost,
        "best_member_cost_per_1000_tokens": report.best_cost,
        "decided_by": report.decided,
    }


_WHY = {
    Strategy.MAJORITY: "the label that most members name",
    Strategy.VOTE: "the label with the most votes, each counting as much as its confidence and weight",
    Strategy.AVERAGE: "the label with the highest weighted mean probability",
    Strategy.STACKING: "the label with the highest product of probabilities, by learned weights",
    Strategy.CASCADE: "the first member, in order, that is confident enough",
    Strategy.SELECT: "the member with the best predicted quality within the limits",
    Strategy.AGREE: "the answer that most members give",
    Strategy.FIRST_GOOD: "the first member that gives a usable answer",
}


def _notes(model: EnsembleModel, text: str, limits: Limits, confidence: Sequence[float], chosen: int) -> list[str]:
    """Why each member was asked or not, in words."""
    spec = model.spec
    if spec.strategy is Strategy.SELECT:
        notes = []
        for candidate in model.candidates(text):
            words = f"predicted quality {candidate.quality:.3f}, cost {candidate.cost:.4g}"
            if candidate.latency_ms is not None:
                words += f", p95 {candidate.latency_ms:.3g} ms"
            broken = why_excluded(candidate, limits)
            notes.append(f"{words}: {broken}" if broken else words)
        return notes
    if spec.strategy is Strategy.CASCADE:
        found = []
        for place, member in enumerate(spec.members):
            needed = NEVER if member.threshold is None else member.threshold
            if place > chosen:
                found.append("not needed")
            elif place == len(spec.members) - 1:
                found.append("the last: its answer stands")
            elif place == chosen:
                found.append(f"confidence {confidence[place]:.3f} reaches {needed:.3f}")
            else:
                found.append(f"confidence {confidence[place]:.3f} is below {needed:.3f}: ask the next")
        return found
    if spec.strategy is Strategy.FIRST_GOOD:
        return ["its answer stands" if place == chosen else "not needed" for place in range(len(spec.members))]
    return [f"weight {member.weight:.3g}" for member in spec.members]
