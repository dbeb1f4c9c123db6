"""What a charge takes from an account, and whether a history of entries adds up. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.errors import BudgetExhausted, Conflict, InvalidInput
from bailiwick.privacy.accounts import AccountKey, Balance, Entry
from bailiwick.privacy.amounts import ATTO, NANO, decimal_text
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.terms import Lifetime


@dataclass(frozen=True, slots=True)
class Debit:
    """A cost in an account's own currency: ``main`` in 1e-9 of epsilon or rho, ``delta`` in 1e-18."""

    main: int
    delta: int


def debit(cost: Cost, currency: Currency) -> Debit:
    """What a cost takes from an account of that currency.

    In zCDP an epsilon is worth ``epsilon**2 / 2`` (Bun and Steinke 2016, proposition 1.4), rounded up; with a delta it
    is delta-approximate zCDP of the same rho (section 8), whose deltas add up.

    >>> debit(Cost.of(0.1), Currency.ZCDP)
    Debit(main=5000000, delta=0)

    Raises:
        InvalidInput: a delta where the account is pure, or a rho where it counts epsilon.
    """
    if currency is Currency.ZCDP:
        return Debit(cost.rho_nano or -(-cost.epsilon_nano * cost.epsilon_nano // (2 * NANO)), cost.delta_atto)
    if cost.rho_nano:
        raise InvalidInput(
            f"the account counts epsilon, the cost is {cost.words}",
            what="cost",
            requested=cost.words,
            allowed="an epsilon with its delta",
            remedy="convert the rho to (epsilon, delta) for this plan, or use an account that counts zcdp",
        )
    if currency is Currency.PURE and cost.delta_atto:
        raise InvalidInput(
            f"the account counts epsilon alone, the cost is {cost.words}",
            what="cost",
            requested=cost.words,
            allowed="delta 0",
            remedy="use a mechanism without a delta, or an account that counts approx",
        )
    return Debit(cost.epsilon_nano, cost.delta_atto)


def check_room(balance: Balance, wanted: Debit) -> None:
    """Refuse a debit that the account does not hold.

    Raises:
        BudgetExhausted: saying requested, spent, held and remaining.
    """
    if wanted.main <= balance.remaining and wanted.delta <= balance.remaining_delta:
        return
    requested = in_words(balance.currency, wanted.main, wanted.delta)
    spent = in_words(balance.currency, balance.spent, balance.spent_delta)
    held = in_words(balance.currency, balance.held, balance.held_delta)
    remaining = in_words(balance.currency, balance.remaining, balance.remaining_delta)
    raise BudgetExhausted(
        f"the privacy budget {str(balance.key)!r} does not hold the request: requested {requested}; spent {spent}; "
        f"held {held}; remaining {remaining}",
        what="privacy_budget",
        where=str(balance.key),
        requested=requested,
        spent=spent,
        held=held,
        remaining=remaining,
        remedy="ask for less, or use what was already released; what is spent does not come back",
    )


def period_begun(lifetime: Lifetime, started_at: datetime, now: datetime) -> datetime | None:
    """When the period began that an account enters with its next charge; None: no reset is due.

    >>> from datetime import UTC
    >>> period_begun(Lifetime(30), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)).day
    2
    """
    if lifetime.reset_days is None:
        return None
    periods = (now - started_at) // timedelta(days=lifetime.reset_days)
    return started_at + periods * timedelta(days=lifetime.reset_days) if periods >= 1 else None


def in_words(currency: Currency, main: int, delta: int) -> str:
    """An amount of an account for people.

    >>> in_words(Currency.APPROX, 500_000_000, 10**12)
    'epsilon 0.5, delta 0.000001'
    """
    name = "rho" if currency is Currency.ZCDP else "epsilon"
    return f"{name} {decimal_text(main, NANO)}, delta {decimal_text(delta, ATTO)}"


def cap_of(cap: Cost, currency: Currency) -> Debit:
    """The cap of a new account in its own currency.

    Raises:
        InvalidInput: the cap is stated in another currency, or a pure account is given a delta.
    """
    if (currency is Currency.ZCDP) != bool(cap.rho_nano):
        raise InvalidInput(
            f"an account that counts {currency.value} cannot have the cap {cap.words}",
            what="cap",
            requested=cap.words,
            allowed="a rho" if currency is Currency.ZCDP else "an epsilon",
        )
    return Debit(cap.rho_nano, cap.delta_atto) if cap.rho_nano else debit(cap, currency)


def add_up(key: AccountKey, entries: Sequence[Entry], hashes: Sequence[str]) -> tuple[Debit, Debit]:
    """Spent and held, as an account's whole history gives them.

    Args:
        key: of the account.
        entries: all of them, in order.
        hashes: that were stored with them.

    Raises:
        Conflict: an entry is missing, out of place or was altered; or the sums were below zero at some point.
    """
    spent = held = spent_delta = held_delta = 0
    previous = ""
    for number, (entry, stored) in enumerate(zip(entries, hashes, strict=True), 1):
        if entry.key != key or entry.number != number or entry.previous != previous or entry.hash != stored:
            raise _broken(key, number, "does not follow from the one before")
        previous = stored
        spent, held = spent + entry.spent, held + entry.held
        spent_delta, held_delta = spent_delta + entry.spent_delta, held_delta + entry.held_delta
        if min(spent, held, spent_delta, held_delta) < 0:
            raise _broken(key, number, "makes a sum negative")
    return Debit(spent, spent_delta), Debit(held, held_delta)


def _broken(key: AccountKey, number: int, why: str) -> Conflict:
    return Conflict(
        f"the history of the privacy budget {str(key)!r} was tampered with: entry {number} {why}",
        what="privacy_entry",
        where=f"{key} entry {number}",
        remedy="release nothing from it; restore the database from a backup and compare",
    )
