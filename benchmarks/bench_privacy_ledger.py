"""The privacy ledger: reservations per second, four processes at once on one hot account, on both databases."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.records import publish, record

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the servers and examples that the tests use
import servers
from privacy_examples import ADA, CARDS, WHOLE, account, ledger

from bailiwick.privacy.costs import Cost
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade

PROCESSES = 4
EACH = 150
RUNS = 3

RESERVE = """
import sys, time
from privacy_examples import ADA, CARDS, ledger
from bailiwick.privacy.costs import Cost
from bailiwick.storage.database import Database

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
books = ledger(Database(url))
books.balance(CARDS)
print("ready", flush=True)
sys.stdin.readline()
begun, used = time.time(), time.process_time()
for number in range(count):
    books.hold([CARDS], Cost.of("1e-6"), idempotency_key=f"{name}-{number}", plan_hash="0" * 64, actor=ADA)
print(begun, time.time(), time.process_time() - used)
"""

# The least that such a ledger can do: two conditional updates and one durable commit, with no history and no charge.
BARE = """
import sys, time
from bailiwick.storage.database import Database

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
database = Database(url)
with database.read() as connection:
    connection.exec_driver_sql("SELECT count(*) FROM bench_bare")
print("ready", flush=True)
sys.stdin.readline()
begun, used = time.time(), time.process_time()
for number in range(count):
    with database.write() as connection:
        for account in (1, 2):
            connection.exec_driver_sql(
                f"UPDATE bench_bare SET held = held + 1 WHERE id = {account} AND held + 1 <= 1000000"
            )
print(begun, time.time(), time.process_time() - used)
"""


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Measure both databases; ``scale`` multiplies the 150 reservations of each process."""
    count = max(5, int(EACH * scale))
    with tempfile.TemporaryDirectory() as folder:
        records = _records("SQLite, synchronous=FULL", f"sqlite:///{folder}/ledger.db", count)
    try:
        with _postgres() as url:
            records += _records("PostgreSQL, fsync on", url, count)
    except servers.CannotRun as reason:
        print(f"Without PostgreSQL: {reason}", file=sys.stderr)
    return records


@contextmanager
def _postgres() -> Iterator[str]:
    """A server whose commits survive a power cut, unlike the tests' own."""
    import psycopg

    with servers.using("postgres", f"bench-ledger-{os.getpid()}") as address:
        with psycopg.connect(address["url"], autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = on")
            connection.execute("SELECT pg_reload_conf()")
        yield address["url"]


def _records(name: str, url: str, count: int) -> list[dict[str, Any]]:
    database = Database(url)
    upgrade(database)
    books = ledger(database)
    for key in (WHOLE, CARDS):
        books.open(account(key, Cost.cap(epsilon=1)), ADA)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE bench_bare (id INTEGER PRIMARY KEY, held INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO bench_bare VALUES (1, 0), (2, 0)")
    # Alternating, so that both meet the same disturbance by others.
    raced = [(_race(RESERVE, url, f"run-{run}", count), _race(BARE, url, "bare", count)) for run in range(RUNS)]
    reserved = books.recompute(WHOLE).held
    database.close()
    assert reserved == RUNS * PROCESSES * count * 1_000, "a reservation was lost"
    own, bare = ([statistics.median(each[which][part] for each in raced) for part in (0, 1)] for which in (0, 1))
    title, peer = f"{name}: {PROCESSES} processes", "two bare conditional updates, one commit"
    return [
        record(
            f"{title}, reservations",
            round(own[0], 1),
            "per s",
            better="higher",
            peer=peer,
            peer_value=round(bare[0], 1),
            runs=RUNS,
        ),
        record(
            f"{title}, CPU of the client",
            round(own[1], 3),
            "ms each",
            better="lower",
            peer=peer,
            peer_value=round(bare[1], 3),
            runs=RUNS,
        ),
    ]


def _race(script: str, url: str, name: str, count: int) -> tuple[float, float]:
    """Reservations per second over all processes, and client CPU milliseconds of one."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "tests")])}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, f"{name}-{number}", str(count)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    told = [racer.communicate("go\n", timeout=600)[0].split() for racer in racers]
    begun, ended, used = zip(*((float(a), float(b), float(c)) for a, b, c in told), strict=True)
    return PROCESSES * count / (max(ended) - min(begun)), 1_000 * sum(used) / (PROCESSES * count)


def main() -> None:
    """Measure and publish under ``privacy-ledger``; the first argument is the scale."""
    begun = time.process_time()
    publish("privacy-ledger", run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
    print(f"{time.process_time() - begun:.1f} CPU s in this process", file=sys.stderr)


if __name__ == "__main__":
    main()
