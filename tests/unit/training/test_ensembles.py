from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from learning_examples import ADA, Learning, examples, write_csv

from bailiwick.datasets.model import Split
from bailiwick.datasets.splitting import Shares
from bailiwick.errors import InvalidInput, NotFound, PolicyDenied
from bailiwick.evaluation.ensembles import EnsembleEvaluation, report_document
from bailiwick.evaluation.judging import Judging
from bailiwick.evaluation.service import EvaluationService
from bailiwick.models import catalogue
from bailiwick.models.ensemble.family import EnsembleFormat
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.selection import Limits
from bailiwick.models.ensemble.spec import MemberSpec, Strategy
from bailiwick.models.ports import ModelFormat
from bailiwick.registry.service import RegistryService
from bailiwick.training.ensembles import EnsembleService, Terms
from bailiwick.training.lineage import learned_marks
from bailiwick.training.service import TrainingService


class House:
    """Two members of the domain ``bank``, trained on the same set, and everything about ensembles."""

    def __init__(self, learning: Learning) -> None:
        database, audit, clock = learning.database, learning.audit, learning.clock

        def format_of(name: str) -> ModelFormat:
            return self.format if name == "ensemble" else catalogue.model_format(name)

        self.learning = learning
        self.datasets = learning.datasets
        self.registry = RegistryService(database, audit, clock, learning.artefacts, format_of)
        self.training = TrainingService(database, audit, clock, self.datasets, self.registry, catalogue.family)
        self.evaluation = EvaluationService(database, audit, clock, self.datasets, self.training, self.registry)
        self.ensembles = EnsembleService(database, self.registry, self.datasets)
        self.format = EnsembleFormat(self.ensembles.member_model)
        self.measuring = EnsembleEvaluation(self.evaluation, self.ensembles, self.registry, self.datasets)
        path = write_csv(learning.folder / "bank.csv", examples(400))
        shares = Shares(test=0.3, validation=0.2)
        self.dataset = self.datasets.import_file(path, actor=ADA, name="bank", shares=shares).id
        self.members = [self.member(seed=1, epochs=2), self.member(seed=2, hidden=8)]

    def member(self, seed: int, **settings: int) -> MemberSpec:
        run = self.training.train("bank", self.dataset, actor=ADA, seed=seed, settings=settings)
        assert run.version is not None
        return MemberSpec("bank", run.version)


@pytest.fixture
def house(learning: Learning) -> House:
    return House(learning)


def test_create__vote__a_version_with_a_digest_that_can_be_loaded_and_measured(house: House) -> None:
    version = house.ensembles.create("bank", house.members, Strategy.VOTE, actor=ADA)
    assert version.family == "ensemble" and version.artefact_sha256 is not None
    assert list(version.card["labels"]) == ["block_card", "exchange_rate", "open_account"]
    assert version.card["ensemble"]["quorum"] == 2
    found, model = house.ensembles.get(version.id)
    assert found.id == version.id and isinstance(model, EnsembleModel)
    again = house.ensembles.create("bank", house.members, Strategy.VOTE, actor=ADA)
    assert again.artefact_sha256 == version.artefact_sha256, "the same ensemble has the same digest"
    report = house.measuring.evaluate(version.id, actor=ADA)
    assert report.evaluation.metrics["accuracy"] > 0.9
    metrics = house.registry.get(version.id).metrics
    assert {"accuracy", "latency_p95_ms", "training_loss", "validation_loss"} <= metrics.keys()
    assert {each.first for each in report.against} == {member.version for member in house.members}
    assert report.asked == 2


@pytest.mark.parametrize("strategy", [Strategy.STACKING, Strategy.CASCADE, Strategy.SELECT])
def test_fit__learned_strategies__remember_from_what(house: House, strategy: Strategy) -> None:
    members = [replace(house.members[0], cost=1.0), replace(house.members[1], cost=10.0)]
    version = house.ensembles.fit("bank", members, strategy, house.dataset, actor=ADA, largest_loss=0.1)
    fitted = version.card["ensemble"]["fitted"]
    snapshot = house.datasets.get(house.dataset)
    assert (fitted["dataset_sha256"], fitted["split"], fitted["left_out"]) == (snapshot.sha256, "validation", 0)
    assert fitted["rows"] == snapshot.domains["bank"]["validation"]
    assert version.dataset_sha256 == snapshot.sha256
    _, model = house.ensembles.get(version.id)
    assert all(member.accuracy is not None for member in model.spec.members)
    report = report_document(house.measuring.evaluate(version.id, actor=ADA))
    assert report["metrics"]["accuracy"] > 0.9
    assert report["against"][0]["member"] == report["best_member"].partition("@")[2]
    if strategy is not Strategy.STACKING:
        assert sum(report["decided_by"].values()) == pytest.approx(1)
    explained = house.measuring.explain(version.id, "please block my stolen card")
    assert explained.label == "block_card"
    assert any(view.asked for view in explained.members)


def test_fit__rows_that_a_member_learned_from__are_left_out_or_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="are new to every member"):
        house.ensembles.fit("bank", house.members, Strategy.STACKING, house.dataset, actor=ADA, split=Split.TRAIN)
    path = write_csv(house.learning.folder / "more.csv", examples(400) + examples(200, seed=9))
    more = house.datasets.import_file(path, actor=ADA, name="more").id
    version = house.ensembles.fit("bank", house.members, Strategy.STACKING, more, actor=ADA, split=Split.TRAIN)
    fitted = version.card["ensemble"]["fitted"]
    assert fitted["left_out"] > 200
    learned = learned_marks(
        house.datasets, house.registry, house.registry.get(str(house.members[0].version)), with_validation=False
    )
    assert fitted["rows"] + fitted["left_out"] == house.datasets.get(more).domains["bank"]["train"]
    assert learned <= learned_marks(house.datasets, house.registry, version, with_validation=False)


def test_fit__test_rows__refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="test rows judge"):
        house.ensembles.fit("bank", house.members, Strategy.STACKING, house.dataset, actor=ADA, split=Split.TEST)


def test_evaluate__test_rows_that_a_member_learned_from__are_left_out(house: House) -> None:
    version = house.ensembles.create("bank", house.members, Strategy.VOTE, actor=ADA)
    rows = house.datasets.rows(house.dataset, Split.TRAIN)
    path = house.learning.folder / "mixed.csv"
    fresh = [(each.text, each.label) for each in examples(200, seed=11)]
    lines = [f"{text},{label},bank,test" for text, label in [*((row.text, row.label) for row in rows[:50]), *fresh]]
    path.write_text("\n".join(["text,label,domain,split", *lines]) + "\n", "utf-8")
    mixed = house.datasets.import_file(path, actor=ADA, name="mixed").id
    made = house.evaluation.evaluate(version.id, actor=ADA, dataset=mixed)
    assert made.metrics["excluded_examples"] >= 50


def test_create__what_does_not_fit__refused_and_nothing_registered(house: House) -> None:
    before = len(house.registry.list())
    ensembles, (one, two) = house.ensembles, house.members
    with pytest.raises(InvalidInput, match="learned from held-out"):
        ensembles.create("bank", house.members, Strategy.STACKING, actor=ADA)
    with pytest.raises(InvalidInput, match="would be this ensemble"):
        ensembles.create("bank", [MemberSpec("bank")], Strategy.VOTE, actor=ADA)
    with pytest.raises(InvalidInput, match="a version of 'bank'"):
        ensembles.create("bank", [one, MemberSpec("loans", two.version)], Strategy.VOTE, actor=ADA)
    with pytest.raises(NotFound):
        ensembles.create("bank", [one, MemberSpec("bank", "bank-v9")], Strategy.VOTE, actor=ADA)
    with pytest.raises(InvalidInput, match="quorum"):
        ensembles.create("bank", house.members, Strategy.VOTE, actor=ADA, terms=Terms(quorum=3))
    with pytest.raises(InvalidInput, match="is no ensemble"):
        ensembles.get(str(one.version))
    assert len(house.registry.list()) == before


def test_evaluate__a_floating_member__cannot_be_measured_beforehand(house: House) -> None:
    version = house.ensembles.create("bank", [house.members[0], MemberSpec("loans")], Strategy.VOTE, actor=ADA)
    with pytest.raises(InvalidInput, match="cannot be measured beforehand"):
        house.measuring.evaluate(version.id, actor=ADA, dataset=house.dataset)


def test_member_model__a_private_member__its_promise_is_not_carried_on(house: House) -> None:
    with house.learning.database.write() as connection:
        private = house.registry.register(
            connection, ADA, domain="bank", family="linear-text", card={"privacy": {"epsilon": "1"}}
        )
    with pytest.raises(PolicyDenied, match="promises differential privacy"):
        house.ensembles.member_model(MemberSpec("bank", private.id))


def test_judging__an_ensemble_over_members_that_learned_from_a_set__has_learned_from_it(house: House) -> None:
    """Metrics that are published for a price must not be of rows that a member learned from for nothing."""
    version = house.ensembles.create("bank", house.members, Strategy.VOTE, actor=ADA)
    judging: Judging = house.evaluation.judging()
    assert [each.id for each in judging.subject(version.id, house.dataset).learned] == [house.dataset]


def test_explain__limits__say_who_is_left_out_and_why(house: House) -> None:
    members = [replace(house.members[0], cost=1.0), replace(house.members[1], cost=1000.0)]
    version = house.ensembles.fit("bank", members, Strategy.SELECT, house.dataset, actor=ADA)
    explained = house.measuring.explain(version.id, "block my card", Limits(max_cost=0.01))
    assert [view.asked for view in explained.members] == [True, False]
    assert "more than 0.01" in explained.members[1].note
    with pytest.raises(InvalidInput, match="no member costs as little"):
        house.measuring.explain(version.id, "block my card", Limits(max_cost=0.0))


def test_list__ensembles_only__of_one_domain(house: House, tmp_path: Path) -> None:
    version = house.ensembles.create("bank", house.members, Strategy.AVERAGE, actor=ADA)
    assert [each.id for each in house.ensembles.list("bank")] == [version.id]
    assert not house.ensembles.list("loans")
    assert house.ensembles.get("bank")[0].id == version.id
