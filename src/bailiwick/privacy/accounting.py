"""What a plan of private steps costs together: six ways to add up, and the filter for steps chosen as they come.

A `FixedPlan` is written down before any answer is seen; every method here is valid for it, and the smallest is
reported. Where the next step depends on earlier answers, only a filter is valid: `AdaptiveFilter` (zCDP). Numerical
privacy loss distributions are never used to admit adaptive steps.

All bounds hold for add/remove neighbours, in the units of the mechanisms that make the plan. Nothing here draws noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp

from bailiwick.errors import BudgetExhausted, InvalidInput

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

NANO = 10**9
RDP_ORDERS: tuple[float, ...] = (
    *(1 + tenth / 10 for tenth in range(1, 100)),
    *map(float, range(11, 64)),
    128.0,
    256.0,
    512.0,
    1024.0,
)
"""The orders that the best one is looked for among; dense where small plans have it, sparse where it hardly matters."""


@dataclass(frozen=True, slots=True)
class PureDp:
    """Any pure epsilon-DP step, accounted as the worst of its kind: randomised response (KOV15, theorem 3.3)."""

    epsilon: float


@dataclass(frozen=True, slots=True)
class Laplace:
    """Laplace noise on one number.

    Args:
        epsilon: sensitivity over scale.
        steps: the sensitivity in steps of the grid that noise is drawn on; None: continuous noise. A coarse grid loses
            more under composition: with one step it is exactly randomised response.
    """

    epsilon: float
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise of ``noise_multiplier`` times the L2 sensitivity."""

    noise_multiplier: float


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """One step of DP-SGD: Gaussian noise on the sum over a Poisson sample. The rate must be public."""

    sample_rate: float
    noise_multiplier: float


@dataclass(frozen=True, slots=True)
class ApproximateDp:
    """Any (epsilon, delta)-DP step, such as a partition selection."""

    epsilon: float
    delta: float


Mechanism = PureDp | Laplace | Gaussian | SampledGaussian | ApproximateDp


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
            _check(mechanism, count)
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
            return _kov_exact(epsilons.pop(), sum(count for _, count in pure), delta)
        squares = math.fsum(count * epsilon**2 for epsilon, count in pure)
        drift = math.fsum(count * epsilon * math.tanh(epsilon / 2) for epsilon, count in pure)
        spread = min(-math.log(slack), math.log(math.e + math.sqrt(squares) / slack))
        return min(self.naive(delta), drift + math.sqrt(2 * squares * spread))

    def rho(self) -> float:
        """Zero-concentrated DP of all steps; infinite when a step has none. Pure epsilon gives epsilon squared / 2."""
        return math.fsum(_rho(step) * count for step, count in self.steps)

    def zcdp(self, delta: float) -> float:
        """By zCDP and the conversion of CKS20, proposition 12."""
        return _finite(self.rho(), lambda rho: zcdp_epsilon(rho, delta))

    def rdp(self, delta: float, order: float | None = None) -> float:
        """By Renyi DP.

        Args:
            delta: of the result.
            order: fixed beforehand, as a filter needs it; None: the best of `RDP_ORDERS`, which a fixed plan may use.
        """
        found = (_from_renyi(self._renyi(each), each, delta) for each in ((order,) if order else RDP_ORDERS))
        return max(0.0, min(found))

    def pld(self, delta: float) -> float:
        """By privacy loss distributions, rounded pessimistically (dp-accounting). For fixed plans only."""
        composed: PrivacyLossDistribution | None = None
        for step, count in self.steps:
            made = _loss_distribution(step).self_compose(count)
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
        return {name: method(_check_delta(delta)) for name, method in methods.items()}

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
        return math.fsum(_renyi(step, order) * count for step, count in self.steps)


@dataclass(frozen=True, slots=True)
class AdaptiveFilter:
    """Admits steps that are chosen after earlier answers were seen, as long as their zCDP stays within a cap.

    A sum of rho that never exceeds the cap is a Renyi filter at every order at once, so all that was admitted is
    cap-zCDP whoever chose the steps (Feldman and Zrnic 2021, theorem 3.1; Whitehouse et al. 2023). Amounts are whole
    billionths, rounded up.

    >>> kept = AdaptiveFilter.of(0.5)
    >>> for _ in range(100):
    ...     kept = kept.after(PureDp(0.1))
    >>> kept.left_nano, round(kept.epsilon(1e-6), 3)
    (0, 5.222)
    """

    cap_nano: int
    used_nano: int = 0

    @classmethod
    def of(cls, rho: float) -> AdaptiveFilter:
        """A filter with this cap, rounded down."""
        if not (math.isfinite(rho) and rho > 0):
            raise InvalidInput(f"a filter cannot have the cap {rho!r}", what="rho", requested=rho, allowed="above 0")
        return cls(int(Decimal(repr(float(rho))) * NANO))

    @classmethod
    def for_epsilon(cls, epsilon: float, delta: float) -> AdaptiveFilter:
        """The largest filter whose steps together are (epsilon, delta)-DP."""
        _check_epsilon(epsilon)
        low, high = 0, int(epsilon * NANO) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if zcdp_epsilon(middle / NANO, delta) <= epsilon else (low, middle)
        return cls(low)

    @property
    def left_nano(self) -> int:
        """Billionths of rho that may still be used."""
        return self.cap_nano - self.used_nano

    def after(self, step: Mechanism, count: int = 1) -> AdaptiveFilter:
        """The filter once the step has run.

        Raises:
            BudgetExhausted: it does not fit, or has no zCDP; this filter is as it was, and smaller steps still fit.
        """
        _check(step, count)
        rho = _rho(step)
        wanted = rho_nano(rho) * count if math.isfinite(rho) else None
        if wanted is None or wanted > self.left_nano:
            raise BudgetExhausted(
                f"a step of rho {rho:.6g} x {count} does not fit: {self.used_nano / NANO:.6g} of "
                f"{self.cap_nano / NANO:.6g} is used",
                what="rho",
                requested=rho * count,
                allowed=self.left_nano / NANO,
                remedy="ask for less, or for a step of bounded Renyi divergence",
            )
        return replace(self, used_nano=self.used_nano + wanted)

    def epsilon(self, delta: float) -> float:
        """What all that the filter will ever admit costs together: a matter of the cap, not of what was used."""
        return zcdp_epsilon(self.cap_nano / NANO, delta)


def rho_nano(rho: float) -> int:
    """Billionths, rounded up; the float is taken for the decimal that it prints as."""
    return int((Decimal(repr(float(rho))) * NANO).to_integral_value(ROUND_CEILING))


def zcdp_epsilon(rho: float, delta: float) -> float:
    """Epsilon of a rho-zCDP mechanism: the least over all orders of CKS20, proposition 12; at most rho + 2 sqrt(...).

    >>> round(zcdp_epsilon(0.5, 1e-6), 3)
    5.222
    """
    _check_delta(delta)
    if rho == 0:
        return 0.0
    best = 1 + math.sqrt(-math.log(delta) / rho)  # the order that is best without the correction terms
    orders = 1 + np.geomspace((best - 1) / 8, (best - 1) * 8, 2_001)
    values = rho * orders + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)
    return max(0.0, float(values.min()))


def pure_epsilon_for_total(epsilon: float, delta: float, count: int) -> float:
    """The epsilon that each of ``count`` equal pure steps may have so that all together are (epsilon, delta)-DP (KOV).

    >>> round(pure_epsilon_for_total(4.774568, 1e-6, 100), 4)
    0.1
    """
    _check_epsilon(epsilon)
    _check_delta(delta)
    share = epsilon / count
    if count == 1 or FixedPlan(((PureDp(epsilon), count),)).kov(delta) <= epsilon:
        return max(share, epsilon if count == 1 else share)
    found = brentq(lambda each: FixedPlan(((PureDp(each), count),)).kov(delta) - epsilon, share, epsilon, xtol=1e-12)
    return max(share, float(found) * (1 - 1e-9))


def _kov_exact(epsilon: float, count: int, delta: float) -> float:
    """KOV15, theorem 3.3, between its grid points too: the hockey-stick divergence of randomised response, inverted."""
    lies = np.arange(count + 1)
    weights = gammaln(count + 1) - gammaln(lies + 1) - gammaln(count - lies + 1) - count * np.logaddexp(0, epsilon)
    losses = (count - 2 * lies) * epsilon

    def log_delta(total: float) -> float:
        above = losses > total
        if not above.any():
            return -math.inf
        terms = weights[above] + (count - lies[above]) * epsilon + np.log(-np.expm1(total - losses[above]))
        return float(logsumexp(terms))

    if log_delta(0.0) <= math.log(delta):
        return 0.0
    low, high = 0.0, count * epsilon
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if log_delta(middle) <= math.log(delta) else (middle, high)
    return high


def _rho(step: Mechanism) -> float:
    match step:
        case PureDp(epsilon) | Laplace(epsilon):
            return float(Decimal(repr(float(epsilon))) ** 2 / 2)
        case Gaussian(noise_multiplier):
            return 1 / (2 * noise_multiplier**2)
        case _:
            return math.inf


def _renyi(step: Mechanism, order: float) -> float:
    match step:
        case PureDp(epsilon):
            log_moment = np.logaddexp(order * epsilon, (1 - order) * epsilon) - np.logaddexp(0, epsilon)
            return min(epsilon, float(log_moment) / (order - 1))
        case Laplace(epsilon, steps):
            if steps is not None:  # between the worst pure step and the continuous one; the former is always true
                return _renyi(PureDp(epsilon), order)
            # Mironov 2017, table II
            first = math.log(order / (2 * order - 1)) + (order - 1) * epsilon
            second = math.log((order - 1) / (2 * order - 1)) - order * epsilon
            return float(np.logaddexp(first, second)) / (order - 1)
        case Gaussian(noise_multiplier):
            return order / (2 * noise_multiplier**2)
        case SampledGaussian(sample_rate, noise_multiplier):
            return _sampled_log_moment(sample_rate, noise_multiplier, order) / (order - 1)
        case _:
            return math.inf


def _sampled_log_moment(rate: float, noise: float, order: float) -> float:
    """(order - 1) times the Renyi DP of the sampled Gaussian; between whole orders the chord, as it is convex there."""
    whole = math.floor(order)
    low = _sampled_log_moment_at(rate, noise, whole)
    if whole == order:
        return low
    return low + (order - whole) * (_sampled_log_moment_at(rate, noise, whole + 1) - low)


@cache
def _sampled_log_moment_at(rate: float, noise: float, order: int) -> float:
    """Mironov, Talwar and Zhang 2019, section 3.3 (whole orders)."""
    if order <= 1:
        return 0.0
    if rate == 1:
        return (order - 1) * order / (2 * noise**2)
    k = np.arange(order + 1)
    choose = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
    return float(logsumexp(choose + (order - k) * np.log1p(-rate) + k * math.log(rate) + k * (k - 1) / (2 * noise**2)))


def _from_renyi(renyi: float, order: float, delta: float) -> float:
    """CKS20, proposition 12."""
    return renyi + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def _loss_distribution(step: Mechanism) -> PrivacyLossDistribution:
    from dp_accounting.pld import common, privacy_loss_distribution

    match step:
        case PureDp(epsilon):
            return privacy_loss_distribution.from_privacy_parameters(common.DifferentialPrivacyParameters(epsilon, 0.0))
        case ApproximateDp(epsilon, delta):
            parameters = common.DifferentialPrivacyParameters(epsilon, delta)
            return privacy_loss_distribution.from_privacy_parameters(parameters)
        case Laplace(epsilon, None):
            return privacy_loss_distribution.from_laplace_mechanism(1 / epsilon)
        case Laplace(epsilon, int(steps)):
            return privacy_loss_distribution.from_discrete_laplace_mechanism(epsilon / steps, sensitivity=steps)
        case Gaussian(noise_multiplier):
            return privacy_loss_distribution.from_gaussian_mechanism(noise_multiplier)
        case SampledGaussian(sample_rate, noise_multiplier):
            return privacy_loss_distribution.from_gaussian_mechanism(noise_multiplier, sampling_prob=sample_rate)


def _finite(value: float, then: Callable[[float], float]) -> float:
    return then(value) if math.isfinite(value) else math.inf


def _check(mechanism: Mechanism, count: int) -> None:
    if count < 1:
        raise InvalidInput(f"a step cannot run {count} times", what="count", requested=count, allowed="1 or more")
    match mechanism:
        case ApproximateDp(epsilon, delta):
            _check_epsilon(epsilon)
            _check_delta(delta)
        case PureDp(epsilon):
            _check_epsilon(epsilon)
        case Laplace(epsilon, steps):
            _check_epsilon(epsilon)
            _check_positive("steps", 1 if steps is None else steps)
        case Gaussian(noise_multiplier):
            _check_positive("noise_multiplier", noise_multiplier)
        case SampledGaussian(sample_rate, noise_multiplier):
            _check_positive("noise_multiplier", noise_multiplier)
            if not 0 < sample_rate <= 1:
                raise InvalidInput(
                    f"{sample_rate!r} is no sample rate", what="sample_rate", requested=sample_rate, allowed="0 to 1"
                )


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(f"{name} cannot be {value!r}", what=name, requested=value, allowed="finite, above 0")


def _check_epsilon(epsilon: float) -> None:
    if not (math.isfinite(epsilon) and epsilon >= 1e-9):
        raise InvalidInput(
            f"{epsilon!r} is no epsilon", what="epsilon", requested=epsilon, allowed="finite, a billionth or more"
        )


def _check_delta(delta: float) -> float:
    if not 0 < delta < 1:
        raise InvalidInput(f"{delta!r} is no delta", what="delta", requested=delta, allowed="between 0 and 1")
    return delta
