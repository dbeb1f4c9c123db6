"""What a plan of private steps costs together, by six methods.

A `FixedPlan` is written down before any answer is seen; every method here is valid for it, and the smallest is
reported. Where the next step depends on earlier answers, only a filter is valid: `filter.AdaptiveFilter` (zCDP).
Numerical privacy loss distributions are never used to admit adaptive steps.

All bounds hold for add/remove neighbours, in the units of the mechanisms that make the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailiwick.privacy.accounting.composition import kov_exact
from bailiwick.privacy.accounting.loss_distribution import loss_distribution
from bailiwick.privacy.accounting.renyi import RDP_ORDERS, epsilon_of_renyi, renyi_of
from bailiwick.privacy.accounting.steps import (
    ApproximateDp,
    Gaussian,
    Laplace,
    Mechanism,
    PureDp,
    SampledGaussian,
    check_delta,
    check_step,
)
from bailiwick.privacy.accounting.zcdp import rho_of, zcdp_epsilon

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution


@dataclass(frozen=True, slots=True)
class FixedPlan:
    """Steps that are all written down before the first answer is seen.

    Args:
        steps: each mechanism with how often it runs.

    >>> plan = FixedPlan.of((Laplace(0.1), 100))
    >>> plan.naive(1e-6), round(plan.advanced(1e-6), 3), round(plan.kov(1e-6), 6), round(plan.zcdp(1e-6), 3)
    (10.0, 6.308, 4.774568, 5.222)
    """

    steps: tuple[tuple[Mechanism, int], ...]

    @classmethod
    def of(cls, *steps: tuple[Mechanism, int]) -> FixedPlan:
        """A plan of mechanisms with their counts.

        Raises:
            InvalidInput: a parameter is not finite or out of its range, or a count below 1.
        """
        for mechanism, count in steps:
            check_step(mechanism, count)
        return cls(tuple(steps))

    @property
    def delta(self) -> float:
        """What the steps themselves have of delta, added up."""
        return sum(count * step.delta for step, count in self.steps if isinstance(step, ApproximateDp))

    def naive(self, delta: float) -> float:
        """The sum of the epsilons; infinite when a step has none of its own, or delta is below the steps' own."""
        if self._pure() is None or delta < self.delta:
            return math.inf
        return math.fsum(epsilon * count for epsilon, count in self._pure() or ())

    def advanced(self, delta: float) -> float:
        """Advanced composition (DRV10, theorem III.3, for unequal steps), or the sum where that is less."""
        return min(self.naive(delta), self._drv10(delta))

    def kov(self, delta: float) -> float:
        """Kairouz, Oh and Viswanath 2015: exact (theorem 3.3) for equal pure steps, else theorem 3.5."""
        pure, slack = self._pure(), delta - self.delta
        if pure is None or slack <= 0:
            return self.naive(delta)
        epsilons = {epsilon for epsilon, _ in pure}
        if len(epsilons) == 1 and self.delta == 0:
            return kov_exact(epsilons.pop(), sum(count for _, count in pure), delta)
        squares = math.fsum(count * epsilon**2 for epsilon, count in pure)
        drift = math.fsum(count * epsilon * math.tanh(epsilon / 2) for epsilon, count in pure)
        spread = min(-math.log(slack), math.log(math.e + math.sqrt(squares) / slack))
        return min(self.naive(delta), drift + math.sqrt(2 * squares * spread))

    def rho(self) -> float:
        """Zero-concentrated DP of all steps; infinite when a step has none. Pure epsilon gives epsilon squared / 2."""
        return math.fsum(rho_of(step) * count for step, count in self.steps)

    def zcdp(self, delta: float) -> float:
        """By zCDP and the conversion of CKS20, proposition 12."""
        return _finite(self.rho(), lambda rho: zcdp_epsilon(rho, delta))

    def rdp(self, delta: float, order: float | None = None) -> float:
        """By Renyi DP.

        Args:
            delta: of the result.
            order: fixed beforehand, as a filter needs it; None: the best of `RDP_ORDERS`, which a fixed plan may use.
        """
        found = (epsilon_of_renyi(self._renyi(each), each, delta) for each in ((order,) if order else RDP_ORDERS))
        return max(0.0, min(found))

    def pld(self, delta: float) -> float:
        """By privacy loss distributions, rounded pessimistically (dp-accounting). For fixed plans only."""
        composed: PrivacyLossDistribution | None = None
        for step, count in self.steps:
            made = loss_distribution(step).self_compose(count)
            composed = made if composed is None else composed.compose(made)
        return float(composed.get_epsilon_for_delta(delta)) if composed else 0.0

    def bounds(self, delta: float) -> Mapping[str, float]:
        """Epsilon at ``delta`` by every method; infinite where one does not apply."""
        methods: Mapping[str, Callable[[float], float]] = {
            "naive": self.naive,
            "advanced": self.advanced,
            "kov": self.kov,
            "zcdp": self.zcdp,
            "rdp": self.rdp,
            "pld": self.pld,
        }
        return {name: method(check_delta(delta)) for name, method in methods.items()}

    def epsilon(self, delta: float) -> float:
        """The smallest of `bounds`: each of them is true of the plan, so the least is."""
        return min(self.bounds(delta).values())

    def _pure(self) -> list[tuple[float, int]] | None:
        if any(isinstance(step, Gaussian | SampledGaussian) for step, _ in self.steps):
            return None
        return [
            (step.epsilon, count) for step, count in self.steps if isinstance(step, PureDp | Laplace | ApproximateDp)
        ]

    def _drv10(self, delta: float) -> float:
        pure, slack = self._pure(), delta - self.delta
        if pure is None or slack <= 0 or any(epsilon > 700 for epsilon, _ in pure):
            return math.inf
        squares = math.fsum(count * epsilon**2 for epsilon, count in pure)
        return math.sqrt(-2 * math.log(slack) * squares) + math.fsum(
            count * epsilon * math.expm1(epsilon) for epsilon, count in pure
        )

    def _renyi(self, order: float) -> float:
        return math.fsum(renyi_of(step, order) * count for step, count in self.steps)


def _finite(value: float, then: Callable[[float], float]) -> float:
    return then(value) if math.isfinite(value) else math.inf
