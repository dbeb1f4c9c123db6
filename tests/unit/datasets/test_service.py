from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from learning_examples import ADA, Learning, examples, write_csv
from sqlalchemy import update

from bailiwick.datasets import store
from bailiwick.datasets.canonical import pack
from bailiwick.datasets.model import Split
from bailiwick.datasets.splitting import Shares
from bailiwick.errors import Conflict, InvalidInput, NotFound


def test_import__file__rows_come_back_by_split_and_domain(learning: Learning) -> None:
    made = learning.datasets.get(learning.bank(150))
    assert made.rows == 150
    by_split = {split: learning.datasets.examples(made.id, split, "bank") for split in Split}
    assert sum(map(len, by_split.values())) == 150
    assert len(by_split[Split.TEST]) == 30
    assert set(Counter(example.label for example in by_split[Split.TEST]).values()) == {10}
    assert made.domains == {"bank": {split: len(by_split[split]) for split in sorted(Split)}}
    assert learning.datasets.examples(made.id, Split.TEST, "other") == []


def test_import__same_rows_again__same_data_set_and_one_audit_entry(learning: Learning) -> None:
    assert learning.bank() == learning.bank()
    assert len(learning.datasets.list()) == 1
    assert [entry.action for entry in learning.audit.entries()] == ["dataset.import"]


def test_import__same_name_more_rows__name_leads_to_the_newest(learning: Learning, clock: object) -> None:
    first = learning.bank(90)
    clock.sleep(1)  # type: ignore[attr-defined]
    second = learning.bank(120)
    assert first != second
    assert learning.datasets.get("bank").id == second
    assert learning.datasets.get(first).rows == 90


def test_import__test_file__judges_and_is_never_cut(learning: Learning, tmp_path: Path) -> None:
    train = write_csv(tmp_path / "a.csv", examples(90, 1))
    test = write_csv(tmp_path / "b.csv", [*examples(30, 2), *examples(3, 1)])
    made = learning.datasets.import_file(train, actor=ADA, name="given", test=test)
    assert made.domains["bank"][Split.TEST] == 33
    assert made.findings.leaking >= 3


def test_import__bad_name_or_shares__refused_and_nothing_stored(learning: Learning, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", examples(30))
    for name in ("", "A", "a b", "x" * 65, "../x"):
        with pytest.raises(InvalidInput):
            learning.datasets.import_file(path, actor=ADA, name=name or " ")
    with pytest.raises(InvalidInput):
        learning.datasets.import_file(path, actor=ADA, shares=Shares(0.7, 0.3))
    assert learning.datasets.list() == []


def test_import__bad_line_at_the_end__nothing_stored(learning: Learning, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("text,label,domain\na,b,c\nd,e\n")
    with pytest.raises(InvalidInput, match="line 3"):
        learning.datasets.import_file(path, actor=ADA)
    assert learning.datasets.list() == []
    assert learning.audit.entries() == []


def test_rows__stored_content_changed__refused(learning: Learning) -> None:
    made = learning.datasets.get(learning.bank())
    for content in (pack(b'["bank", "x", "y", null, "train"]\n'), b"junk"):
        with learning.database.write() as connection:
            connection.execute(update(store.dataset_content).values(content=content))
        with pytest.raises(Conflict):
            learning.datasets.rows(made.id)


def test_get__unknown__not_found(learning: Learning) -> None:
    with pytest.raises(NotFound, match="nothing"):
        learning.datasets.get("nothing")
