"""Plans of private training: what is done to the data, and what that costs. Pure; the data is not seen here.

A plan is one noisy count of the units, then ``steps`` times: draw units at ``sample_rate``, sum each one's gradient,
clip it to ``clip``, add the sums, add Gaussian noise, divide by a batch size that does not depend on the data (Abadi et
al., "Deep learning with differential privacy", 2016; per unit instead of per example: McMahan et al., 2018).

Accounting is Rényi differential privacy at integer orders (and any order where nothing is sampled), through
dp-accounting. Its bound holds for the discrete Gaussian as for the continuous one: the divergence of order ``a``
between two shifted discrete Gaussians is at most ``a * shift**2 / (2 * sigma**2)`` (Canonne, Kamath and Steinke 2020,
Theorem 4), the sampled bound of an integer order is a sum of such terms (Mironov, Talwar and Zhang 2019, Section 3.3),
and mirroring swaps the two, so the order of the neighbours does not matter (same, Theorem 5). PLD would be tighter but
is not proven for the discrete noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.privacy.sampling import SAMPLE_RATE_STEPS

ACCOUNTING = "Rényi, integer orders (dp-accounting)"

COUNT_SHARE = 7.0
"""The noise of the count, in noise multipliers of all steps together: the count costs one part in 50 of the plan."""

_WHOLE_ORDERS = (*range(2, 65), *range(72, 257, 8), *range(320, 1025, 64))
_ORDERS_BETWEEN = tuple(1 + step / 20 for step in range(2, 200) if step % 20)


@dataclass(frozen=True, slots=True)
class PrivateTrainingPlan:
    """Everything that decides the guarantee of a private training. All of it is public.

    Args:
        sample_rate: the probability that a unit takes part in a step; 1 means that all do.
        steps: how many noisy sums are released.
        noise_multiplier: standard deviation of the noise of a sum, in clips.
        clip: the most that one unit can move a sum, in L2.
        contribution_cap: at most so many examples of a unit are used.
        delta: the probability that the guarantee may fail with.
        batch_divisor: a public number of units per step to divide by. None: the noisy count gives it.
    """

    sample_rate: float
    steps: int
    noise_multiplier: float
    clip: float
    contribution_cap: int
    delta: float
    batch_divisor: float | None = None

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("sample_rate", 1 / SAMPLE_RATE_STEPS <= self.sample_rate <= 1, "2**-32 to 1"),
            ("steps", 1 <= self.steps <= 100_000, "1 to 100,000"),
            ("noise_multiplier", 0.05 <= self.noise_multiplier <= 10_000, "0.05 to 10,000"),
            ("clip", 0.001 <= self.clip <= 1_000, "0.001 to 1,000"),
            ("contribution_cap", 1 <= self.contribution_cap <= 64, "1 to 64 examples"),
            ("delta", 1e-18 <= self.delta < 1, "1e-18 to below 1"),
            ("batch_divisor", self.batch_divisor is None or 1 <= self.batch_divisor < math.inf, "1 and more"),
        ):
            if not good:  # NaN is never good
                value = getattr(self, name)
                raise InvalidInput(f"{name} {value!r} of a training plan", what=name, requested=value, allowed=allowed)

    @property
    def count_noise(self) -> float:
        """Standard deviation of the noisy count, in units (people, ...)."""
        return COUNT_SHARE * self.noise_multiplier / math.sqrt(self.steps)

    @property
    def signal(self) -> float:
        """``sqrt(steps) / noise_multiplier * sample_rate``: how far one unit stands out of all steps' noise."""
        return math.sqrt(self.steps) * self.sample_rate / self.noise_multiplier


def epsilon(plan: PrivateTrainingPlan) -> float:
    """The epsilon that the whole plan guarantees at its delta, under adding or removing one unit.

    The exact value for continuous noise is 3.709; Renyi accounting is valid for the discrete noise too, and costs more.

    >>> round(epsilon(PrivateTrainingPlan(1.0, 12, 4.0, 0.5, 1, 1e-5)), 3)
    4.058
    """
    try:
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
        from dp_accounting.rdp import RdpAccountant
    except ImportError as error:
        raise Unavailable(
            "planning a private training needs the package dp-accounting",
            what="dp-accounting",
            remedy="pip install 'bailiwick[privacy]'",
        ) from error

    everyone = plan.sample_rate == 1
    step: Any = GaussianDpEvent(plan.noise_multiplier)
    if not everyone:
        step = PoissonSampledDpEvent(_rounded_up(plan.sample_rate), step)
    orders = sorted((*_WHOLE_ORDERS, *_ORDERS_BETWEEN)) if everyone else _WHOLE_ORDERS
    accountant = RdpAccountant(orders)
    accountant.compose(SelfComposedDpEvent(step, plan.steps))
    if plan.batch_divisor is None:
        accountant.compose(GaussianDpEvent(plan.count_noise))
    return float(accountant.get_epsilon(plan.delta))


def calibrate(plan: PrivateTrainingPlan, target_epsilon: float) -> PrivateTrainingPlan:
    """The plan with the least noise, to four digits, that guarantees ``target_epsilon``.

    Args:
        plan: its noise multiplier is replaced.
        target_epsilon: what the whole plan may cost at its delta.

    Raises:
        InvalidInput: no noise of the allowed range reaches it.
    """
    if not 0.001 <= target_epsilon <= 1_000:
        raise InvalidInput(
            f"epsilon {target_epsilon!r} for a training",
            what="epsilon",
            requested=target_epsilon,
            allowed="0.001 to 1,000",
        )
    low, high = 0.05, 0.1
    while epsilon(replace(plan, noise_multiplier=high)) > target_epsilon:
        low, high = high, 2 * high
        if high > 10_000:
            raise InvalidInput(
                f"no plan of {plan.steps} steps reaches epsilon {target_epsilon:g} at delta {plan.delta:g}",
                what="epsilon",
                requested=target_epsilon,
                remedy="allow a larger epsilon or delta, or fewer steps",
            )
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        if epsilon(replace(plan, noise_multiplier=middle)) > target_epsilon:
            low = middle
        else:
            high = middle
    return replace(plan, noise_multiplier=high)


def _rounded_up(rate: float) -> float:
    return math.ceil(rate * SAMPLE_RATE_STEPS) / SAMPLE_RATE_STEPS
