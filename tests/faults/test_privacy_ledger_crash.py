"""Processes are killed in every state of a charge, and race for the last of a budget. Nothing is ever given back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from privacy_examples import ADA, CARDS, TERMS, WHOLE, account, ledger, plan, service

from bailiwick.clock import SystemClock, VirtualClock
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.releases import ChargeState
from bailiwick.storage.database import Database

RACERS, CHARGES = 8, 1_000

# Where the process dies -> (spent, held, state) that recovery must leave, in charges. The state is of the charge "k".
DEATHS = {
    "inside hold": (0, None),
    "after hold": (0, ChargeState.REFUNDED),
    "inside start": (0, ChargeState.REFUNDED),
    "after start": (1, ChargeState.SPENT),
    "inside compute": (1, ChargeState.SPENT),
    "inside spend": (1, ChargeState.SPENT),
    "after spend": (1, ChargeState.SPENT),
}

DIE = """
import os, signal, sys
from privacy_examples import ADA, CARDS, TERMS, ledger, plan, service
from bailiwick.privacy.ledger import Ledger
from bailiwick.storage.database import Database

url, where = sys.argv[1:]
when, step = where.split()

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

database = Database(url)
if step == "compute":
    pass
elif when == "inside":  # the last thing that the unit does before it commits
    record = Ledger._record
    def record_and_die(self, connection, actor, verb, *rest, **more):
        record(self, connection, actor, verb, *rest, **more)
        if verb == step:
            die()
    Ledger._record = record_and_die
else:
    done = getattr(Ledger, step)
    def do_and_die(*given, **more):
        done(*given, **more)
        die()
    setattr(Ledger, step, do_and_die)
compute = die if step == "compute" else lambda: [1, 2]
service(database).release(TERMS, CARDS, plan(), compute, actor=ADA, idempotency_key="k")
"""

RACE = """
import sys
from privacy_examples import ADA, WHOLE, CARDS, ledger
from bailiwick.errors import BudgetExhausted
from bailiwick.privacy.costs import Cost
from bailiwick.storage.database import Database

url, racer = sys.argv[1:]
books, granted = ledger(Database(url)), 0
while True:
    try:
        books.hold([CARDS], Cost.of(0.001), idempotency_key=f"{racer}-{granted}", plan_hash="0" * 64, actor=ADA)
        granted += 1
    except BudgetExhausted:
        break
print(granted)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    tests = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(tests), str(tests.parent / "src")])
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("where", DEATHS)
def test_kill__in_every_state__then_recover__spent_is_never_lower(database: Database, where: str) -> None:
    books = ledger(database)
    for key in (WHOLE, CARDS):
        books.open(account(key, Cost.cap(epsilon=1)), ADA)
    service(database).release(TERMS, CARDS, plan(), lambda: 0, actor=ADA, idempotency_key="before")
    process = start(DIE, database.url, where)
    assert process.wait(60) == -signal.SIGKILL
    left = books.balance(CARDS)

    later = ledger(database, VirtualClock(SystemClock().now() + timedelta(hours=1)))
    moved = later.recover()

    spent, state = DEATHS[where]
    assert [each.state for each in moved] == ([state] if state is not None and where != "after spend" else [])
    for key in (WHOLE, CARDS):
        balance = later.recompute(key)
        assert (balance.spent, balance.held) == ((1 + spent) * 10**8, 0)
        assert balance.spent >= left.spent
    assert later.recover() == []
    if where == "after spend":
        again = service(database).release(TERMS, CARDS, plan(), lambda: "other", actor=ADA, idempotency_key="k")
        assert (again.output, again.replayed) == ([1, 2], True)


def test_race__8_processes_for_1000_charges__exactly_1000(database: Database) -> None:
    books = ledger(database)
    for key in (WHOLE, CARDS):
        books.open(account(key, Cost.cap(epsilon=1)), ADA)
    racers = [start(RACE, database.url, str(number)) for number in range(RACERS)]
    granted = [int(racer.communicate(timeout=250)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * RACERS
    assert sum(granted) == CHARGES
    for key in (WHOLE, CARDS):
        balance = books.recompute(key)
        assert (balance.spent, balance.held, balance.remaining, balance.entries) == (0, 10**9, 0, CHARGES + 1)
