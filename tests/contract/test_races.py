"""Two units at once on what each reads before it writes: nothing fails, nothing is lost, all is audited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deliveries import ADA, GOOD
from learning_examples import Learning

from bailiwick.clock import VirtualClock
from bailiwick.datasets.readers import Source
from bailiwick.errors import Conflict
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.database import Database
from bailiwick.training.model import RunStatus

RACERS = 6


@pytest.fixture
def learned(database: Database, clock: VirtualClock, tmp_path: Path) -> Learning:
    return Learning(database, clock, tmp_path)


def race(work: Callable[[int], Any]) -> list[Any]:
    """Do it in several threads that start together."""
    ready = threading.Barrier(RACERS)

    def start(number: int) -> Any:
        ready.wait(60)
        return work(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(start, range(RACERS)))


def test_register__many_in_one_second__each_has_an_id_of_its_own(learned: Learning, database: Database) -> None:
    together = threading.Barrier(RACERS, timeout=3)

    def register(_: int) -> str:
        with database.write() as connection:
            _wait_on_postgres(database, together)
            return learned.registry.register(connection, ADA, domain="cards", family="linear-text").id

    ids = race(register)

    assert sorted(ids) == sorted({"cards-v20260301_120000", *(f"cards-v20260301_120000_{n}" for n in range(2, 7))})
    assert {version.id for version in learned.registry.list("cards")} == set(ids)


def test_import__same_rows_at_once__one_data_set_and_one_entry(
    learned: Learning, database: Database, clock: VirtualClock
) -> None:
    rows = b"text,label\n" + b"".join(b"text %d,%s\n" % (n, b"ab"[n % 2 : n % 2 + 1]) for n in range(40))

    def import_them(number: int) -> str:
        name = "one" if number % 2 else "two"
        return learned.datasets.import_sources([Source("x.csv", rows)], name=name, actor=ADA, domain="cards").id

    ids = race(import_them)

    assert {snapshot.id for snapshot in learned.datasets.list()} == set(ids)
    assert len(set(ids)) == 2
    entries = AuditTrail(database, clock).entries()
    assert [entry.action for entry in entries] == ["dataset.import"] * 2
    assert len({len(learned.datasets.rows(found)) for found in ids}) == 1


def test_record_metrics__at_once__each_entry_begins_where_the_one_before_ended(
    learned: Learning, database: Database, clock: VirtualClock
) -> None:
    with database.write() as connection:
        version = learned.registry.register(connection, ADA, domain="cards", family="linear-text").id
    together = threading.Barrier(RACERS, timeout=3)

    def measure(number: int) -> None:
        with database.write() as connection:
            _wait_on_postgres(database, together)
            learned.registry.record_metrics(connection, version, {**GOOD, "number": float(number)}, ADA)

    race(measure)

    entries = [each for each in AuditTrail(database, clock).entries() if each.action == "model_version.measure"]
    assert len(entries) == RACERS
    chain = {str(sorted(entry.before.items())): entry.after for entry in entries}
    present: dict[str, float] = {}
    for _ in range(RACERS):
        present = chain[str(sorted(present.items()))]
    assert present == learned.registry.get(version).metrics


def test_run__ended_by_somebody_else_meanwhile__registers_nothing(
    learned: Learning, database: Database, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"text,label\n" + b"".join(b"text %d,%s\n" % (n, b"ab"[n % 2 : n % 2 + 1]) for n in range(60))
    learned.datasets.import_sources([Source("x.csv", rows)], name="cards", actor=ADA, domain="cards")
    monkeypatch.setattr("bailiwick.training.service._is_alive", lambda worker: False)

    def end_it(_: object) -> None:
        learned.training.recover(ADA)

    with pytest.raises(Conflict, match="ended by somebody else"):
        learned.training.train("cards", "cards", actor=ADA, seed=1, progress=end_it)

    (run,) = learned.training.list()
    assert (run.status, run.error, run.version) == (RunStatus.FAILED, "RuntimeError: its process died", None)
    assert learned.registry.list() == []
    assert [entry.action for entry in AuditTrail(database, clock).entries()].count("training_run.fail") == 1


def _wait_on_postgres(database: Database, together: threading.Barrier) -> None:
    """Let all begin before the first writes; SQLite lets only one writer begin."""
    if database.dialect == "postgresql":
        together.wait()
