"""Writing entries: every change of a balance is one line of its account's history, written under its lock."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor
from bailiwick.privacy.accounts import AccountKey, Entry, EntryKind
from bailiwick.privacy.canonical import canonical
from bailiwick.privacy.charging import Debit, check_room, debit, period_begun
from bailiwick.privacy.refusals import moved_on
from bailiwick.privacy.releases import Charge
from bailiwick.privacy.store import account_rows
from bailiwick.privacy.store.account_rows import AccountRow

RECOVERY = Actor("privacy-ledger", reason="recovery")
_NOTHING = Debit(0, 0)


def locked(connection: Connection, keys: Sequence[AccountKey]) -> list[AccountRow]:
    """Accounts in the order of their keys, which nobody else changes until the unit ends.

    Raises:
        NotFound: one does not exist.
    """
    return found(account_rows.accounts(connection, keys, lock=True), keys)


def found(rows: list[AccountRow], keys: Sequence[AccountKey]) -> list[AccountRow]:
    """The accounts, if every one that was asked for is among them.

    Raises:
        NotFound: one does not exist.
    """
    absent = sorted(set(keys) - {row.account.key for row in rows})
    if absent:
        raise NotFound(
            f"there is no privacy budget {str(absent[0])!r}",
            what="privacy_budget",
            requested=str(absent[0]),
            remedy="create it with `bailiwick privacy budget create`",
        )
    return rows


class Posting:
    """Writes the entries of charges. The caller's unit holds the lock of every account that it is given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def hold(self, connection: Connection, row: AccountRow, charge: Charge, actor: Actor) -> None:
        """Reserve what a charge costs, after the reset that is due, if one is.

        Raises:
            BudgetExhausted: the account does not hold it.
            InvalidInput: the cost is in a currency that the account does not take.
        """
        row = self._reset_if_due(connection, row)
        wanted = debit(charge.cost, row.account.currency)
        check_room(row.balance, wanted)
        document = canonical({"cost": charge.cost, "plan_hash": charge.plan_hash, "key": charge.idempotency_key})
        self.post(connection, row, EntryKind.HOLD, charge, actor, held=wanted, document=document)

    def spend(self, connection: Connection, row: AccountRow, charge: Charge, actor: Actor, document: str) -> None:
        """Turn what a charge holds into what is spent."""
        taken = debit(charge.cost, row.account.currency)
        back = Debit(-taken.main, -taken.delta)
        self.post(connection, row, EntryKind.SPEND, charge, actor, spent=taken, held=back, document=document)

    def refund(self, connection: Connection, row: AccountRow, charge: Charge, actor: Actor) -> None:
        """Give back what a charge holds."""
        taken = debit(charge.cost, row.account.currency)
        self.post(connection, row, EntryKind.REFUND, charge, actor, held=Debit(-taken.main, -taken.delta))

    def _reset_if_due(self, connection: Connection, row: AccountRow) -> AccountRow:
        begun = period_begun(row.account.lifetime, row.period_started_at, self._clock.now())
        if begun is None:
            return row
        back = Debit(-row.balance.spent, -row.balance.spent_delta)
        document = canonical({"period_started_at": begun})
        entry = self._entry(row, EntryKind.RESET, None, RECOVERY, spent=back, document=document)
        if not account_rows.post(connection, row, entry, period_started_at=begun):
            raise moved_on(row.account.key)
        return locked(connection, [row.account.key])[0]

    def post(
        self,
        connection: Connection,
        row: AccountRow,
        kind: EntryKind,
        charge: Charge | None,
        actor: Actor,
        *,
        spent: Debit = _NOTHING,
        held: Debit = _NOTHING,
        document: str = "{}",
    ) -> None:
        """Add a line to the history of an account, and move its balance by it.

        Raises:
            Conflict: somebody else moved it meanwhile.
        """
        entry = self._entry(row, kind, charge, actor, spent=spent, held=held, document=document)
        if not account_rows.post(connection, row, entry):
            raise moved_on(row.account.key)

    def _entry(
        self,
        row: AccountRow,
        kind: EntryKind,
        charge: Charge | None,
        actor: Actor,
        *,
        spent: Debit = _NOTHING,
        held: Debit = _NOTHING,
        document: str = "{}",
    ) -> Entry:
        return Entry(
            key=row.account.key,
            number=row.balance.entries + 1,
            at=self._clock.now(),
            kind=kind,
            charge=charge.id if charge else None,
            spent=spent.main,
            held=held.main,
            spent_delta=spent.delta,
            held_delta=held.delta,
            actor=actor.name,
            document=document,
            previous=row.head,
        )
