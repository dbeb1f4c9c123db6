"""What a private release or training would cost, who would pay, and what would be left. Pure: nothing is charged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bailiwick.privacy.accounts import AccountKey, Balance
from bailiwick.privacy.amounts import ATTO, NANO, decimal_text
from bailiwick.privacy.charging import Debit, debit
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.mechanisms.model import ExpectedError
from bailiwick.privacy.planning import Forecast, Priced, forecast
from bailiwick.privacy.releases import ReleasePlan
from bailiwick.privacy.training import PrivateTrainingPlan


@dataclass(frozen=True, slots=True)
class Payment:
    """What one account would pay.

    Args:
        key: of the account.
        currency: that it counts; both amounts are in it.
        requested: what would be taken.
        remaining: what it has left before.
    """

    key: AccountKey
    currency: Currency
    requested: Debit
    remaining: Debit

    @property
    def afterwards(self) -> Debit | None:
        """What would be left; None: the account does not hold the request, which would be refused."""
        left = Debit(self.remaining.main - self.requested.main, self.remaining.delta - self.requested.delta)
        return left if min(left.main, left.delta) >= 0 else None


@dataclass(frozen=True, slots=True)
class Quote:
    """The answer to "what would this cost?".

    Args:
        dataset: whose rows would be read.
        keys: the accounts that are asked; the global one of each pays too.
        plan: that would be charged for.
        epsilon_cost: the cost in epsilon and delta.
        rho_cost: the same for an account that counts zCDP.
        payments: one per account that would be debited.
        errors: what noise alone would do to each answer; of a training nothing is answered.
        repeated: the cost of a fixed plan that runs several times; () for a training.
        training: what a training would do, else None.
    """

    dataset: str
    keys: tuple[AccountKey, ...]
    plan: ReleasePlan
    epsilon_cost: Cost
    rho_cost: Cost
    payments: tuple[Payment, ...]
    errors: tuple[ExpectedError, ...] = ()
    repeated: tuple[Forecast, ...] = ()
    training: PrivateTrainingPlan | None = None


def payments(cost: Cost, balances: Sequence[Balance]) -> tuple[Payment, ...]:
    """What a cost would take from accounts with these balances.

    Raises:
        InvalidInput: an account does not take such a cost, see `charging.debit`.
    """
    return tuple(
        Payment(each.key, each.currency, debit(cost, each.currency), Debit(each.remaining, each.remaining_delta))
        for each in balances
    )


def quote_release(dataset: str, keys: Sequence[AccountKey], priced: Priced, balances: Sequence[Balance]) -> Quote:
    """The quote of statistics or metrics.

    Args:
        dataset: whose rows would be read.
        keys: the accounts that are asked.
        priced: the plan with its price.
        balances: of every account that would pay.
    """
    return Quote(
        dataset,
        tuple(keys),
        priced.plan,
        priced.cost_in(Currency.APPROX),
        priced.cost_in(Currency.ZCDP),
        payments(priced.plan.cost, balances),
        priced.errors,
        forecast(priced),
    )


def quote_training(
    dataset: str, key: AccountKey, release: ReleasePlan, plan: PrivateTrainingPlan, balances: Sequence[Balance]
) -> Quote:
    """The quote of a training; see `quote_release`."""
    as_rho = debit(release.cost, Currency.ZCDP)
    rho = Cost(0, as_rho.delta, as_rho.main)
    return Quote(dataset, (key,), release, release.cost, rho, payments(release.cost, balances), training=plan)


def units_to_stand_out(plan: PrivateTrainingPlan) -> int:
    """How many units that pull a weight the same way move it by two standard deviations of all noise on it.

    One unit moves the sum of all steps by ``steps * sample_rate * clip`` at most; its noise has the deviation
    ``sqrt(steps) * noise_multiplier * clip``. Fewer units than this can hardly teach the model anything.

    >>> units_to_stand_out(PrivateTrainingPlan(1.0, 16, 4.0, 0.5, 1, 1e-5))
    2
    """
    return math.ceil(2 / plan.signal)


def quote_document(quote: Quote) -> dict[str, Any]:
    """A quote as JSON values, but for the forecast; amounts are exact decimals in text."""
    return {
        "dataset": quote.dataset,
        "accounts": [str(key) for key in quote.keys],
        "cost": quote.plan.cost.words,
        "epsilon": decimal_text(quote.epsilon_cost.epsilon_nano, NANO),
        "delta": decimal_text(quote.epsilon_cost.delta_atto, ATTO),
        "rho": decimal_text(quote.rho_cost.rho_nano, NANO),
        "payments": [payment_document(each) for each in quote.payments],
        "plan": quote.plan,
        "errors": quote.errors,
        "training": training_document(quote.training) if quote.training else None,
    }


def payment_document(payment: Payment) -> dict[str, Any]:
    """A payment as JSON values; ``afterwards`` is None where the account does not hold the request."""
    left = payment.afterwards
    return {
        "account": str(payment.key),
        "currency": payment.currency.value,
        "requested": _amounts(payment.requested),
        "remaining": _amounts(payment.remaining),
        "afterwards": _amounts(left) if left else None,
    }


def training_document(plan: PrivateTrainingPlan) -> Mapping[str, Any]:
    """What a training would do, with what can be expected of it."""
    return {
        **asdict(plan),
        "count_noise": plan.count_noise if plan.batch_divisor is None else None,
        "signal": plan.signal,
        "units_to_stand_out": units_to_stand_out(plan),
    }


def _amounts(amounts: Debit) -> dict[str, str]:
    return {"amount": decimal_text(amounts.main, NANO), "delta": decimal_text(amounts.delta, ATTO)}
