"""A process is killed with SIGKILL amid its work: afterwards nothing is half there, and the audit trail agrees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from learning_examples import ADA, Learning

from bailiwick.clock import SystemClock, VirtualClock
from bailiwick.datasets.store import dataset_content
from bailiwick.domains.document import parse_document
from bailiwick.domains.service import DomainService
from bailiwick.governance.audit import AuditTrail
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database
from bailiwick.training.model import RunStatus

TESTS = Path(__file__).resolve().parents[1]
ESTATE = TESTS.parent / "src/bailiwick/estate/domains.json"

PROLOGUE = """
import os, signal, sys
from pathlib import Path
from learning_examples import ADA, Learning
from bailiwick.clock import SystemClock
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.database import Database

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def die_at(owner, name, call=1):
    left, real = [call], getattr(owner, name)
    def dying(*arguments, **options):
        left[0] -= 1
        return die() if left[0] == 0 else real(*arguments, **options)
    setattr(owner, name, dying)

database, clock = Database(sys.argv[1]), SystemClock()
folder, call = Path(sys.argv[2]), int(sys.argv[3])
audit = AuditTrail(database, clock)
"""


def killed(code: str, database: Database, folder: Path, call: int = 1) -> bool:
    """Run in a process of its own; whether it was killed."""
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    finished = subprocess.run(
        [sys.executable, "-c", PROLOGUE + code, database.url, str(folder), str(call)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert finished.returncode in (0, -signal.SIGKILL), finished.stderr.decode()
    return finished.returncode == -signal.SIGKILL


IMPORT = """
from bailiwick.domains.document import parse_document
from bailiwick.domains.service import DomainService
die_at(AuditTrail, "record", call)
document = parse_document((folder / "domains.json").read_bytes(), source="x")
DomainService(database, audit, clock).import_document(document, ADA)
"""


@pytest.mark.parametrize("entry", [1, 3])
def test_domain_import__killed_amid_it__no_domain_and_no_entry(
    database: Database, clock: VirtualClock, tmp_path: Path, entry: int
) -> None:
    (tmp_path / "domains.json").write_bytes(ESTATE.read_bytes())

    assert killed(IMPORT, database, tmp_path, entry)

    domains = DomainService(database, AuditTrail(database, clock), clock)
    assert (domains.list_domains(), domains.version(), domains.default_domain()) == ([], None, None)
    assert AuditTrail(database, clock).entries() == []
    document = parse_document(ESTATE.read_bytes(), source="x")
    assert set(domains.import_document(document, ADA).created) == set(document.domains)


TRAIN = """
import bailiwick.training.service as service
from bailiwick.registry.artefacts import ArtefactStore
learning = Learning(database, clock, folder)
places = [
    (service.store, "change", 1),           # amid the losses
    (ArtefactStore, "_move_into_place", 1),  # the artefact is written but not in its place
    (AuditTrail, "record", 2),              # the version is inserted, its entry is not
    (AuditTrail, "record", 3),              # the run's entry is not
]
die_at(*places[call])
learning.training.train("bank", "bank", actor=ADA, seed=1)
"""


@pytest.mark.parametrize("place", range(4))
def test_training__killed_amid_it__no_version_and_the_run_is_recorded_as_failed(
    database: Database, clock: VirtualClock, tmp_path: Path, place: int
) -> None:
    learning = Learning(database, clock, tmp_path)
    learning.bank(60)

    assert killed(TRAIN, database, tmp_path, place)

    assert learning.registry.list() == []
    (run,) = learning.training.list()
    assert (run.status, run.version) == (RunStatus.RUNNING, None)
    assert [failed.id for failed in learning.training.recover(ADA)] == [run.id]
    assert learning.training.get(run.id).status is RunStatus.FAILED
    actions = [entry.action for entry in learning.audit.entries()]
    assert actions == ["training_run.fail", "training_run.start", "dataset.import"]
    done = learning.training.train("bank", "bank", actor=ADA, seed=1)
    assert done.version is not None
    assert learning.registry.load(done.version).card.labels


DATASET = """
import bailiwick.datasets.store as store
die_at(store, "insert_content")
Learning(database, clock, folder).bank(60)
"""


def test_dataset__killed_before_its_rows_are_written__not_there_at_all(
    database: Database, clock: VirtualClock, tmp_path: Path
) -> None:
    assert killed(DATASET, database, tmp_path)

    learning = Learning(database, clock, tmp_path)
    assert (list(learning.datasets.list()), list(learning.audit.entries())) == ([], [])
    with database.read() as connection:
        assert connection.execute(dataset_content.select()).all() == []
    assert len(learning.datasets.rows(learning.bank(60))) == 60


FLUSH = """
import bailiwick.metrics.store as store
from bailiwick.metrics.service import MetricsService
metrics = MetricsService(database, clock, flush_interval_s=3600)
metrics.served("r-0", "cards", "v1", {"latency_ms": 5.0})
metrics.flush()
for number in range(1, 10):
    metrics.served(f"r-{number}", "cards", "v1", {"latency_ms": 5.0})
die_at(store, "join_feedback")
metrics.flush()
"""


def test_metrics__killed_amid_a_flush__what_was_flushed_before_and_nothing_of_the_rest(
    database: Database, clock: VirtualClock, tmp_path: Path
) -> None:
    assert killed(FLUSH, database, tmp_path)

    metrics = MetricsService(database, clock)
    assert metrics.request("r-0") is not None
    assert metrics.request("r-1") is None
    now = SystemClock().now()
    span = (now - timedelta(hours=1), now + timedelta(hours=1))
    assert metrics.query("cards", "latency_ms", *span).count == 1
