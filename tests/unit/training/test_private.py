"""Private training through budgets, runs and versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from privacy_examples import account, service

from bailiwick.datasets.model import Split
from bailiwick.datasets.readers import Columns
from bailiwick.errors import BudgetExhausted, InvalidInput, NotFound
from bailiwick.models.catalogue import private_family
from bailiwick.models.model import LabelledText
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.audit.end_to_end import audit_releases
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.terms import Categories, PrivacySettings
from bailiwick.training.model import RunStatus
from bailiwick.training.private import PrivateTrainingService

pytest.importorskip("opendp")

KEY = AccountKey("customers", "bank")
LABELS = ("block_card", "exchange_rate", "open_account")
SMALL = {"features": 64, "steps": 2}


class Private:
    def __init__(self, learning: Learning, *, settings: bool = True, independent: bool = True) -> None:
        self.learning = learning
        self.privacy = service(learning.database)
        self.privacy.ledger.open(replace(account(KEY, Cost.cap(epsilon=3, delta="1e-4"))), ADA)
        if settings:
            self.privacy.set_settings(KEY, PrivacySettings(2, {}, {"label": Categories(LABELS)}), ADA)
        path = write_csv(learning.folder / "bank.csv", examples(150))
        path.write_text(path.read_text("utf-8").replace("text,label,unit", "text,label,customer", 1), "utf-8")
        learning.datasets.import_file(path, actor=ADA, columns=Columns(unit="customer"), independent_units=independent)
        self.training = PrivateTrainingService(learning.training, learning.datasets, self.privacy, private_family)

    def train(self, epsilon: float = 1.0):
        return self.training.train("bank", "bank", actor=ADA, epsilon=epsilon, delta="1e-6", settings=SMALL)


def test_train__within_budget__version_says_what_it_cost_and_what_is_not_protected(learning: Learning) -> None:
    private = Private(learning)
    run = private.train()
    card = learning.registry.get(run.version).card["privacy"]
    assert (card["unit"], card["epsilon"], card["delta"]) == ("customer", 1.0, 1e-6)
    assert "Gaussian" in card["method"]
    assert any("metrics" in line for line in card["not_protected"])
    [release] = private.privacy.ledger.releases()
    assert card["release"] == release.charge.id
    assert release.output["training_run"] == run.id
    balance = private.privacy.ledger.accounts()[0][1]
    assert (balance.spent, balance.held) == (1_000_000_000, 0)
    assert learning.registry.load(run.version).card.labels == LABELS
    assert run.status is RunStatus.SUCCEEDED
    assert run.losses == ()


def test_train__too_dear__refused_without_a_charge_or_a_version(learning: Learning) -> None:
    private = Private(learning)
    with pytest.raises(BudgetExhausted, match="requested epsilon 4"):
        private.train(4.0)
    assert private.privacy.ledger.accounts()[0][1].spent == 0
    assert learning.registry.list("bank") == []
    assert learning.training.list() == []


def test_train__terms_without_labels_or_cap__refused_naming_them(learning: Learning) -> None:
    with pytest.raises(InvalidInput, match=r"contribution_cap.*categories\.label"):
        Private(learning, settings=False).train()


def test_train__units_not_independent__refused(learning: Learning) -> None:
    with pytest.raises(InvalidInput, match="no unit is protected"):
        Private(learning, independent=False).train()


def test_train__another_version_is_imported_meanwhile__learns_from_the_one_that_was_checked(learning: Learning) -> None:
    private = Private(learning)
    checked = learning.datasets.get("bank")
    family = private_family("private-linear-text")

    class Slow:
        """A family that takes its time to plan."""

        def plan(self, *given: Any) -> Any:
            path = write_csv(learning.folder / "bank.csv", examples(90, seed=3))
            learning.datasets.import_file(path, actor=ADA)  # not independent, and about no unit
            return family.plan(*given)

        def __getattr__(self, name: str) -> Any:
            return getattr(family, name)

    training = PrivateTrainingService(learning.training, learning.datasets, private.privacy, lambda _name: Slow())
    run = training.train("bank", "bank", actor=ADA, epsilon=1, delta="1e-6", settings=SMALL)
    assert run.dataset == checked.id != learning.datasets.get("bank").id


def test_train__no_account__not_found(learning: Learning) -> None:
    private = Private(learning)
    learning.bank(name="other")
    with pytest.raises(NotFound, match="no privacy budget"):
        private.training.train("bank", "other", actor=ADA, epsilon=1, delta="1e-6")


def test_train__neighbours_of_which_one_has_no_row_of_the_domain__both_train_and_pay(learning: Learning) -> None:
    # The only customer of the domain is there or not: were one refused, the refusal would tell.
    private = Private(learning)
    common = [f"{each.text},{each.label},{each.unit},loans" for each in examples(30)]
    for name, lines in (("without", common), ("with", [*common, "block my card,block_card,zed,bank"])):
        key = AccountKey("customers", name)
        private.privacy.ledger.open(replace(account(key, Cost.cap(epsilon=3, delta="1e-4"))), ADA)
        private.privacy.set_settings(key, PrivacySettings(2, {}, {"label": Categories(LABELS)}), ADA)
        path = learning.folder / f"{name}.csv"
        path.write_text("\n".join(["text,label,customer,domain", *lines]) + "\n", "utf-8")
        learning.datasets.import_file(path, actor=ADA, columns=Columns(unit="customer"), independent_units=True)
        run = private.training.train("bank", name, actor=ADA, epsilon=1, delta="1e-6", settings=SMALL)
        assert learning.registry.load(run.version).card.labels == LABELS
        assert private.privacy.ledger.balance(key).spent == 10**9


def test_train__crash_while_training__budget_is_spent_and_run_failed(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = Private(learning)
    monkeypatch.setattr(learning.datasets, "examples", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        private.train()
    assert private.privacy.ledger.accounts()[0][1].spent == 1_000_000_000
    assert learning.training.list()[0].status is RunStatus.FAILED


def test_import__independent_units__one_unit_more_changes_no_other_row(learning: Learning, tmp_path: Path) -> None:
    made = examples(150)
    # A customer who wrote what others wrote: enough to move or remove their rows in the usual way of splitting.
    more = [LabelledText(example.text, example.label, "zed") for example in made[:30]]

    def rows(given: list[LabelledText], name: str, independent: bool) -> set[tuple[str | None, str, Split | None]]:
        folder = tmp_path / f"{name}-{independent}"
        folder.mkdir()
        made = learning.datasets.import_file(
            write_csv(folder / "x.csv", given), actor=ADA, name="same", independent_units=independent
        )
        found = learning.datasets.rows(made.id)
        return {(row.unit, row.text, row.split) for row in found if row.unit != "zed"}

    assert rows(made, "few", True) == rows(made + more, "many", True)
    assert rows(made, "few", False) != rows(made + more, "many", False)


def test_end_to_end__release_whose_cap_is_not_applied__is_refuted() -> None:
    import json

    import numpy as np

    from bailiwick.privacy.training_noise import add_discrete_gaussian

    def release(rows: int) -> str:
        return json.dumps(int(add_discrete_gaussian(np.array([rows]), 3.7)[0]))

    refuted = audit_releases(lambda: release(0), lambda: release(40), float, 1.0, runs=300, delta=1e-5)
    honest = audit_releases(lambda: release(0), lambda: release(1), float, 1.0, runs=300, delta=1e-5)
    assert refuted.refuted
    assert not honest.refuted
