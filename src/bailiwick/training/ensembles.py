"""Ensembles as versions of a domain: put together, or fitted on texts that no member has learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from bailiwick.datasets.model import Dataset, Row, Split
from bailiwick.datasets.service import DatasetService
from bailiwick.domains.model import Domain
from bailiwick.errors import InvalidInput, PolicyDenied
from bailiwick.governance.audit import Actor
from bailiwick.models.ensemble.cascade import choose_thresholds
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.quality import Quality, fit_quality
from bailiwick.models.ensemble.spec import IN_TURN, LEARNED, NAME, TEXTS, EnsembleSpec, MemberSpec, Strategy
from bailiwick.models.ensemble.stacking import fit_weights
from bailiwick.models.ports import FittedModel
from bailiwick.registry.model import ModelVersion
from bailiwick.registry.service import RegistryService
from bailiwick.storage.database import Database
from bailiwick.training.lineage import Mark, learned_marks, marks

FEWEST_ROWS = 15
"""Held-out texts below which nothing can be learned from them."""

LARGEST_LOSS = 0.01
"""Accuracy that a cascade may give up against its last member, unless somebody says otherwise: one point."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How an ensemble asks; see `EnsembleSpec`. ``quorum`` None: more than half of the members, or one in turn."""

    quorum: int | None = None
    deadline_ms: float = 10_000.0
    slow_ms: float | None = None
    judge: MemberSpec | None = None
    cost_weight: float = 0.0


class EnsembleService:
    """Registers ensembles. Each is a version: immutable, named by a digest, deployed through the gates like any other.

    Args:
        database: where versions are recorded.
        registry: of the versions, its members among them.
        datasets: where held-out texts come from.
        domain_of: the definition of a domain; raises `NotFound`.
    """

    def __init__(
        self,
        database: Database,
        registry: RegistryService,
        datasets: DatasetService,
        domain_of: Callable[[str], Domain] | None = None,
    ) -> None:
        self._database = database
        self._registry = registry
        self._datasets = datasets
        self._domain_of = domain_of

    def create(
        self,
        domain: str,
        members: Sequence[MemberSpec],
        strategy: Strategy,
        *,
        actor: Actor,
        terms: Terms = Terms(),
    ) -> ModelVersion:
        """Register an ensemble that has nothing to learn.

        Args:
            domain: whose version it becomes.
            members: in the order in which they are asked, where that matters.
            strategy: one that is not learned; a cascade needs the threshold of every member but the last.
            actor: who registers.
            terms: how it asks.

        Raises:
            NotFound: no such domain or member.
            InvalidInput: the members, the strategy and the terms do not fit together.
        """
        by_hand = strategy is Strategy.CASCADE and all(member.threshold is not None for member in members[:-1])
        if strategy in LEARNED and not by_hand:
            raise InvalidInput(
                f"an ensemble with the strategy {strategy.value!r} is learned from held-out texts",
                what="strategy",
                requested=strategy.value,
                remedy=f"bailiwick ensemble fit {domain} --strategy {strategy.value} --dataset NAME --member ...",
            )
        spec = self._spec(domain, members, strategy, terms)
        return self._register(domain, spec, None, actor, None)

    def fit(
        self,
        domain: str,
        members: Sequence[MemberSpec],
        strategy: Strategy,
        dataset: str,
        *,
        actor: Actor,
        split: Split = Split.VALIDATION,
        largest_loss: float = LARGEST_LOSS,
        terms: Terms = Terms(),
    ) -> ModelVersion:
        """Learn what the strategy needs from held-out rows of a data set, and register the ensemble.

        Rows whose text or unit a member, or a version that it descends from, has learned from are left out and counted.

        Args:
            domain: whose version it becomes, and whose rows are read.
            members: fixed versions with a model in this process.
            strategy: of labels, or in turn.
            dataset: id or name.
            actor: who fits.
            split: never the test rows: they judge the ensemble.
            largest_loss: of a cascade: accuracy that it may give up against its last member, with 95 % confidence.
            terms: how it asks.

        Raises:
            NotFound: no such domain, member or data set.
            InvalidInput: too few rows are left, or a member cannot be asked here.
            PolicyDenied: a member promises differential privacy.
        """
        if split is Split.TEST:
            raise InvalidInput(
                "the test rows judge the ensemble; it cannot learn from them",
                what="split",
                requested=split.value,
                allowed=[Split.VALIDATION.value, Split.TRAIN.value],
            )
        if strategy in TEXTS:
            raise InvalidInput(
                f"{strategy.value!r} has nothing to learn", what="strategy", remedy="bailiwick ensemble create"
            )
        if not 0 <= largest_loss < 1:
            raise InvalidInput(
                f"a loss of accuracy of {largest_loss:g}",
                what="largest_loss",
                requested=largest_loss,
                allowed="0 to below 1, such as 0.01 for one point",
            )
        # checked as it will be, but for what is learned: equal weights stand in
        plain = self._spec(domain, members, Strategy.AVERAGE, terms)
        if any(member.version is None for member in plain.members):
            self._spec(domain, members, Strategy.STACKING, terms)  # says which one, and what to do
        snapshot = self._datasets.get(dataset)
        rows, left_out = self._held_out(snapshot, split, domain, plain.members)
        learned, quality = _learn(strategy, plain, self.member_model, rows, largest_loss)
        fitted = {
            "dataset": snapshot.id,
            "dataset_sha256": snapshot.sha256,
            "split": split.value,
            "rows": len(rows),
            "left_out": left_out,
            **({"largest_loss": largest_loss} if strategy is Strategy.CASCADE else {}),
            "accuracy": _accuracy(EnsembleModel(learned, quality, self.member_model), rows),
        }
        return self._register(domain, replace(learned, fitted=fitted), quality, actor, snapshot.sha256)

    def get(self, reference: str) -> tuple[ModelVersion, EnsembleModel]:
        """A version that is an ensemble, by its id, or by its domain: the newest.

        Raises:
            NotFound: there is none.
            InvalidInput: the version is none.
        """
        version = self._registry.resolve(reference)
        if version.family != NAME and version.id != reference:
            newest = next((each for each in self._registry.list(reference) if each.family == NAME), None)
            version = newest or version
        if version.family != NAME:
            raise InvalidInput(
                f"{version.id!r} is no ensemble", what="version", requested=reference, remedy="bailiwick ensemble list"
            )
        model = self._registry.load(version.id)
        assert isinstance(model, EnsembleModel)
        return version, model

    def list(self, domain: str | None = None) -> Sequence[ModelVersion]:
        """Ensembles of a domain or of all, newest first."""
        return [version for version in self._registry.list(domain) if version.family == NAME]

    def member_model(self, member: MemberSpec) -> FittedModel:
        """The model of a member, to learn and to measure with.

        Raises:
            InvalidInput: it is not a fixed version, or a model of another server.
            PolicyDenied: it promises differential privacy: what it says of rows would be told without being paid for.
            NotFound, Conflict: it is not there, or damaged.
        """
        if member.version is None:
            raise InvalidInput(
                f"the member {member.name!r} is whatever the domain serves: it cannot be measured beforehand",
                what="members",
                requested=member.name,
                allowed="domain@version",
                remedy="name a version, or judge the ensemble in the shadow or in an experiment",
            )
        version = self._registry.get(member.version)
        if version.card.get("privacy"):
            raise PolicyDenied(
                f"the member {member.name!r} promises differential privacy; an ensemble cannot carry the promise on",
                what="members",
                requested=member.name,
                remedy="leave it out",
            )
        return self._registry.load(member.version)

    def _spec(self, domain: str, members: Sequence[MemberSpec], strategy: Strategy, terms: Terms) -> EnsembleSpec:
        if self._domain_of is not None:
            for name in {domain, *(member.domain for member in members)}:
                self._domain_of(name)
        if any(member.domain == domain and member.version is None for member in members):
            raise InvalidInput(
                f"whatever {domain!r} serves would be this ensemble, once it is deployed",
                what="members",
                requested=domain,
                allowed="domain@version",
                remedy=f"name a version: `bailiwick model list --domain {domain}` shows them, {domain}~0 is the newest",
            )
        checked = [self._checked(member) for member in members]
        if terms.judge is not None:
            self._checked(terms.judge)
        labels = sorted({label for _, version in checked if version for label in version.card.get("labels", ())})
        usual = 1 if strategy in IN_TURN else len(members) // 2 + 1
        return EnsembleSpec(
            strategy=strategy,
            members=tuple(member for member, _ in checked),
            labels=tuple(labels),
            quorum=usual if terms.quorum is None else terms.quorum,
            deadline_ms=terms.deadline_ms,
            slow_ms=terms.slow_ms,
            judge=terms.judge,
            cost_weight=terms.cost_weight,
        )

    def _checked(self, member: MemberSpec) -> tuple[MemberSpec, ModelVersion | None]:
        """The member with what its version measured; the version where it names one."""
        if member.version is None:
            return member, None
        version = self._registry.get(member.version)
        if version.domain != member.domain:
            raise InvalidInput(
                f"{member.version!r} is a version of {version.domain!r}, not of {member.domain!r}",
                what="members",
                requested=member.name,
                allowed=f"{version.domain}@{version.id}",
            )
        measured = version.metrics.get("latency_p95_ms")
        if member.latency_ms is None and measured is not None:
            member = replace(member, latency_ms=float(measured))
        return member, version

    def _held_out(
        self, snapshot: Dataset, split: Split, domain: str, members: Sequence[MemberSpec]
    ) -> tuple[Sequence[Row], int]:
        rows = self._datasets.rows(snapshot.id, split, domain)
        learned = set[Mark]()
        for member in members:
            assert member.version is not None
            version = self._registry.get(member.version)
            learned |= learned_marks(self._datasets, self._registry, version, with_validation=False)
        kept = [row for row in rows if not learned.intersection(marks(row))]
        if len(kept) < FEWEST_ROWS:
            raise InvalidInput(
                f"{len(kept)} {split.value} rows of {snapshot.id!r} in {domain!r} are new to every member, "
                f"{len(rows) - len(kept)} are not",
                what="dataset",
                requested=snapshot.id,
                allowed=f"at least {FEWEST_ROWS} rows",
                remedy="import rows that no member was trained on, and name them with --dataset and --split",
            )
        return kept, len(rows) - len(kept)

    def _register(
        self, domain: str, spec: EnsembleSpec, quality: Quality | None, actor: Actor, dataset_sha256: str | None
    ) -> ModelVersion:
        model = EnsembleModel(spec, quality, self.member_model)
        artefact = self._registry.store_model(model)
        card = {**asdict(model.card), "ensemble": ensemble_card(spec)}
        with self._database.write() as connection:
            return self._registry.register(
                connection,
                actor,
                domain=domain,
                family=NAME,
                artefact=artefact,
                dataset_sha256=dataset_sha256,
                card=card,
            )


def ensemble_card(spec: EnsembleSpec) -> dict[str, Any]:
    """What a version's card says of it as an ensemble; ``versions`` are those of its members that are fixed."""
    return {
        "strategy": spec.strategy.value,
        "members": [member.name for member in spec.members],
        "versions": [member.version for member in spec.members if member.version],
        "judge": spec.judge.name if spec.judge else None,
        "quorum": spec.quorum,
        "deadline_ms": spec.deadline_ms,
        "fitted": dict(spec.fitted),
    }


def _learn(
    strategy: Strategy,
    plain: EnsembleSpec,
    load: Callable[[MemberSpec], FittedModel],
    rows: Sequence[Row],
    largest_loss: float,
) -> tuple[EnsembleSpec, Quality | None]:
    """The spec with what was learned, and for ``select`` the qualities."""
    texts = [row.text for row in rows]
    said = EnsembleModel(plain, None, load).said(texts)
    at = {label: place for place, label in enumerate(plain.labels)}
    truth = np.array([at.get(row.label, -1) for row in rows])
    right = said.argmax(axis=2) == truth
    members = [
        replace(member, accuracy=round(float(own.mean()), 6)) for member, own in zip(plain.members, right, strict=True)
    ]
    quality = None
    quorum = plain.quorum
    if strategy is Strategy.STACKING:
        weights = fit_weights(said, truth).tolist()
        members = [replace(each, weight=round(weight, 6)) for each, weight in zip(members, weights, strict=True)]
    elif strategy is Strategy.CASCADE:
        found = choose_thresholds(said.max(axis=2), right, largest_loss)
        members = [replace(each, threshold=limit) for each, limit in zip(members, (*found, None), strict=True)]
    elif strategy is Strategy.SELECT:
        quality = fit_quality(texts, right)
    if strategy in IN_TURN:
        quorum = 1
    return replace(plain, strategy=strategy, members=tuple(members), quorum=quorum), quality


def _accuracy(model: EnsembleModel, rows: Sequence[Row]) -> Mapping[str, float]:
    """On the rows that were learned from: of the ensemble, which flatters it, and of each member."""
    predicted = model.predict([row.text for row in rows]).argmax(axis=1).tolist()
    labels = model.card.labels
    own = sum(labels[guess] == row.label for guess, row in zip(predicted, rows, strict=True)) / len(rows)
    return {"ensemble": round(own, 6), **{member.name: member.accuracy or 0.0 for member in model.spec.members}}
