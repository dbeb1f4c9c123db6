"""Metrics that may be published: paid for by those whose rows they follow from, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from private_rows import LABELS, UNIT, import_units, open_budget

from bailiwick.clock import VirtualClock
from bailiwick.datasets.model import Split
from bailiwick.errors import BudgetExhausted, InvalidInput, NotFound, PolicyDenied
from bailiwick.evaluation.private_metrics import PrivateMetric, PrivateMetrics, most_loss
from bailiwick.models.catalogue import private_family
from bailiwick.models.model import LabelledText
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.service import PrivacyService
from bailiwick.training.private import PrivateTrainingService

pytest.importorskip("opendp")

BOTH = (PrivateMetric.ACCURACY, PrivateMetric.CONFUSION)
LOSSES = (PrivateMetric.TEST_LOSS, PrivateMetric.VALIDATION_LOSS, PrivateMetric.TRAINING_LOSS)


@pytest.fixture
def privacy(learning: Learning, clock: VirtualClock) -> PrivacyService:
    return PrivacyService(learning.database, learning.audit, clock)


@pytest.fixture
def metrics(learning: Learning, privacy: PrivacyService) -> PrivateMetrics:
    return PrivateMetrics(learning.evaluation.judging(), privacy)


def about_nobody(learning: Learning, name: str) -> str:
    """A set without a unit column, and a version trained on it as usual."""
    path = write_csv(learning.folder / f"{name}.csv", [replace(each, unit="") for each in examples(150)])
    path.write_text("\n".join(_without_unit(line) for line in path.read_text("utf-8").splitlines()) + "\n", "utf-8")
    learning.datasets.import_file(path, actor=ADA, name=name)
    return learning.training.train("bank", name, actor=ADA, seed=1).version or ""


def _without_unit(line: str) -> str:
    text, label, _, domain = line.split(",")
    return f"{text},{label},{domain}"


@pytest.fixture
def version(learning: Learning) -> str:
    """Learned from rows about nobody; judged on those of ``bank``, which are about units."""
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(150, seed=3)))
    return about_nobody(learning, "public")


def private_version(learning: Learning, privacy: PrivacyService, epsilon: str = "50") -> str:
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(150)))
    open_budget(privacy, "bank", "bank")
    training = PrivateTrainingService(learning.training, learning.datasets, privacy, private_family)
    settings = {"features": 64, "steps": 2}
    run = training.train("bank", "bank", actor=ADA, epsilon=epsilon, delta="1e-6", settings=settings)
    assert run.version is not None
    return run.version


def spent(privacy: PrivacyService, *key: str) -> int:
    return privacy.ledger.balance(AccountKey(UNIT.namespace, *key)).spent


def test_release__accuracy_and_confusion__near_the_truth_and_charged(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics, version: str
) -> None:
    open_budget(privacy, "bank", "bank")
    judging = learning.evaluation.judging()
    judged = judging.judge(judging.subject(version, "bank"), Split.TEST)
    right = [row.label == said for row, said in zip(judged.rows, judged.predicted, strict=True)]
    found = metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(100), dataset="bank")
    # epsilon 25 for the sum and for the count of 30 rows: off by a twentieth with a probability below 1e-13
    assert found.output["accuracy"]["mean"] == pytest.approx(sum(right) / len(right), abs=0.1)
    cells = {tuple(cell["key"]): cell["count"] for cell in found.output["confusion"]["cells"]}
    assert len(cells) == len(LABELS) * (len(LABELS) + 1)
    assert sum(cells.values()) == pytest.approx(len(right), abs=6)
    assert spent(privacy, "bank") == spent(privacy, "bank", "bank") == 100 * 10**9
    assert "accuracy" not in learning.registry.get(version).metrics, "only those of private versions are recorded"


def test_release__private_version__every_metric_recorded_where_gates_look(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics
) -> None:
    made = private_version(learning, privacy)
    asked = (PrivateMetric.ACCURACY, *LOSSES)
    found = metrics.release(made, asked, UNIT.namespace, actor=ADA, cost=Cost.of(100))
    recorded = learning.registry.get(made).metrics
    assert recorded["accuracy"] == found.output["accuracy"]["mean"]
    assert recorded["training_loss"] == found.output["training-loss"]["mean"]
    assert {"validation_loss", "test_loss", "latency_p95_ms", "size_bytes"} <= recorded.keys()
    assert 0 <= recorded["training_loss"] <= most_loss(len(LABELS))
    judging = learning.evaluation.judging()
    losses = judging.judge(judging.subject(made), Split.TRAIN).losses
    assert recorded["training_loss"] == pytest.approx(sum(losses) / len(losses), abs=0.1)
    # The training paid for those who trained, the release for all splits of the same set: both on one account.
    assert spent(privacy, "bank", "bank") == 150 * 10**9


def test_release__private_version_on_another_set__that_set_pays_and_training_paid_before(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics
) -> None:
    made = private_version(learning, privacy)
    import_units(learning.datasets, write_csv(learning.folder / "other.csv", examples(60, seed=5)))
    open_budget(privacy, "other", "bank")
    metrics.release(made, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1), dataset="other")
    assert spent(privacy, "other") == 10**9
    assert spent(privacy, "bank") == 50 * 10**9
    with pytest.raises(InvalidInput, match="trained on"):
        metrics.release(made, LOSSES, UNIT.namespace, actor=ADA, cost=Cost.of(1), dataset="other")


def test_release__version_that_learned_from_persons_without_privacy__refused_on_any_set(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics
) -> None:
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(150)))
    import_units(learning.datasets, write_csv(learning.folder / "other.csv", examples(60, seed=5)))
    exposed = learning.training.train("bank", "bank", actor=ADA, seed=1).version or ""
    tuned = learning.training.train("bank", "bank", actor=ADA, seed=1, start_version=exposed).version or ""
    for lineage in ("bank", "other"):
        open_budget(privacy, lineage, "bank")
        for version in (exposed, tuned):
            with pytest.raises(PolicyDenied, match="learned from bank without"):
                metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1), dataset=lineage)
        assert spent(privacy, lineage) == 0


def test_release__fine_tuned_from_one_that_learned_from_persons__refused(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics
) -> None:
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(150)))
    open_budget(privacy, "bank", "bank")
    parent = learning.training.train("bank", "bank", actor=ADA, seed=1).version or ""
    about_nobody(learning, "public")
    child = learning.training.train("bank", "public", actor=ADA, seed=1, start_version=parent).version or ""
    with pytest.raises(PolicyDenied, match="learned from bank"):
        metrics.release(child, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1), dataset="bank")


def test_release__learned_from_a_set_that_has_a_budget_but_no_unit_column__refused(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics, version: str
) -> None:
    open_budget(privacy, "bank", "bank")
    open_budget(privacy, "public")
    with pytest.raises(PolicyDenied, match="learned from public"):
        metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1), dataset="bank")


def test_release__refusals__nothing_charged(privacy: PrivacyService, metrics: PrivateMetrics, version: str) -> None:
    def release(asked: tuple[PrivateMetric, ...], cost: Cost | None) -> None:
        metrics.release(version, asked, UNIT.namespace, actor=ADA, cost=cost, dataset="bank")

    with pytest.raises(NotFound):
        release(BOTH, Cost.of(1))
    open_budget(privacy, "bank", "bank", epsilon="1")
    for asked, cost in (((), Cost.of(1)), (BOTH, None)):
        with pytest.raises(InvalidInput):
            release(asked, cost)
    with pytest.raises(BudgetExhausted):
        release(BOTH, Cost.of(2))
    assert spent(privacy, "bank") == 0


def test_release__set_without_a_unit__does_not_apply(metrics: PrivateMetrics, version: str) -> None:
    with pytest.raises(InvalidInput, match="does not apply"):
        metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1))


def test_release__no_row_of_the_domain__noise_and_not_an_error(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics
) -> None:
    made = private_version(learning, privacy)
    others = write_csv(learning.folder / "elsewhere.csv", examples(30), domain="loans")
    import_units(learning.datasets, others)
    open_budget(privacy, "elsewhere", "bank")
    asked = (*BOTH, PrivateMetric.TEST_LOSS)
    found = metrics.release(made, asked, UNIT.namespace, actor=ADA, cost=Cost.of(3), dataset="elsewhere")
    assert found.output.keys() == {metric.value for metric in asked}
    assert spent(privacy, "elsewhere", "bank") == 3 * 10**9


def test_judge__test_texts_that_were_also_learned_from__all_stay(learning: Learning, version: str) -> None:
    # Were they left out, whoever holds a training row would decide over the test row of somebody else.
    import_units(learning.datasets, write_csv(learning.folder / "again.csv", _known(learning)))
    test_rows = learning.datasets.rows("again", Split.TEST, "bank")
    with pytest.raises(InvalidInput, match="were learned from"):
        learning.evaluation.evaluate(version, actor=ADA, dataset="again")
    judging = learning.evaluation.judging()
    assert list(judging.judge(judging.subject(version, "again"), Split.TEST).rows) == list(test_rows)


def _known(learning: Learning) -> list[LabelledText]:
    rows = learning.datasets.rows("public", Split.TRAIN)
    return [LabelledText(row.text, row.label, f"other-{at}") for at, row in enumerate(rows)]


def test_evaluate__private_version_on_persons__refused_and_nothing_recorded(
    learning: Learning, privacy: PrivacyService
) -> None:
    made = private_version(learning, privacy)
    with pytest.raises(PolicyDenied, match="release-metrics"):
        learning.evaluation.evaluate(made, actor=ADA)
    with pytest.raises(PolicyDenied, match="promises differential privacy"):
        learning.evaluation.compare(made, made)
    assert learning.registry.get(made).metrics == {}
    assert learning.evaluation.list(made) == []


def test_evaluate__private_version_on_rows_about_nobody__all_rows_and_no_training_loss(
    learning: Learning, privacy: PrivacyService
) -> None:
    made = private_version(learning, privacy)
    about_nobody(learning, "public")  # the same texts as those that it learned from
    found = learning.evaluation.evaluate(made, actor=ADA, dataset="public").metrics
    assert found["excluded_examples"] == 0
    assert found["test_examples"] == len(learning.datasets.rows("public", Split.TEST))
    assert "training_loss" not in found


def test_record__of_a_private_version__carries_no_hash_of_its_rows(learning: Learning, privacy: PrivacyService) -> None:
    made = learning.registry.get(private_version(learning, privacy))
    sha256 = learning.datasets.get("bank").sha256
    assert made.dataset_sha256 is None
    assert sha256[:12] not in str(made)


def test_report_card__of_metrics__carries_no_hash_of_the_rows(
    learning: Learning, privacy: PrivacyService, metrics: PrivateMetrics, version: str, tmp_path: Path
) -> None:
    open_budget(privacy, "bank", "bank")
    found = metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1), dataset="bank")
    assert learning.datasets.get("bank").sha256[:12] not in str(found.card)
