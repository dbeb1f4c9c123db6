"""Many change one plan at once: exactly one wins each revision, and no change is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from bailiwick.clock import SystemClock, VirtualClock
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.service import TrafficService

WRITERS, CHANGES = 8, 6

CHANGE_IN_A_PROCESS = """
import sys
from bailiwick.clock import SystemClock
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.traffic.service import TrafficService

url, writer, changes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
database = Database(url)
traffic = TrafficService(database, AuditTrail(database, SystemClock()), SystemClock())
done = 0
while done < changes:
    share = 1 + writer * 1000 + done
    try:
        with traffic.changing() as connection:
            traffic.change(connection, "cards", {"v1": 10_000 - share, "v2": share}, actor=Actor(f"writer-{writer}"),
                           expected_revision=traffic.plan("cards").revision)
        done += 1
    except Conflict:
        pass
"""


def service(database: Database) -> TrafficService:
    clock = SystemClock()
    return TrafficService(database, AuditTrail(database, clock), clock)


def start(traffic: TrafficService) -> None:
    with traffic.changing() as connection:
        traffic.change(connection, "cards", {"v1": SLOTS}, actor=Actor("test"))


def check_nothing_lost(database: Database, traffic: TrafficService, by_writer: int) -> None:
    records = traffic.history("cards", limit=1000)[:-1]
    assert Counter(record.actor for record in records) == {f"writer-{n}": by_writer for n in range(WRITERS)}
    assert [record.plan.revision for record in records] == list(range(1 + WRITERS * by_writer, 1, -1))
    assert len({record.plan.weights["v2"] for record in records}) == len(records)
    assert traffic.revision() == 1 + len(records)
    audited = AuditTrail(database, VirtualClock(SystemClock().now())).entries(subject="traffic:cards", limit=1000)
    assert [entry.after["revision"] for entry in audited] == [*(r.plan.revision for r in records), 1]


def test_change__8_threads_on_one_revision__exactly_one_wins(database: Database) -> None:
    traffic = service(database)
    start(traffic)
    barrier = threading.Barrier(WRITERS)
    outcomes: list[str] = []

    def change(writer: int) -> None:
        barrier.wait()
        try:
            with traffic.changing() as connection:
                weights = {"v1": SLOTS - 1 - writer, "v2": 1 + writer}
                traffic.change(connection, "cards", weights, actor=Actor("w"), expected_revision=1)
            outcomes.append("won")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=change, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {"won": 1, "conflict": WRITERS - 1}
    assert (traffic.revision(), len(traffic.history("cards"))) == (2, 2)


def test_change__8_threads_with_retry__no_change_lost(database: Database) -> None:
    traffic = service(database)
    start(traffic)

    def change(writer: int) -> None:
        done = 0
        while done < CHANGES:
            plan = traffic.plan("cards")
            assert plan is not None
            share = 1 + writer * 1000 + done
            try:
                with traffic.changing() as connection:
                    traffic.change(
                        connection,
                        "cards",
                        {"v1": SLOTS - share, "v2": share},
                        actor=Actor(f"writer-{writer}"),
                        expected_revision=plan.revision,
                    )
                done += 1
            except Conflict:
                continue

    threads = [threading.Thread(target=change, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_nothing_lost(database, traffic, CHANGES)


def test_change__8_processes__no_change_lost(database: Database) -> None:
    traffic = service(database)
    start(traffic)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CHANGE_IN_A_PROCESS, database.url, str(number), str(CHANGES)], env=environment
        )
        for number in range(WRITERS)
    ]
    assert [process.wait(120) for process in running] == [0] * WRITERS
    check_nothing_lost(database, traffic, CHANGES)
