"""Processes that log and tally are killed and race: no exposure is lost, none counts twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tallies import assert_totals

from bailiwick.clock import SystemClock
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database

# Dies as the last thing before, or the first thing after, the commit of one unit of work.
DIE = """
import os, signal, sys
from bailiwick.clock import SystemClock
from bailiwick.metrics.experiment_totals import ExperimentTotals
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.experiment_store import event_rows, total_rows
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database

url, where = sys.argv[1:]
when, step = where.split()

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

metrics = MetricsService(Database(url), SystemClock(), flush_interval_s=3600)
metrics.experiments.unit_key()
module, name = {"tally": (total_rows, "add_arms"), "flush": (event_rows, "write_events")}[step]
if when == "inside":
    original = getattr(module, name)
    def then_die(*given):
        original(*given)
        die()
    setattr(module, name, then_die)
if step == "flush":
    for number in range(50):
        exposure = Exposure("greeting", 1, "ab"[number % 2], f"u{number}", 0.5)
        metrics.served(f"late{number}", "cards", "v1", {"latency_ms": 1.0 + number}, exposures=[exposure])
    metrics.flush()
else:
    metrics.tally(limit=60)
die()
"""

RACE = """
import sys, random
from bailiwick.clock import SystemClock
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.exposures import Exposure
from bailiwick.storage.database import Database

url, racer = sys.argv[1:]
metrics = MetricsService(Database(url), SystemClock(), flush_interval_s=3600)
rng = random.Random(int(racer))
events = 0
for number in range(150):
    person = rng.randrange(30)
    exposure = Exposure("greeting", 1, "ab"[person % 2], f"u{person}", 0.5)
    metrics.served(f"{racer}-{number}", "cards", "v1", {"latency_ms": rng.random() * 100}, exposures=[exposure])
    if number % 10 == 0:
        metrics.flush()
        metrics.feedback(f"{rng.randrange(3)}-{rng.randrange(number + 1)}", value=rng.randrange(2))
    events += metrics.tally(limit=rng.randrange(1, 40)).events
metrics.close()
print(events + metrics.experiments.tally_all().events)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    paths = str(Path(__file__).resolve().parents[2] / "src")
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("where", ["inside tally", "after tally", "inside flush", "after flush"])
def test_kill__in_mid_work__then_tally__totals_are_those_of_the_log(database: Database, where: str) -> None:
    metrics = MetricsService(database, SystemClock(), flush_interval_s=3600)
    for number in range(100):
        exposure = Exposure("greeting", 1, "ab"[number % 2], f"u{number % 20}", 0.5)
        metrics.served(f"r{number}", "cards", "v1", {"latency_ms": float(number)}, exposures=[exposure])
    metrics.flush()
    for number in range(10):
        metrics.feedback(f"r{number}", value=number % 3)
    process = start(DIE, database.url, where)
    assert process.wait(60) == -signal.SIGKILL

    tallied = sum(arm.requests for arm in metrics.arm_units("greeting"))
    assert tallied == (60 if where == "after tally" else 0)
    metrics.experiments.tally_all()
    logged = 150 if where == "after flush" else 100
    assert sum(arm.requests for arm in metrics.arm_units("greeting")) == logged
    assert_totals(metrics, database, "greeting")
    metrics.close()


def test_race__three_processes_log_and_tally__each_event_once(database: Database) -> None:
    racers = [start(RACE, database.url, str(number)) for number in range(3)]
    tallied = [int(racer.communicate(timeout=250)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 3
    assert sum(tallied) == 450
    metrics = MetricsService(database, SystemClock(), flush_interval_s=3600)
    metrics.experiments.tally_all()
    assert_totals(metrics, database, "greeting")
