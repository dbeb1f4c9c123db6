"""What a release costs and an account may spend, in whole units, and the presets of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bailiwick.errors import InvalidInput
from bailiwick.privacy.amounts import ATTO, NANO, Amount, decimal_text, delta_units, units, units_of_cap


class Currency(Enum):
    """What an account counts. Fixed when the account is created: a choice per request would void the bound."""

    PURE = "pure"
    """Epsilon alone; a charge with a delta is refused."""
    APPROX = "approx"
    """Epsilon and delta, each summed (basic composition)."""
    ZCDP = "zcdp"
    """Rho of zero-concentrated differential privacy, plus the deltas of approximate charges (Bun and Steinke 2016)."""


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
