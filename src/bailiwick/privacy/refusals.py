"""What the ledger refuses, and how it says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.privacy.accounts import Account, AccountKey
from bailiwick.privacy.releases import Charge, ChargeState


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


def same_charge(existing: Charge, asked: Charge, opened: Mapping[AccountKey, datetime]) -> Charge:
    """The charge that an idempotency key stands for, if the same is asked again.

    A domain's account that was opened later does not make it another request: what was released by then is replayed.

    Args:
        existing: that the key stands for.
        asked: anew.
        opened: when each account that is asked for was opened.

    Raises:
        Conflict: something else is asked.
    """
    same = (existing.cost, existing.plan_hash) == (asked.cost, asked.plan_hash)
    if same and existing.keys == asked.keys:
        return existing
    more = set(asked.keys) - set(existing.keys)
    later = existing.state is ChargeState.SPENT and all(opened[key] > existing.held_at for key in more)
    if not (same and later and set(existing.keys) <= set(asked.keys)):
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


def lineage_taken(key: AccountKey, holder: AccountKey) -> Conflict:
    """The refusal of a second budget over a data set, for a namespace beside the one that has it."""
    return Conflict(
        f"the data set {key.lineage!r} has the privacy budget {str(holder)!r}; {str(key.whole)!r} would be another",
        what="privacy_budget",
        where=str(holder),
        requested=str(key),
        allowed=str(holder),
        remedy=f"use {str(holder)!r}; the same data under two namespaces would add up unseen",
    )


def content_taken(key: AccountKey, holder: AccountKey) -> Conflict:
    """The refusal of a budget over content that another budget has."""
    return Conflict(
        f"the data set {key.lineage!r} holds the same texts as {holder.lineage!r}, which has the privacy budget "
        f"{str(holder)!r}: {str(key.whole)!r} would be another",
        what="privacy_budget",
        where=str(holder),
        requested=str(key),
        allowed=str(holder),
        remedy=f"release from the data set {holder.lineage!r}, or import these rows as its new version",
    )


def settings_fixed(key: AccountKey) -> Conflict:
    """The refusal to change the terms of a budget that was charged."""
    return Conflict(
        f"the privacy budget {str(key)!r} was charged: its contribution cap, bounds and categories are fixed for good",
        what="privacy_settings",
        where=str(key),
        allowed="a change of its level, or of its default epsilon and delta",
        remedy="open a budget for a domain that has none yet, and set its own terms before its first release",
    )


def stale_terms(name: str, stated: object, fixed: object) -> InvalidInput:
    """The refusal of a release on other terms than those that were set for its budget."""
    return InvalidInput(
        f"the release states {name} {stated!r}, the settings of its privacy budget {fixed!r}",
        what=name,
        requested=repr(stated),
        allowed=repr(fixed),
        remedy="release on the terms that were set, see `bailiwick privacy budget show`",
    )


def unknown_charge(identifier: str) -> NotFound:
    """The refusal of a charge that the ledger does not know."""
    return NotFound(f"the charge {identifier!r} does not exist", what="charge", requested=identifier)


def moved_on(key: AccountKey) -> Conflict:
    """The refusal to change an account that somebody else changed meanwhile."""
    return Conflict(f"the privacy budget {str(key)!r} was changed by somebody else", what="privacy_budget")
