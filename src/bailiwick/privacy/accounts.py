"""The budget of a data set, its balance, and the lines of its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from bailiwick.errors import InvalidInput
from bailiwick.privacy.canonical import digest
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.names import named
from bailiwick.privacy.terms import Adjacency, Lifetime, PrivacyUnit


@dataclass(frozen=True, slots=True, order=True)
class AccountKey:
    """Which budget. Never one per analyst or key: those could pool what they learn.

    Args:
        namespace: of the privacy unit.
        lineage: of the data set, the same for all its versions and subsets.
        domain: a sub-account; "" is the global account of the unit, which every charge debits too.
    """

    namespace: str
    lineage: str
    domain: str = ""

    def __post_init__(self) -> None:
        named(self.namespace, "account.namespace")
        named(self.lineage, "account.lineage")
        if self.domain:
            named(self.domain, "account.domain")

    @classmethod
    def parse(cls, text: str) -> AccountKey:
        """Read ``namespace/lineage`` or ``namespace/lineage/domain``.

        >>> AccountKey.parse("customers/queries/cards").domain
        'cards'

        Raises:
            InvalidInput: it is neither.
        """
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise InvalidInput(
                f"{text[:200]!r} names no privacy budget",
                what="account",
                requested=text[:200],
                allowed="NAMESPACE/LINEAGE, or NAMESPACE/LINEAGE/DOMAIN",
            )
        return cls(*parts)

    @property
    def whole(self) -> AccountKey:
        """The global account that this one is part of."""
        return AccountKey(self.namespace, self.lineage)

    def __str__(self) -> str:
        """As ``namespace/lineage`` or ``namespace/lineage/domain``."""
        return "/".join(part for part in (self.namespace, self.lineage, self.domain) if part)


@dataclass(frozen=True, slots=True)
class Account:
    """A budget. Everything in it is fixed when it is created."""

    key: AccountKey
    unit: PrivacyUnit
    adjacency: Adjacency
    currency: Currency
    cap: Cost
    lifetime: Lifetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has spent, holds for running releases, and has left: integers in the account's own currency.

    Args:
        key: of the account.
        currency: ``spent``, ``held`` and ``cap`` count rho in `Currency.ZCDP`, else epsilon, in 1e-9.
        cap: of the account.
        spent: gone for good, until a reset if the account has one.
        held: reserved; it returns only if the release never started.
        spent_delta: delta gone, in 1e-18.
        held_delta: delta reserved, in 1e-18.
        entries: how many entries the account has.
    """

    key: AccountKey
    currency: Currency
    cap: int
    spent: int
    held: int
    cap_delta: int
    spent_delta: int
    held_delta: int
    entries: int

    @property
    def remaining(self) -> int:
        """What a new charge may take, in 1e-9."""
        return self.cap - self.spent - self.held

    @property
    def remaining_delta(self) -> int:
        """What a new charge may take, in 1e-18."""
        return self.cap_delta - self.spent_delta - self.held_delta


class EntryKind(Enum):
    """What an entry of an account records."""

    OPEN = "open"
    HOLD = "hold"
    START = "start"
    SPEND = "spend"
    REFUND = "refund"
    RESET = "reset"
    STORE = "store"
    """The output of a charge that recovery had already counted as spent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an account's history. Lines are only added, and each carries the hash of the one before.

    Args:
        key: of the account.
        number: 1, 2, 3, ... in the account.
        at: when.
        kind: what happened.
        charge: the charge that caused it; None for opening and resets.
        spent, held: how the balance changed, in 1e-9 of the account's currency.
        spent_delta, held_delta: how the deltas changed, in 1e-18.
        actor: who asked.
        document: cost, hashes, or the account's terms, in canonical JSON.
        previous: hash of the entry before; "" for the first.
    """

    key: AccountKey
    number: int
    at: datetime
    kind: EntryKind
    charge: str | None
    spent: int
    held: int
    spent_delta: int
    held_delta: int
    actor: str
    document: str
    previous: str

    @property
    def hash(self) -> str:
        """Sha256 over every field, and through ``previous`` over every entry before."""
        return digest(self)
