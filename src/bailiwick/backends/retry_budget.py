"""How many calls may be sent again: a share of all calls, so that retries never multiply an outage. Pure.

A token bucket (Finagle's RetryBudget, gRPC's retry throttling): each call pays in a part of a token, each retry takes
a whole one. A trickle over time lets a domain with few calls retry as well.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """How the bucket fills.

    Args:
        share: of a token that each call pays in: the part of the calls that may be sent again in the long run.
        per_s: tokens that come in each second whatever the traffic.
        most: tokens that it holds.
    """

    share: float = 0.2
    per_s: float = 2.0
    most: float = 50.0


RETRIES = BudgetRules()
HEDGES = BudgetRules(share=0.05, per_s=0.1, most=10.0)


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left, as it stood at a time in seconds."""

    tokens: float = 10.0
    at_s: float = 0.0


def paid_in(budget: Budget, rules: BudgetRules, now_s: float) -> Budget:
    """The budget after one more call.

    >>> paid_in(Budget(1.0, 0.0), BudgetRules(share=0.25, per_s=1.0), 2.0)
    Budget(tokens=3.25, at_s=2.0)
    """
    trickle = rules.per_s * max(0.0, now_s - budget.at_s)
    return Budget(min(rules.most, budget.tokens + trickle + rules.share), max(now_s, budget.at_s))


def withdrawn(budget: Budget, rules: BudgetRules, now_s: float) -> Budget | None:
    """The budget after one more retry, or None where it does not allow it."""
    tokens = min(rules.most, budget.tokens + rules.per_s * max(0.0, now_s - budget.at_s))
    return Budget(tokens - 1.0, max(now_s, budget.at_s)) if tokens >= 1.0 else None
