from __future__ import annotations

from dataclasses import replace

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from private_rows import LABELS, UNIT, import_units, open_budget

from bailiwick.clock import VirtualClock
from bailiwick.datasets.model import Split
from bailiwick.errors import BudgetExhausted, InvalidInput, NotFound
from bailiwick.evaluation.private_metrics import PrivateMetric, PrivateMetrics
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.service import PrivacyService

BOTH = (PrivateMetric.ACCURACY, PrivateMetric.CONFUSION)


@pytest.fixture
def privacy(learning: Learning, clock: VirtualClock) -> PrivacyService:
    return PrivacyService(learning.database, learning.audit, clock)


@pytest.fixture
def version(learning: Learning) -> str:
    import_units(learning.datasets, write_csv(learning.folder / "bank.csv", examples(150)))
    run = learning.training.train("bank", "bank", actor=ADA, seed=1)
    assert run.version is not None
    return run.version


def test_release__accuracy_and_confusion__near_the_truth_and_charged(
    learning: Learning, privacy: PrivacyService, version: str
) -> None:
    open_budget(privacy, "bank", "bank")
    truth = learning.evaluation.evaluate(version, actor=ADA).metrics
    metrics = PrivateMetrics(learning.evaluation.judge, privacy)
    found = metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(100))
    # epsilon 25 for the sum and for the count of 30 rows: off by a twentieth with a probability below 1e-13
    assert found.output["accuracy"]["mean"] == pytest.approx(truth["accuracy"], abs=0.1)
    cells = {tuple(cell["key"]): cell["count"] for cell in found.output["confusion"]["cells"]}
    assert len(cells) == len(LABELS) * (len(LABELS) + 1)
    assert sum(cells.values()) == pytest.approx(truth["test_examples"], abs=6)
    assert "trained with differential privacy" in " ".join(found.card["not_protected"])
    assert privacy.ledger.balance(AccountKey(UNIT.namespace, "bank", "bank")).spent == 100 * 10**9


def test_release__refusals__nothing_charged(learning: Learning, privacy: PrivacyService, version: str) -> None:
    metrics = PrivateMetrics(learning.evaluation.judge, privacy)
    with pytest.raises(NotFound):
        metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(1))
    open_budget(privacy, "bank", "bank", epsilon="1")
    for asked, cost in (((), Cost.of(1)), (BOTH, None)):
        with pytest.raises(InvalidInput):
            metrics.release(version, asked, UNIT.namespace, actor=ADA, cost=cost)
    with pytest.raises(BudgetExhausted):
        metrics.release(version, BOTH, UNIT.namespace, actor=ADA, cost=Cost.of(2))
    assert privacy.ledger.balance(AccountKey(UNIT.namespace, "bank")).spent == 0


def test_judge__test_texts_that_were_also_learned_from__all_stay(learning: Learning, version: str) -> None:
    # Were they left out, whoever holds a training row would decide over the test row of somebody else.
    others = [replace(each, unit=f"other-{each.unit}") for each in examples(150)]
    import_units(learning.datasets, write_csv(learning.folder / "again.csv", others))
    test_rows = learning.datasets.rows("again", Split.TEST, "bank")
    with pytest.raises(InvalidInput, match="were learned from"):
        learning.evaluation.evaluate(version, actor=ADA, dataset="again")
    assert list(learning.evaluation.judge(version, "again").rows) == list(test_rows)
