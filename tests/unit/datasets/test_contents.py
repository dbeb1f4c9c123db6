"""What a privacy budget is bound to: the texts of a data set, whatever else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from private_rows import UNIT, import_units
from sqlalchemy import text

from bailiwick.datasets.private_questions import Statistic
from bailiwick.datasets.private_statistics import Asked, PrivateStatistics
from bailiwick.datasets.readers import Columns
from bailiwick.errors import Conflict, InvalidInput
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.service import PrivacyService


def service(learning: Learning) -> PrivacyService:
    return PrivacyService(learning.database, learning.audit, learning.clock, learning.datasets.contents)


def test_contents__same_texts_under_another_name_label_or_unit__are_the_same(learning: Learning) -> None:
    made = examples(30)
    learning.datasets.import_file(write_csv(learning.folder / "one.csv", made), actor=ADA)
    other = [replace(each, label="block_card", unit=f"other-{each.unit}") for each in reversed(made)]
    learning.datasets.import_file(
        write_csv(learning.folder / "two.csv", other, domain="loans"),
        actor=ADA,
        columns=Columns(),
        independent_units=True,
    )
    assert learning.datasets.contents("one") == learning.datasets.contents("two")
    assert len(learning.datasets.contents("one")) == 1
    assert learning.datasets.contents("none") == []


def test_contents__one_text_more__is_another_and_versions_add_up(learning: Learning) -> None:
    for count in (30, 31, 30):
        learning.datasets.import_file(write_csv(learning.folder / "one.csv", examples(count)), actor=ADA)
    assert len(learning.datasets.contents("one")) == 2


def test_contents__imported_before_they_were_kept__are_computed(learning: Learning) -> None:
    learning.bank(30)
    kept = learning.datasets.contents("bank")
    with learning.database.write() as connection:
        connection.execute(text("UPDATE dataset SET content = NULL"))
    assert learning.datasets.contents("bank") == kept


def test_budget__same_file_under_a_second_name__is_refused_and_its_new_version_is_not(learning: Learning) -> None:
    privacy = service(learning)
    path = write_csv(learning.folder / "bank.csv", examples(30))
    import_units(learning.datasets, path)
    key = AccountKey(UNIT.namespace, "bank")
    privacy.create_budget(key, actor=ADA, column=UNIT.column, epsilon=10)
    learning.datasets.import_file(path, actor=ADA, name="copy", columns=Columns(unit="unit"), independent_units=True)
    with pytest.raises(Conflict, match="bank-customers/bank"):
        privacy.create_budget(AccountKey(UNIT.namespace, "copy"), actor=ADA, column=UNIT.column, epsilon=10)
    import_units(learning.datasets, write_csv(path, examples(40)))
    privacy.set_settings(key, replace(privacy.settings(key), contribution_cap=1), ADA)
    asked = Asked("bank", (Statistic.ROWS,), UNIT.namespace, cost=Cost.of(1))
    PrivateStatistics(learning.datasets, privacy).release(asked, actor=ADA)
    assert privacy.ledger.balance(key).spent == 10**9


def test_release__data_set_named_graph__is_a_data_set_like_any_other(learning: Learning) -> None:
    privacy = service(learning)
    import_units(learning.datasets, write_csv(learning.folder / "graph.csv", examples(30)))
    key = AccountKey(UNIT.namespace, "graph")
    privacy.create_budget(key, actor=ADA, column=UNIT.column, epsilon=10)
    privacy.set_settings(key, replace(privacy.settings(key), contribution_cap=1), ADA)
    asked = Asked("graph", (Statistic.ROWS,), UNIT.namespace, cost=Cost.of(1))
    assert "rows" in PrivateStatistics(learning.datasets, privacy).release(asked, actor=ADA).output


def test_import__file_named_graph_without_an_ending__says_how_to_name_it(learning: Learning, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "graph", examples(3))
    with pytest.raises(InvalidInput, match="cannot tell the format") as refused:
        learning.datasets.import_file(path, actor=ADA)
    assert refused.value.remedy == "give the file a name with one of these endings"
