"""The ledger: what has been spent of every privacy budget, whatever crashes and however many ask at once.

A charge goes held -> started -> spent. It is started, durably, before data is touched; from then on it can only be
spent, because nobody can prove that nothing was learnt. A charge that was only held can be refunded.

Every change locks the accounts concerned in the order of their keys, so that two charges cannot block each other, and
moves each balance by one conditional update. Refusals roll the whole unit back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor
from bailiwick.privacy.accounts import AccountKey, EntryKind
from bailiwick.privacy.books import release_of
from bailiwick.privacy.budgets import Budgets
from bailiwick.privacy.canonical import canonical, digest
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.posting import RECOVERY, locked
from bailiwick.privacy.recovery import settled
from bailiwick.privacy.refusals import check_request, key_taken, same_charge, unknown_charge
from bailiwick.privacy.releases import Charge, ChargeState, Release, ReportCard
from bailiwick.privacy.store import account_rows, charge_rows, release_rows
from bailiwick.storage.ids import new_id

HOLD_FOR = timedelta(minutes=15)
"""How long a charge may be held without starting."""


class Ledger(Budgets):
    """The budgets of one database. Safe for any number of threads and processes."""

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
        contents: Mapping[AccountKey, Iterable[str]] | None = None,
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
            contents: by global account, hashes of what may be read; they belong to its lineage from then on.

        Raises:
            BudgetExhausted: an account does not hold the cost; nothing changed anywhere.
            NotFound: an account does not exist.
            Conflict: the key was used for something else, or another account has the lineage or a content.
            InvalidInput: the cost is in a currency that an account does not take, or no key, or a malformed one.
        """
        wanted = tuple(sorted({each for key in keys for each in (key, key.whole)}))
        check_request(wanted, idempotency_key, hold_for)
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
            rows = locked(connection, wanted)
            existing = charge_rows.charge_for(connection, idempotency_key)
            if existing is not None:
                return same_charge(existing, charge, {row.account.key: row.account.created_at for row in rows})
            for key in wanted:
                if not key.domain:
                    self._identity.claim(connection, key, (contents or {}).get(key, ()), actor)
            for row in rows:
                self._posting.hold(connection, row, charge, actor)
            try:
                charge_rows.add_charge(connection, charge, canonical(plan))
            except IntegrityError as error:  # a charge on other accounts took the key a moment ago
                raise key_taken(idempotency_key) from error
            self._record(connection, actor, "hold", charge, cost=cost.words, plan_hash=plan_hash)
        return charge

    def start(self, charge: Charge, actor: Actor) -> Charge:
        """Say, durably, that data is about to be touched. After this the charge can only be spent.

        Raises:
            Conflict: the charge is not held any more: somebody else started it, or it was refunded.
        """
        with self._database.write() as connection:
            charge, rows = _stored(connection, charge)
            self._move(connection, charge, ChargeState.HELD, ChargeState.STARTED)
            for row in rows:
                self._posting.post(connection, row, EntryKind.START, charge, actor)
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
        stored = release_rows.StoredRelease(now, canonical(card), text, digest(output))
        with self._database.write() as connection:
            charge, rows = _stored(connection, charge)
            document = canonical({"output_hash": stored.output_hash, "plan_hash": charge.plan_hash})
            recovered = self._recovered(connection, charge)
            if not recovered:
                self._move(connection, charge, ChargeState.STARTED, ChargeState.SPENT)
            for row in rows:
                if recovered:
                    self._posting.post(connection, row, EntryKind.STORE, charge, actor, document=document)
                else:
                    self._posting.spend(connection, row, charge, actor, document)
            release_rows.add_release(connection, charge.id, stored)
            self._record(connection, actor, "spend", charge, output_hash=stored.output_hash)
        return release_of(replace(charge, state=ChargeState.SPENT), stored, replayed=False)

    def forfeit(self, charge: Charge, actor: Actor) -> Charge:
        """Count a started charge as spent although it has no output to show: its computation failed.

        Raises:
            Conflict: the charge is not started.
        """
        with self._database.write() as connection:
            charge, rows = _stored(connection, charge)
            self._move(connection, charge, ChargeState.STARTED, ChargeState.SPENT)
            for row in rows:
                self._posting.spend(connection, row, charge, actor, canonical({"output_hash": None}))
            self._record(connection, actor, "forfeit", charge)
        return replace(charge, state=ChargeState.SPENT)

    def refund(self, charge: Charge, actor: Actor) -> Charge:
        """Give back what a charge holds. Only before it started.

        Raises:
            Conflict: the charge is not held: what may have touched data is not refunded.
        """
        with self._database.write() as connection:
            charge, rows = _stored(connection, charge)
            self._move(connection, charge, ChargeState.HELD, ChargeState.REFUNDED)
            for row in rows:
                self._posting.refund(connection, row, charge, actor)
            self._record(connection, actor, "refund", charge)
        return replace(charge, state=ChargeState.REFUNDED)

    def recover(self, *, started_for: timedelta = timedelta(0)) -> list[Charge]:
        """Finish what crashed processes left behind: started charges are spent, expired held ones are refunded.

        Which charges those are, and why that is safe for living ones, is told in `recovery`.

        Args:
            started_for: leave alone charges that started less than that ago.

        Returns:
            The charges that were moved, in their new state.
        """
        now = self._clock.now()
        moved = []
        for charge in self.unfinished(started_before=now - started_for, expired_at=now):
            end = {ChargeState.SPENT: self.forfeit, ChargeState.REFUNDED: self.refund}
            try:
                moved.append(end[settled(charge)](charge, RECOVERY))
            except Conflict:  # its own process was quicker
                continue
        return moved

    def _move(self, connection: Connection, charge: Charge, before: ChargeState, after: ChargeState) -> None:
        if charge_rows.move_charge(connection, charge.id, before, after, self._clock.now()):
            return
        present = charge_rows.charge(connection, charge.id)
        raise Conflict(
            f"the charge {charge.id!r} is {present.state.value if present else 'unknown'}, not {before.value}",
            what="charge",
            where=charge.id,
            requested=after.value,
            allowed=f"from {before.value} only",
            remedy="what may have touched data is spent" if after is ChargeState.REFUNDED else None,
        )

    def _recovered(self, connection: Connection, charge: Charge) -> bool:
        present = charge_rows.charge(connection, charge.id)
        spent = present is not None and present.state is ChargeState.SPENT
        return spent and release_rows.release(connection, charge.id) is None

    def _record(self, connection: Connection, actor: Actor, verb: str, charge: Charge, **after: Any) -> None:
        described = {"accounts": [str(key) for key in charge.keys], **after}
        self._audit.record(connection, actor, f"privacy_charge.{verb}", f"privacy_charge:{charge.id}", after=described)


def _stored(connection: Connection, charge: Charge) -> tuple[Charge, list[account_rows.AccountRow]]:
    """The charge of that id as it is kept, and its accounts, locked; what the caller says of it counts for nothing.

    Raises:
        NotFound: there is none of that id.
    """
    kept = charge_rows.charge(connection, charge.id)
    if kept is None:
        raise unknown_charge(charge.id)
    return kept, locked(connection, kept.keys)
