"""What a release will cost and how far off its answers will be, before any data is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.plan import FixedPlan
from bailiwick.privacy.accounting.steps import ApproximateDp, Laplace, PureDp
from bailiwick.privacy.amounts import NANO
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.mechanisms.model import Calibrated, ExpectedError
from bailiwick.privacy.mechanisms.noise import libraries
from bailiwick.privacy.releases import ReleasePlan

ALWAYS_VISIBLE = (
    "the terms of the release, and that it was made and when",
    "which rows the import left out, and which split a row was put in: the data set as it was imported is what is "
    "protected, less one unit",
    "how long the computation took",
)
_SLACK = 1e-6
_TIMES = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class Priced:
    """A plan with its price.

    Args:
        plan: what the ledger charges for.
        steps: the same for accounting.
        errors: what noise alone will do to each answer.
    """

    plan: ReleasePlan
    steps: FixedPlan
    errors: tuple[ExpectedError, ...]

    def cost_in(self, currency: Currency) -> Cost:
        """What the plan takes from an account that counts so, whatever the one counts that would pay."""
        return _cost(self.steps.steps, currency)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What running a whole plan several times costs, by method, if that is fixed in advance.

    Args:
        times: how often it runs.
        delta: that the figures hold at; 0 is pure differential privacy and concerns ``naive`` only.
        epsilon: by method; infinite where it does not apply.
    """

    times: int
    delta: float
    epsilon: Mapping[str, float]


def price(
    purpose: str,
    mechanisms: Sequence[Calibrated],
    *,
    currency: Currency = Currency.APPROX,
    not_protected: Sequence[str] = (),
) -> Priced:
    """The plan of a release of these mechanisms together, and its cost by basic composition.

    Args:
        purpose: what is released, in words.
        mechanisms: calibrated; none of them may be of unbounded divergence.
        currency: of the account that pays: epsilons are summed, or rhos.
        not_protected: beside what every release leaves visible.

    Raises:
        InvalidInput: nothing is asked for.
    """
    if not mechanisms:
        raise InvalidInput("a release of nothing", what="statistics", allowed="at least one")
    steps = [step for mechanism in mechanisms for step in mechanism.steps]
    plan = ReleasePlan(
        purpose=purpose,
        mechanisms=tuple(use for mechanism in mechanisms for use in mechanism.uses),
        accounting="zcdp" if currency is Currency.ZCDP else "basic composition",
        cost=_cost(steps, currency),
        not_protected=(*ALWAYS_VISIBLE, *not_protected),
        libraries=libraries(),
    )
    return Priced(plan, FixedPlan.of(*steps), tuple(error for mechanism in mechanisms for error in mechanism.errors))


def forecast(priced: Priced, times: Sequence[int] = _TIMES, slack: float = _SLACK) -> tuple[Forecast, ...]:
    """What the plan costs when it is run so often, by every method.

    Args:
        priced: the plan.
        times: how often, each answered.
        slack: the delta that composition may use beside the plan's own.
    """
    found = []
    for count in times:
        repeated = FixedPlan(tuple((step, each * count) for step, each in priced.steps.steps))
        delta = slack + repeated.delta
        found.append(Forecast(count, delta, repeated.bounds(delta)))
    return tuple(found)


def accounting_libraries() -> Mapping[str, str]:
    """Name and version of what computes privacy loss distributions."""
    return {"dp-accounting": version("dp-accounting")}


def _cost(steps: Sequence[tuple[Any, int]], currency: Currency) -> Cost:
    epsilon, rho, delta = Fraction(0), Fraction(0), Fraction(0)
    for step, count in steps:
        if not isinstance(step, PureDp | Laplace | ApproximateDp):
            raise InvalidInput(f"{type(step).__name__} has no epsilon of its own", what="mechanism")
        each = Fraction(repr(step.epsilon))
        epsilon += each * count
        rho += each**2 / 2 * count
        if isinstance(step, ApproximateDp):
            delta += Fraction(repr(step.delta)) * count
    if currency is Currency.ZCDP:
        return Cost.of_rho(max(rho, Fraction(1, NANO)), delta or 0)
    return Cost.of(epsilon, delta or 0)
