"""Any sequence of steps: entries add up to the balance, no cap is passed, refunds come from held charges only."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from privacy_examples import ADA, CARDS, LOANS, TERMS, WHOLE, account, plan, service

from bailiwick.clock import VirtualClock
from bailiwick.errors import BudgetExhausted, Conflict
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.ledger import HOLD_FOR
from bailiwick.privacy.releases import Charge, ChargeState
from bailiwick.storage.database import Database

CAPS = {WHOLE: 1_000, CARDS: 700, LOANS: 500}  # in 1e-9
COSTS = st.integers(min_value=1, max_value=400)
CHOICE = st.integers(min_value=0, max_value=10**6)
KEYS = st.sets(st.sampled_from(list(CAPS)), min_size=1)


class LedgerMachine(RuleBasedStateMachine):
    """Compares the ledger with a model of it: the state and cost of every charge that was granted."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        copy = shutil.copy(self.template, Path(self.folder.name) / "ledger.db")
        self.database = Database(f"sqlite:///{copy}")
        self.clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.service = service(self.database, self.clock)
        self.books = self.service.ledger
        for key, cap in CAPS.items():
            self.books.open(account(key, Cost(cap)), ADA)
        self.known: dict[str, Charge] = {}
        self.outputs: dict[str, Any] = {}

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def taken(self, key: AccountKey, *states: ChargeState) -> int:
        return sum(each.cost.epsilon_nano for each in self.known.values() if key in each.keys and each.state in states)

    def room(self, keys: set[AccountKey], cost: int) -> bool:
        states = (ChargeState.HELD, ChargeState.STARTED, ChargeState.SPENT)
        return all(self.taken(key, *states) + cost <= CAPS[key] for key in {*keys, WHOLE})

    @rule(keys=KEYS, cost=COSTS)
    def hold(self, keys: set[AccountKey], cost: int) -> None:
        name = f"hold-{len(self.known)}-{cost}"
        fits = self.room(keys, cost)
        try:
            charge = self.books.hold(keys, Cost(cost), idempotency_key=name, plan_hash="0" * 64, actor=ADA)
        except BudgetExhausted:
            assert not fits
            return
        assert fits
        self.known[charge.id] = charge

    @rule(keys=KEYS, cost=COSTS, output=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
    def release(self, keys: set[AccountKey], cost: int, output: float) -> None:
        name, fits = f"release-{len(self.outputs)}", self.room(keys, cost)
        use = plan(Cost(cost).epsilon)
        try:
            done = self.service.release(TERMS, sorted(keys), use, lambda: output, actor=ADA, idempotency_key=name)
        except BudgetExhausted:
            assert not fits
            return
        assert fits
        again = self.service.release(TERMS, sorted(keys), use, lambda: output + 1, actor=ADA, idempotency_key=name)
        assert (again.replayed, again.output, again.card) == (True, done.output, done.card)
        self.known[done.charge.id] = done.charge
        self.outputs[name] = done.output

    @rule(which=CHOICE, verb=st.sampled_from(["start", "refund", "forfeit"]))
    def move(self, which: int, verb: str) -> None:
        if not self.known:
            return
        charge = list(self.known.values())[which % len(self.known)]
        needed = ChargeState.STARTED if verb == "forfeit" else ChargeState.HELD
        try:
            moved = getattr(self.books, verb)(charge, ADA)
        except Conflict:
            assert charge.state is not needed
            return
        assert charge.state is needed
        self.known[charge.id] = moved

    @rule(wait=st.sampled_from([timedelta(0), HOLD_FOR]))
    def recover(self, wait: timedelta) -> None:
        self.clock.advance(wait)
        before = {key: self.books.balance(key).spent for key in CAPS}
        for charge in self.books.recover():
            was = self.known[charge.id].state
            assert (was, charge.state) in {
                (ChargeState.STARTED, ChargeState.SPENT),
                (ChargeState.HELD, ChargeState.REFUNDED),
            }
            self.known[charge.id] = charge
        assert all(self.books.balance(key).spent >= before[key] for key in CAPS)

    @invariant()
    def balances_follow_from_entries_and_charges(self) -> None:
        for key, cap in CAPS.items():
            balance = self.books.recompute(key)
            assert balance == self.books.balance(key)
            assert balance.spent == self.taken(key, ChargeState.SPENT)
            assert balance.held == self.taken(key, ChargeState.HELD, ChargeState.STARTED)
            assert 0 <= balance.spent + balance.held <= cap


@pytest.fixture
def machine(sqlite_template: Path) -> Iterator[type[LedgerMachine]]:
    LedgerMachine.template = sqlite_template
    yield LedgerMachine


def test_ledger__any_sequence_of_steps__keeps_its_promises(machine: type[LedgerMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=20, deadline=None))
