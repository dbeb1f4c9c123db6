"""The ledger: what has been spent of every privacy budget, whatever crashes and however many ask at once.

A charge goes held -> started -> spent. It is started, durably, before data is touched; from then on it can only be
spent, because nobody can prove that nothing was learnt. A charge that was only held can be refunded.

Every change locks the accounts concerned in the order of their keys, so that two charges cannot block each other, and
moves each balance by one conditional update. Refusals roll the whole unit back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.privacy import store
from bailiwick.privacy.charging import Debit, add_up, cap_of, check_room, debit
from bailiwick.privacy.model import (
    Account,
    AccountKey,
    Balance,
    Charge,
    ChargeState,
    Cost,
    Entry,
    EntryKind,
    Release,
    ReportCard,
    canonical,
    digest,
)
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id

HOLD_FOR = timedelta(minutes=15)
"""How long a charge may be held without starting."""
_NOTHING = Debit(0, 0)
_RECOVERY = Actor("privacy-ledger", reason="recovery")


class Ledger:
    """The budgets of one database. Safe for any number of threads and processes."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def open(self, account: Account, actor: Actor) -> Account:
        """Create an account. Nothing in it can be changed later.

        Args:
            account: ``created_at`` is replaced by now. A domain's account must agree with the global one in unit,
                adjacency, currency and lifetime.
            actor: who asks.

        Raises:
            Conflict: it exists.
            NotFound: a domain's account whose global account does not exist.
            InvalidInput: the cap is in another currency, or the account disagrees with its global one.
        """
        account = replace(account, created_at=self._clock.now())
        cap = cap_of(account.cap, account.currency)
        if account.unit.namespace != account.key.namespace:
            raise InvalidInput(
                f"the unit's namespace is {account.unit.namespace!r}, the account's {account.key.namespace!r}",
                what="unit.namespace",
            )
        with self._database.write() as connection:
            if account.key.domain:
                _check_agreement(account, self._locked(connection, [account.key.whole])[0].account)
            if store.accounts(connection, [account.key]):
                raise _exists(account.key)
            try:
                store.add_account(connection, account, cap.main, cap.delta)
            except IntegrityError as error:
                raise _exists(account.key) from error
            row = self._locked(connection, [account.key])[0]
            document = store.opening_document(account, cap.main, cap.delta)
            self._post(connection, row, EntryKind.OPEN, None, actor, document=document)
            self._audit.record(
                connection, actor, "privacy_account.create", _subject(account.key), after=json.loads(document)
            )
        return account

    def hold(
        self,
        keys: Iterable[AccountKey],
        cost: Cost,
        *,
        idempotency_key: str,
        plan_hash: str,
        actor: Actor,
        plan: Any = None,
        hold_for: timedelta = HOLD_FOR,
    ) -> Charge:
        """Reserve a cost in every named account and in the global account of each, or in none of them.

        Args:
            keys: one or more accounts; those of overlapping domains add up in the global one only once per charge.
            cost: rounded up already, see `Cost.of`.
            idempotency_key: the same key with the same plan returns the same charge, in whatever state it is by now.
            plan_hash: of what is going to be done; part of what the key stands for.
            actor: who asks.
            plan: what was hashed, kept with the charge.
            hold_for: after that time recovery refunds a charge that was never started.

        Raises:
            BudgetExhausted: an account does not hold the cost; nothing changed anywhere.
            NotFound: an account does not exist.
            Conflict: the key was used for something else.
            InvalidInput: the cost is in a currency that an account does not take, or no key, or a malformed one.
        """
        wanted = tuple(sorted({each for key in keys for each in (key, key.whole)}))
        _check_request(wanted, idempotency_key, hold_for)
        now = self._clock.now()
        charge = Charge(
            id=new_id("charge", now),
            idempotency_key=idempotency_key,
            keys=wanted,
            cost=cost,
            state=ChargeState.HELD,
            plan_hash=plan_hash,
            held_at=now,
            expires_at=now + hold_for,
        )
        with self._database.write() as connection:
            rows = self._locked(connection, wanted)
            existing = store.charge_for(connection, idempotency_key)
            if existing is not None:
                return _same(existing, charge)
            for row in rows:
                self._hold_in(connection, row, charge, actor)
            try:
                store.add_charge(connection, charge, canonical(plan))
            except IntegrityError as error:  # a charge on other accounts took the key a moment ago
                raise _key_taken(idempotency_key) from error
            self._record(connection, actor, "hold", charge, cost=cost.words, plan_hash=plan_hash)
        return charge

    def start(self, charge: Charge, actor: Actor) -> Charge:
        """Say, durably, that data is about to be touched. After this the charge can only be spent.

        Raises:
            Conflict: the charge is not held any more: somebody else started it, or it was refunded.
        """
        with self._database.write() as connection:
            rows = self._locked(connection, charge.keys)
            self._move(connection, charge, ChargeState.HELD, ChargeState.STARTED)
            for row in rows:
                self._post(connection, row, EntryKind.START, charge, actor)
            self._record(connection, actor, "start", charge)
        return replace(charge, state=ChargeState.STARTED)

    def spend(self, charge: Charge, card: ReportCard, output: Any, actor: Actor) -> Release:
        """Finish a charge: the budget is gone, and the output is kept for whoever asks again.

        A charge that recovery counted as spent while this process was still computing takes its output all the same.

        Args:
            charge: started.
            card: of the release.
            output: plain JSON values, finite numbers only.
            actor: who asks.

        Raises:
            Conflict: the charge was never started, or has an output already.
            InvalidInput: the output is not JSON; the charge stays started.
        """
        now = self._clock.now()
        text = canonical(output)
        stored = store.StoredRelease(now, canonical(card), text, digest(output))
        document = canonical({"output_hash": stored.output_hash, "plan_hash": charge.plan_hash})
        with self._database.write() as connection:
            rows = self._locked(connection, charge.keys)
            recovered = self._recovered(connection, charge)
            if not recovered:
                self._move(connection, charge, ChargeState.STARTED, ChargeState.SPENT)
            for row in rows:
                if recovered:
                    self._post(connection, row, EntryKind.STORE, charge, actor, document=document)
                else:
                    self._spend_in(connection, row, charge, actor, document)
            store.add_release(connection, charge.id, stored)
            self._record(connection, actor, "spend", charge, output_hash=stored.output_hash)
        return _release(replace(charge, state=ChargeState.SPENT), stored, replayed=False)

    def forfeit(self, charge: Charge, actor: Actor) -> Charge:
        """Count a started charge as spent although it has no output to show: its computation failed.

        Raises:
            Conflict: the charge is not started.
        """
        with self._database.write() as connection:
            rows = self._locked(connection, charge.keys)
            self._move(connection, charge, ChargeState.STARTED, ChargeState.SPENT)
            for row in rows:
                self._spend_in(connection, row, charge, actor, canonical({"output_hash": None}))
            self._record(connection, actor, "forfeit", charge)
        return replace(charge, state=ChargeState.SPENT)

    def refund(self, charge: Charge, actor: Actor) -> Charge:
        """Give back what a charge holds. Only before it started.

        Raises:
            Conflict: the charge is not held: what may have touched data is not refunded.
        """
        with self._database.write() as connection:
            rows = self._locked(connection, charge.keys)
            self._move(connection, charge, ChargeState.HELD, ChargeState.REFUNDED)
            for row in rows:
                taken = debit(charge.cost, row.account.currency)
                self._post(connection, row, EntryKind.REFUND, charge, actor, held=Debit(-taken.main, -taken.delta))
            self._record(connection, actor, "refund", charge)
        return replace(charge, state=ChargeState.REFUNDED)

    def recover(self, *, started_for: timedelta = timedelta(0)) -> list[Charge]:
        """Finish what crashed processes left behind: started charges are spent, expired held ones are refunded.

        Safe at any time: a process that is still computing can store its output afterwards.

        Args:
            started_for: leave alone charges that started less than that ago.

        Returns:
            The charges that were moved, in their new state.
        """
        now = self._clock.now()
        with self._database.read() as connection:
            left = store.unfinished(connection, started_before=now - started_for, expired_at=now)
        moved = []
        for charge in left:
            try:
                end = self.forfeit if charge.state is ChargeState.STARTED else self.refund
                moved.append(end(charge, _RECOVERY))
            except Conflict:  # its own process was quicker
                continue
        return moved

    def balance(self, key: AccountKey) -> Balance:
        """What an account has spent, holds and has left.

        Raises:
            NotFound: it does not exist.
        """
        with self._database.read() as connection:
            return _found(store.accounts(connection, [key]), [key])[0].balance

    def account(self, key: AccountKey) -> Account:
        """What was fixed when an account was created.

        Raises:
            NotFound: it does not exist.
        """
        with self._database.read() as connection:
            return _found(store.accounts(connection, [key]), [key])[0].account

    def accounts(self) -> list[tuple[Account, Balance]]:
        """Every account with its balance, in the order of their keys."""
        with self._database.read() as connection:
            return [(row.account, row.balance) for row in store.accounts(connection)]

    def entries(self, key: AccountKey, *, newest: int | None = None) -> Sequence[Entry]:
        """The history of an account, oldest first: all of it, or the newest few entries."""
        with self._database.read() as connection:
            return store.entries(connection, key, newest=newest)[0]

    def recompute(self, key: AccountKey) -> Balance:
        """The balance as the entries alone give it, with every hash checked, compared with the one kept.

        Raises:
            NotFound: the account does not exist.
            Conflict: an entry was altered or removed, or the balance or the account's terms were changed without one.
        """
        with self._database.read() as connection:
            row = _found(store.accounts(connection, [key]), [key])[0]
            entries, hashes = store.entries(connection, key)
        spent, held = add_up(key, entries, hashes)
        kept = row.balance
        computed = replace(
            kept,
            spent=spent.main,
            held=held.main,
            spent_delta=spent.delta,
            held_delta=held.delta,
            entries=len(entries),
        )
        document = store.opening_document(row.account, kept.cap, kept.cap_delta)
        if computed != kept or not entries or entries[0].document != document or hashes[-1] != row.head:
            raise Conflict(
                f"the privacy budget {str(key)!r} does not follow from its entries",
                what="privacy_account",
                where=str(key),
                requested={"spent": kept.spent, "held": kept.held, "entries": kept.entries},
                allowed={"spent": computed.spent, "held": computed.held, "entries": computed.entries},
                remedy="release nothing from it; restore the database from a backup and compare",
            )
        return computed

    def charge(self, identifier: str) -> Charge:
        """One charge as it stands now.

        Raises:
            NotFound: there is none of that id.
        """
        with self._database.read() as connection:
            found = store.charge(connection, identifier)
        if found is None:
            raise NotFound(f"the charge {identifier!r} does not exist", what="charge", requested=identifier)
        return found

    def released(self, charge: Charge) -> Release | None:
        """What a charge released, exactly as it was first given; None if it never got so far."""
        with self._database.read() as connection:
            stored = store.release(connection, charge.id)
        return None if stored is None else _release(charge, stored, replayed=True)

    def releases(self, *, limit: int = 50) -> list[Release]:
        """Stored releases, newest first."""
        with self._database.read() as connection:
            found = store.releases(connection, limit)
        return [_release(self.charge(identifier), stored, replayed=True) for identifier, stored in found]

    def _locked(self, connection: Connection, keys: Sequence[AccountKey]) -> list[store.AccountRow]:
        return _found(store.accounts(connection, keys, lock=True), keys)

    def _hold_in(self, connection: Connection, row: store.AccountRow, charge: Charge, actor: Actor) -> None:
        row = self._reset_if_due(connection, row)
        wanted = debit(charge.cost, row.account.currency)
        check_room(row.balance, wanted)
        document = canonical({"cost": charge.cost, "plan_hash": charge.plan_hash, "key": charge.idempotency_key})
        self._post(connection, row, EntryKind.HOLD, charge, actor, held=wanted, document=document)

    def _spend_in(
        self, connection: Connection, row: store.AccountRow, charge: Charge, actor: Actor, document: str
    ) -> None:
        taken = debit(charge.cost, row.account.currency)
        back = Debit(-taken.main, -taken.delta)
        self._post(connection, row, EntryKind.SPEND, charge, actor, spent=taken, held=back, document=document)

    def _reset_if_due(self, connection: Connection, row: store.AccountRow) -> store.AccountRow:
        days = row.account.lifetime.reset_days
        if days is None:
            return row
        periods = (self._clock.now() - row.period_started_at) // timedelta(days=days)
        if periods < 1:
            return row
        begun = row.period_started_at + periods * timedelta(days=days)
        back = Debit(-row.balance.spent, -row.balance.spent_delta)
        document = canonical({"period_started_at": begun})
        entry = self._entry(row, EntryKind.RESET, None, _RECOVERY, spent=back, document=document)
        if not store.post(connection, row, entry, period_started_at=begun):
            raise _moved_on(row.account.key)
        return self._locked(connection, [row.account.key])[0]

    def _post(
        self,
        connection: Connection,
        row: store.AccountRow,
        kind: EntryKind,
        charge: Charge | None,
        actor: Actor,
        *,
        spent: Debit = _NOTHING,
        held: Debit = _NOTHING,
        document: str = "{}",
    ) -> None:
        entry = self._entry(row, kind, charge, actor, spent=spent, held=held, document=document)
        if not store.post(connection, row, entry):
            raise _moved_on(row.account.key)

    def _entry(
        self,
        row: store.AccountRow,
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

    def _move(self, connection: Connection, charge: Charge, before: ChargeState, after: ChargeState) -> None:
        if store.move_charge(connection, charge.id, before, after, self._clock.now()):
            return
        present = store.charge(connection, charge.id)
        raise Conflict(
            f"the charge {charge.id!r} is {present.state.value if present else 'unknown'}, not {before.value}",
            what="charge",
            where=charge.id,
            requested=after.value,
            allowed=f"from {before.value} only",
            remedy="what may have touched data is spent" if after is ChargeState.REFUNDED else None,
        )

    def _recovered(self, connection: Connection, charge: Charge) -> bool:
        present = store.charge(connection, charge.id)
        spent = present is not None and present.state is ChargeState.SPENT
        return spent and store.release(connection, charge.id) is None

    def _record(self, connection: Connection, actor: Actor, verb: str, charge: Charge, **after: Any) -> None:
        described = {"accounts": [str(key) for key in charge.keys], **after}
        self._audit.record(connection, actor, f"privacy_charge.{verb}", f"privacy_charge:{charge.id}", after=described)


def _found(rows: list[store.AccountRow], keys: Sequence[AccountKey]) -> list[store.AccountRow]:
    absent = sorted(set(keys) - {row.account.key for row in rows})
    if absent:
        raise NotFound(
            f"there is no privacy budget {str(absent[0])!r}",
            what="privacy_budget",
            requested=str(absent[0]),
            remedy="create it with `bailiwick privacy budget create`",
        )
    return rows


def _check_request(keys: Sequence[AccountKey], idempotency_key: str, hold_for: timedelta) -> None:
    if not keys:
        raise InvalidInput("a charge needs an account", what="keys")
    if not 1 <= len(idempotency_key) <= 200 or not idempotency_key.isprintable():
        raise InvalidInput(
            f"idempotency key {idempotency_key[:80]!r}", what="idempotency_key", allowed="1 to 200 printable characters"
        )
    if hold_for <= timedelta(0):
        raise InvalidInput(f"a charge cannot be held for {hold_for}", what="hold_for", allowed="a positive time")


def _check_agreement(account: Account, whole: Account) -> None:
    pairs = {
        "unit": (account.unit, whole.unit),
        "adjacency": (account.adjacency, whole.adjacency),
        "currency": (account.currency, whole.currency),
        "lifetime": (account.lifetime, whole.lifetime),
    }
    for name, (own, theirs) in pairs.items():
        if own != theirs:
            raise InvalidInput(
                f"the {name} of {str(account.key)!r} is not that of {str(whole.key)!r}",
                what=name,
                requested=repr(own),
                allowed=repr(theirs),
                remedy="every charge of a domain is counted in the global account too",
            )


def _same(existing: Charge, asked: Charge) -> Charge:
    if (existing.keys, existing.cost, existing.plan_hash) != (asked.keys, asked.cost, asked.plan_hash):
        raise _key_taken(asked.idempotency_key)
    return existing


def _key_taken(idempotency_key: str) -> Conflict:
    return Conflict(
        f"the idempotency key {idempotency_key!r} stands for another release",
        what="idempotency_key",
        requested=idempotency_key,
        remedy="use a new key for a new release",
    )


def _exists(key: AccountKey) -> Conflict:
    return Conflict(
        f"the privacy budget {str(key)!r} exists, and nothing in it can be changed",
        what="privacy_budget",
        requested=str(key),
        remedy="see `bailiwick privacy budget show`",
    )


def _moved_on(key: AccountKey) -> Conflict:
    return Conflict(f"the privacy budget {str(key)!r} was changed by somebody else", what="privacy_budget")


def _subject(key: AccountKey) -> str:
    return f"privacy_account:{key}"[:300]


def _release(charge: Charge, stored: store.StoredRelease, *, replayed: bool) -> Release:
    return Release(charge, json.loads(stored.card), json.loads(stored.output), replayed)
