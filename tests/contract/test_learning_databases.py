"""The way from a file to a measured version works the same on every main database."""

from __future__ import annotations

from pathlib import Path

from learning_examples import ADA, Learning

from bailiwick.clock import VirtualClock
from bailiwick.datasets.model import Split
from bailiwick.storage.database import Database


def test_learning__file_to_metrics__recorded_and_read_back(
    database: Database, clock: VirtualClock, tmp_path: Path
) -> None:
    learning = Learning(database, clock, tmp_path)
    dataset = learning.datasets.get(learning.bank(90))
    first = learning.training.train("bank", "bank", actor=ADA, seed=2**31 + 5)
    clock.sleep(1)
    second = learning.training.train("bank", "bank", actor=ADA, seed=1, start_version=first.version)
    assert [run.id for run in learning.training.list("bank")] == [second.id, first.id]
    made = learning.evaluation.evaluate(second.version or "", actor=ADA)
    versions = learning.registry.list("bank")
    assert [version.parent for version in versions] == [first.version, None]
    assert versions[0].metrics == made.metrics
    assert learning.evaluation.list(versions[0].id) == [made]
    assert learning.datasets.list() == [dataset]
    again = Learning(database, clock, tmp_path)
    text = again.datasets.examples("bank", Split.TEST)[0].text
    assert again.registry.load(versions[0].id).predict([text]).shape == (1, 3)
    assert learning.evaluation.compare(first.version or "", second.version or "").result.examples == 18
