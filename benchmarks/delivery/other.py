"""The other figures of delivery: the audit trail on both databases, and Kayenta's judge beside the sequential rule.

What observations and questions cost is measured by `make bench-metrics` and stands in ``results/metrics.json``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine, make_url, text

from benchmarks.records import record

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # the servers that the tests use
import servers

from bailiwick.clock import SystemClock
from bailiwick.delivery.rollout.evidence import assess
from bailiwick.delivery.rollout.kayenta import Label, Minutes, classify
from bailiwick.delivery.rollout.model import (
    Direction,
    EpochWeights,
    Finding,
    MetricRule,
    RolloutPolicy,
    Statistic,
)
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from benchmarks.delivery.world import totals_of

ENTRIES, TOGETHER = 20_000, 100
SINGLE = 2_000
TRIALS, MINUTES, BASE = 100, 30, 0.03
CASES = ((6, 0.05), (6, 0.10), (60, 0.02), (60, 0.05), (600, 0.01), (60, 0.0))


def figures_of_show() -> list[dict[str, Any]]:
    """All of them."""
    records = _judges()
    with tempfile.TemporaryDirectory() as folder:
        records += _audit("SQLite", f"sqlite:///{folder}/audit.db", Path(folder))
    try:
        with servers.using("postgres", f"bench-{time.time_ns()}") as address, tempfile.TemporaryDirectory() as folder:
            url = make_url(address["url"]).set(drivername="postgresql+psycopg")
            engine = create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("CREATE DATABASE audited"))
            named = url.set(drivername="postgresql", database="audited").render_as_string(hide_password=False)
            records += _audit("PostgreSQL", named, Path(folder))
            engine.dispose()
    except servers.CannotRun as reason:
        print(f"without PostgreSQL: {reason}", file=sys.stderr)
    return records


def _audit(name: str, url: str, home: Path) -> list[dict[str, Any]]:
    platform = Platform(Settings(home=home, database_url=url))
    trail = AuditTrail(platform.database, SystemClock())
    actor = Actor("benchmark", "request-1", "measured")

    def append(count: int, together: int) -> None:
        for first in range(0, count, together):
            with platform.database.write() as connection:
                for number in range(first, first + together):
                    after = {"weight": number, "step": 1, "version": "cards@v2"}
                    trail.record(connection, actor, "rollout.advance", f"rollout:{number % 50}", after=after)

    single_cpu, single_wall = _timed(lambda: append(SINGLE, 1))
    many_cpu, _ = _timed(lambda: append(ENTRIES, TOGETHER))
    log = platform.transparency
    total = SINGLE + ENTRIES
    tree_cpu, _ = _timed(log.integrate)
    log.publish()
    verify_cpu, _ = _timed(lambda: _sound(log.verify().findings))
    proof_cpu, _ = _timed(lambda: [log.prove(1 + number * 37 % total) for number in range(200)])
    platform.close()
    rows = (
        ("audited changes, one transaction each", SINGLE / single_cpu, "per CPU second"),
        ("audited changes, one transaction each, waiting for the disk", SINGLE / single_wall, "per second wall"),
        (f"audit entries, {TOGETHER} a transaction", ENTRIES / many_cpu, "per CPU second"),
        ("audit entries into the Merkle tree", total / tree_cpu, "per CPU second"),
        (f"audit entries verified of {total:,}", total / verify_cpu, "per CPU second"),
        ("audit proofs of inclusion", 200 / proof_cpu, "per CPU second"),
    )
    return [record(f"{words}, {name}", value, unit, better="higher") for words, value, unit in rows]


def _sound(findings: tuple[str, ...]) -> None:
    assert not findings, findings


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _judges() -> list[dict[str, Any]]:
    """How often each judge calls a canary harmful within half an hour: Kayenta's asked once, ours every minute."""
    policy = RolloutPolicy((MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.01),))
    rows = []
    for requests, harm in CASES:
        rng = np.random.default_rng([requests, int(1_000 * harm)])
        found, kayenta = 0, 0
        for _ in range(TRIALS):
            failures = rng.binomial(requests, [[BASE], [BASE + harm]], (2, MINUTES))
            rates = failures / requests
            kayenta += classify(Minutes(rates[0].tolist(), rates[1].tolist())) is Label.HIGH
            found += _watched(policy, requests, failures.cumsum(axis=1))
        name = f"+{100 * harm:g} points at {requests}/min found within {MINUTES} min" if harm else "A/A called harmful"
        rows.append(
            record(
                f"judge: {name}",
                100 * found / TRIALS,
                "%",
                better="higher" if harm else "lower",
                goal=None if harm else 5.0,
                peer="Kayenta's judge, asked once",
                peer_value=100 * kayenta / TRIALS,
                runs=TRIALS,
            )
        )
    return rows


def _watched(policy: RolloutPolicy, requests: int, failures: Any) -> bool:
    """Whether the sequential rule calls it harmful at any minute."""
    planned: dict[str, float] = {}
    for minute in range(1, failures.shape[1] + 1):
        counts = [(requests * minute, int(failures[arm, minute - 1])) for arm in (0, 1)]
        totals = totals_of("rollout", {1: counts})
        evidence, frozen = assess(policy, [EpochWeights(5_000, 5_000)], 1.0, totals, [], planned)
        planned = dict(frozen)
        if evidence.metrics[0].finding is Finding.HARMFUL:
            return True
    return False
