"""What the ledger refuses, and how it says so. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bailiwick.errors import Conflict, InvalidInput
from bailiwick.privacy.accounts import Account, AccountKey
from bailiwick.privacy.releases import Charge


def check_request(keys: Sequence[AccountKey], idempotency_key: str, hold_for: timedelta) -> None:
    """Refuse a charge on nothing, a malformed idempotency key, or a time to hold that is none.

    Raises:
        InvalidInput: naming which.
    """
    if not keys:
        raise InvalidInput("a charge needs an account", what="keys")
    if not 1 <= len(idempotency_key) <= 200 or not idempotency_key.isprintable():
        raise InvalidInput(
            f"idempotency key {idempotency_key[:80]!r}", what="idempotency_key", allowed="1 to 200 printable characters"
        )
    if hold_for <= timedelta(0):
        raise InvalidInput(f"a charge cannot be held for {hold_for}", what="hold_for", allowed="a positive time")


def check_agreement(account: Account, whole: Account) -> None:
    """Refuse a domain's account that counts something else than the global one.

    Raises:
        InvalidInput: naming what differs.
    """
    pairs = {
        "unit": (account.unit, whole.unit),
        "adjacency": (account.adjacency, whole.adjacency),
        "currency": (account.currency, whole.currency),
        "lifetime": (account.lifetime, whole.lifetime),
    }
    for name, (own, theirs) in pairs.items():
        if own != theirs:
            raise InvalidInput(
                f"the {name} of {str(account.key)!r} is not that of {str(whole.key)!r}",
                what=name,
                requested=repr(own),
                allowed=repr(theirs),
                remedy="every charge of a domain is counted in the global account too",
            )


def same_charge(existing: Charge, asked: Charge) -> Charge:
    """The charge that an idempotency key stands for, if the same is asked again.

    Raises:
        Conflict: something else is asked.
    """
    if (existing.keys, existing.cost, existing.plan_hash) != (asked.keys, asked.cost, asked.plan_hash):
        raise key_taken(asked.idempotency_key)
    return existing


def key_taken(idempotency_key: str) -> Conflict:
    """The refusal of an idempotency key that stands for another release."""
    return Conflict(
        f"the idempotency key {idempotency_key!r} stands for another release",
        what="idempotency_key",
        requested=idempotency_key,
        remedy="use a new key for a new release",
    )


def exists(key: AccountKey) -> Conflict:
    """The refusal to create an account twice."""
    return Conflict(
        f"the privacy budget {str(key)!r} exists, and nothing in it can be changed",
        what="privacy_budget",
        requested=str(key),
        remedy="see `bailiwick privacy budget show`",
    )


def moved_on(key: AccountKey) -> Conflict:
    """The refusal to change an account that somebody else changed meanwhile."""
    return Conflict(f"the privacy budget {str(key)!r} was changed by somebody else", what="privacy_budget")
