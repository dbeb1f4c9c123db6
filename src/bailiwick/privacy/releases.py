"""What is going to be released, the charge for it, and what a reader is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.canonical import digest
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.terms import Adjacency, Categories, ColumnBounds, PrivacyUnit, ReleaseTerms


class ChargeState(Enum):
    """Where a charge stands. Only a held charge can be refunded; one that may have touched data is spent."""

    HELD = "held"
    STARTED = "started"
    SPENT = "spent"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class MechanismUse:
    """One mechanism of a plan, with everything that determines its guarantee.

    Args:
        name: such as ``discrete laplace``.
        parameters: scale, sensitivity, sample rate, steps, ...; public values only.
        times: how often it is applied.
        map: the privacy map in words or a formula, such as ``epsilon = sensitivity / scale``.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    times: int = 1
    map: str | None = None


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What is going to be released, fixed before the data is touched.

    Args:
        purpose: what is released, in words.
        mechanisms: every mechanism that reads the data.
        accounting: how the cost follows from them, such as ``zcdp`` or ``pld``.
        cost: what is charged for all of it.
        not_protected: what a reader learns all the same.
        libraries: name to version of what draws the noise and does the accounting.
    """

    purpose: str
    mechanisms: tuple[MechanismUse, ...]
    accounting: str
    cost: Cost
    not_protected: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Charge:
    """A reservation of budget for one plan, in the global account and, if it names one, a domain's.

    Args:
        id: of the charge.
        idempotency_key: two requests with the same key are one release.
        keys: the accounts debited, sorted.
        cost: what was asked for.
        state: see `ChargeState`.
        plan_hash: of the terms and the plan that were charged for, see `plan_hash`.
        held_at: when it was made.
        expires_at: a charge still held then is refunded by recovery.
    """

    id: str
    idempotency_key: str
    keys: tuple[AccountKey, ...]
    cost: Cost
    state: ChargeState
    plan_hash: str
    held_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ReportCard:
    """Everything that a reader needs to judge the claim of one release.

    ``epsilon`` and ``delta`` are the guarantee of this release; ``rho`` is given where it was charged in zCDP. What all
    releases of an account together may cost, between two resets if it has any, is in ``lifetime_budgets``.
    """

    unit: PrivacyUnit
    adjacency: Adjacency
    contribution_cap: int
    bounds: Mapping[str, ColumnBounds]
    categories: Mapping[str, Categories]
    purpose: str
    mechanisms: tuple[MechanismUse, ...]
    accounting: str
    epsilon: str | None
    delta: str
    rho: str | None
    not_protected: tuple[str, ...]
    reset_policy: str
    lifetime_budgets: Mapping[str, str]
    libraries: Mapping[str, str]
    accounts: tuple[str, ...]
    lineages: tuple[str, ...]
    domains: tuple[str, ...]
    charge: str
    plan_hash: str
    output_hash: str
    released_at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """A stored release: its output (plain JSON values), its card, and whether it was computed now or replayed."""

    charge: Charge
    card: Mapping[str, Any]
    output: Any
    replayed: bool


def plan_hash(terms: ReleaseTerms, plan: ReleasePlan) -> str:
    """Sha256 of what was fixed before the data was touched, as report cards show it."""
    return digest({"terms": terms, "plan": plan})
