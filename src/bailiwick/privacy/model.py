"""The nouns of privacy: whom a release protects, on which terms, at what cost, and what a reader is told of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.amounts import ATTO, NANO, Amount, decimal_text, delta_units, units, units_of_cap


class Adjacency(Enum):
    """Which two data sets must be hard to tell apart. The contribution cap says how many rows one unit may touch."""

    ADD_REMOVE = "add-remove"
    """One has all rows of one unit more than the other."""
    REPLACE = "replace"
    """The rows of one unit are exchanged for others."""


class Currency(Enum):
    """What an account counts. Fixed when the account is created: a choice per request would void the bound."""

    PURE = "pure"
    """Epsilon alone; a charge with a delta is refused."""
    APPROX = "approx"
    """Epsilon and delta, each summed (basic composition)."""
    ZCDP = "zcdp"
    """Rho of zero-concentrated differential privacy, plus the deltas of approximate charges (Bun and Steinke 2016)."""


class ChargeState(Enum):
    """Where a charge stands. Only a held charge can be refunded; one that may have touched data is spent."""

    HELD = "held"
    STARTED = "started"
    SPENT = "spent"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class PrivacyUnit:
    """Whom a release protects: everything that carries one value of a column.

    Args:
        column: the column that names the unit, such as ``customer``.
        namespace: where that value means the same person, such as ``bank-customers``. Budgets add up inside it.
    """

    column: str
    namespace: str

    def __post_init__(self) -> None:
        _named(self.column, "unit.column")
        _named(self.namespace, "unit.namespace")


@dataclass(frozen=True, slots=True)
class ColumnBounds:
    """Public limits that values of a column are clamped to. Inclusive, in the column's own unit."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise InvalidInput(
                f"bounds [{self.lower!r}, {self.upper!r}] are no interval",
                what="bounds",
                requested=f"[{self.lower!r}, {self.upper!r}]",
                allowed="two finite numbers, the lower one first",
            )


@dataclass(frozen=True, slots=True)
class Categories:
    """The public list of values that a column may have. Any other value is left out of a release."""

    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise InvalidInput(
                f"categories {self.values!r} are empty or repeat a value", what="categories", allowed="distinct values"
            )


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a promise lasts.

    Args:
        reset_days: None: for ever, what is spent stays spent. Else the account starts afresh after so many days, and
            the promise covers one such period only.
    """

    reset_days: int | None = None

    def __post_init__(self) -> None:
        if self.reset_days is not None and (isinstance(self.reset_days, bool) or self.reset_days < 1):
            raise InvalidInput(f"a reset after {self.reset_days!r} days is none", what="lifetime", allowed=">= 1 day")

    @property
    def words(self) -> str:
        """The reset policy in words, as report cards show it.

        >>> Lifetime().words, Lifetime(30).words
        ('never reset', 'reset every 30 days')
        """
        return "never reset" if self.reset_days is None else f"reset every {self.reset_days} days"


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """What must be fixed and public before data is touched. None means: not stated.

    Args:
        unit: whom the release protects.
        adjacency: which change of the data is to be hidden.
        contribution_cap: at most so many rows of one unit are used; the others are dropped.
        bounds: clamping limits by numeric column.
        categories: allowed values by categorical column.
        lifetime: how long the promise lasts; must be that of the account.
    """

    unit: PrivacyUnit | None = None
    adjacency: Adjacency | None = Adjacency.ADD_REMOVE
    contribution_cap: int | None = None
    bounds: Mapping[str, ColumnBounds] = field(default_factory=dict)
    categories: Mapping[str, Categories] = field(default_factory=dict)
    lifetime: Lifetime | None = None

    def missing(self, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()) -> list[str]:
        """What is not stated, of what a release over these columns needs.

        >>> ReleaseTerms(lifetime=Lifetime()).missing(numeric=["amount"])
        ['unit', 'contribution_cap', 'bounds.amount']
        """
        stated = {
            "unit": self.unit,
            "adjacency": self.adjacency,
            "contribution_cap": self.contribution_cap,
            "lifetime": self.lifetime,
        }
        return [
            *(name for name, value in stated.items() if value is None),
            *(f"bounds.{column}" for column in numeric if column not in self.bounds),
            *(f"categories.{column}" for column in categorical if column not in self.categories),
        ]

    def check(self, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()) -> None:
        """Refuse terms that cannot carry a release over these columns.

        Args:
            numeric: columns whose values enter sums, means or quantiles.
            categorical: columns whose values are grouped by or counted.

        Raises:
            InvalidInput: naming everything that is missing, or a contribution cap that is not a positive integer.
        """
        absent = self.missing(numeric=numeric, categorical=categorical)
        if absent:
            raise InvalidInput(
                f"the terms of the release do not state {', '.join(absent)}",
                what=absent[0],
                requested="a private release",
                remedy="state it from public knowledge, before looking at the data",
            )
        cap = self.contribution_cap
        if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
            raise InvalidInput(f"contribution cap {cap!r}", what="contribution_cap", requested=cap, allowed=">= 1 row")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a release costs, in integers. Either epsilon with delta, or rho with the delta of its approximation.

    Args:
        epsilon_nano: epsilon in 1e-9; 0 where the cost is given as rho.
        delta_atto: delta in 1e-18.
        rho_nano: rho in 1e-9; 0 where the cost is given as epsilon.
    """

    epsilon_nano: int
    delta_atto: int = 0
    rho_nano: int = 0

    def __post_init__(self) -> None:
        amounts = (self.epsilon_nano, self.delta_atto, self.rho_nano)
        if any(isinstance(amount, bool) or not isinstance(amount, int) or amount < 0 for amount in amounts):
            raise InvalidInput(f"cost {amounts!r} is not made of whole units", what="cost", allowed="integers >= 0")
        if (self.epsilon_nano == 0) == (self.rho_nano == 0):
            raise InvalidInput(f"cost {amounts!r}", what="cost", allowed="either an epsilon or a rho, above zero")

    @classmethod
    def of(cls, epsilon: Amount, delta: Amount = 0) -> Cost:
        """A cost in epsilon and delta, each rounded up. ``delta`` may be exactly 0: pure differential privacy.

        >>> Cost.of(0.1, 1e-6)
        Cost(epsilon_nano=100000000, delta_atto=1000000000000, rho_nano=0)

        Raises:
            InvalidInput: NaN, infinite, zero, negative or subnormal; a delta of 1 or more.
        """
        return cls(units(epsilon, NANO, "epsilon"), delta_units(delta))

    @classmethod
    def of_rho(cls, rho: Amount, delta: Amount = 0) -> Cost:
        """A cost in rho of (delta-approximate) zCDP, each rounded up.

        Raises:
            InvalidInput: as `of`.
        """
        return cls(0, delta_units(delta), units(rho, NANO, "rho"))

    @classmethod
    def cap(cls, *, epsilon: Amount | None = None, delta: Amount = 0, rho: Amount | None = None) -> Cost:
        """What an account may spend in all, each rounded down.

        Raises:
            InvalidInput: as `of`; both or neither of epsilon and rho.
        """
        if (epsilon is None) == (rho is None):
            raise InvalidInput("a cap needs either an epsilon or a rho", what="cap")
        whole_delta = delta_units(delta, cap=True)
        if rho is not None:
            return cls(0, whole_delta, units_of_cap(rho, NANO, "rho"))
        return cls(units_of_cap(epsilon or 0, NANO, "epsilon"), whole_delta)

    @property
    def epsilon(self) -> float:
        """Epsilon as a float, for calculation and display; 0 where the cost is given as rho."""
        return self.epsilon_nano / NANO

    @property
    def delta(self) -> float:
        """Delta as a float, for calculation and display."""
        return self.delta_atto / ATTO

    @property
    def rho(self) -> float:
        """Rho as a float, for calculation and display; 0 where the cost is given as epsilon."""
        return self.rho_nano / NANO

    @property
    def words(self) -> str:
        """The cost for people.

        >>> Cost.of(0.5, 1e-6).words, Cost.of_rho(0.005).words
        ('epsilon 0.5, delta 0.000001', 'rho 0.005')
        """
        first = f"rho {decimal_text(self.rho_nano, NANO)}"
        if self.epsilon_nano:
            first = f"epsilon {decimal_text(self.epsilon_nano, NANO)}"
        return f"{first}, delta {decimal_text(self.delta_atto, ATTO)}" if self.delta_atto else first


class Level(Enum):
    """Presets of what one release, or one domain, may spend."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def cost(self) -> Cost:
        """Epsilon and delta of the level.

        >>> Level.HIGH.cost.words
        'epsilon 0.5, delta 0.000001'
        """
        return _LEVELS[self]


_LEVELS = {
    Level.LOW: Cost.of("2.0", "1e-4"),
    Level.MEDIUM: Cost.of("1.0", "1e-5"),
    Level.HIGH: Cost.of("0.5", "1e-6"),
}


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What an account's releases use unless they say otherwise. All of it public, none of it learnt from the data.

    Args:
        contribution_cap: rows of one unit that are used at most.
        bounds: clamping limits by column.
        categories: allowed values by column.
        level: what one release may cost.
    """

    contribution_cap: int | None = None
    bounds: Mapping[str, ColumnBounds] = field(default_factory=dict)
    categories: Mapping[str, Categories] = field(default_factory=dict)
    level: Level | None = None


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
        _named(self.namespace, "account.namespace")
        _named(self.lineage, "account.lineage")
        if self.domain:
            _named(self.domain, "account.domain")

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

    ``epsilon`` and ``delta`` are the guarantee of this release; ``rho`` is given where it was charged in zCDP.
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


def canonical(document: Any) -> str:
    """One text for one value: JSON with sorted keys; enums by value, instants in ISO 8601, tuples as lists.

    Raises:
        InvalidInput: a value that JSON cannot carry exactly, such as NaN or an object.
    """
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the value cannot be written as JSON: {error}", what="document") from error


def digest(document: Any) -> str:
    """Sha256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in fields(value)}
    raise TypeError(f"{type(value).__name__} {value!r}")


def _named(value: str, name: str) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or "/" in value or not value.isprintable():
        raise InvalidInput(
            f"{name} {value!r} is no name",
            what=name,
            requested=repr(value)[:220],
            allowed="1 to 200 printable characters without a slash",
        )
