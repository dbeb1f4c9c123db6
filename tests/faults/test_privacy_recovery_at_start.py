"""A server that starts settles the charges that a dead one left behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from privacy_examples import ADA, CARDS, WHOLE, account
from serving import serving

from bailiwick.clock import SystemClock, VirtualClock
from bailiwick.platform import Platform
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.releases import ChargeState
from bailiwick.settings import Settings


def test_serve__charges_of_a_dead_process__are_settled_at_start(tmp_path: Path) -> None:
    earlier = VirtualClock(SystemClock().now() - timedelta(hours=2))
    dead = Platform(Settings(home=tmp_path), earlier)
    books = dead.privacy.ledger
    for key in (WHOLE, CARDS):
        books.open(account(key, Cost.cap(epsilon=1)), ADA)

    def hold(name: str) -> str:
        return books.hold([CARDS], Cost.of(0.1), idempotency_key=name, plan_hash="0" * 64, actor=ADA).id

    held, started = hold("held"), hold("started")
    books.start(books.charge(started), ADA)
    earlier.advance(timedelta(minutes=110))
    running = hold("running")
    books.start(books.charge(running), ADA)

    with serving(tmp_path) as server:
        states = [books.charge(identifier).state for identifier in (held, started, running)]
        assert server.terminate() == 0
    assert states == [ChargeState.REFUNDED, ChargeState.SPENT, ChargeState.STARTED]
    for key in (WHOLE, CARDS):
        balance = books.recompute(key)
        assert (balance.spent, balance.held) == (10**8, 10**8)
    dead.close()
