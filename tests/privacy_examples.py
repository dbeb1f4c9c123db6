"""A small budget, a plan and the terms they need."""

from __future__ import annotations

from datetime import UTC, datetime

from bailiwick.clock import Clock, SystemClock
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.privacy.accounts import Account, AccountKey
from bailiwick.privacy.amounts import Amount
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.ledger import Ledger
from bailiwick.privacy.releases import MechanismUse, ReleasePlan
from bailiwick.privacy.service import PrivacyService
from bailiwick.privacy.terms import Adjacency, ColumnBounds, Lifetime, PrivacyUnit, ReleaseTerms
from bailiwick.storage.database import Database

ADA = Actor("ada")
WHOLE = AccountKey("customers", "queries")
CARDS = AccountKey("customers", "queries", "cards")
LOANS = AccountKey("customers", "queries", "loans")
UNIT = PrivacyUnit("customer", "customers")
TERMS = ReleaseTerms(UNIT, Adjacency.ADD_REMOVE, 2, {"amount": ColumnBounds(0, 100)}, {}, Lifetime())


def ledger(database: Database, clock: Clock | None = None) -> Ledger:
    clock = clock or SystemClock()
    return Ledger(database, AuditTrail(database, clock), clock)


def service(database: Database, clock: Clock | None = None) -> PrivacyService:
    clock = clock or SystemClock()
    return PrivacyService(database, AuditTrail(database, clock), clock)


def account(
    key: AccountKey,
    cap: Cost,
    currency: Currency = Currency.APPROX,
    lifetime: Lifetime = Lifetime(),  # noqa: B008 - frozen
) -> Account:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return Account(key, PrivacyUnit("customer", key.namespace), Adjacency.ADD_REMOVE, currency, cap, lifetime, created)


def plan(epsilon: Amount = 0.1, delta: Amount = 0, purpose: str = "count of rows") -> ReleasePlan:
    use = MechanismUse("discrete laplace", {"scale": 20}, map="epsilon = sensitivity / scale")
    return ReleasePlan(
        purpose, (use,), "pure", Cost.of(epsilon, delta), ("that the domain exists",), {"opendp": "0.16"}
    )
