"""Whether the terms of a release are those of the account that pays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounts import Account
from bailiwick.privacy.refusals import stale_terms
from bailiwick.privacy.terms import PrivacySettings, ReleaseTerms


def check_settings(terms: ReleaseTerms, settings: PrivacySettings) -> None:
    """Refuse terms that differ from what was set for the account. What was not set, the release states.

    Raises:
        InvalidInput: naming the term.
    """
    if settings.contribution_cap not in (None, terms.contribution_cap):
        raise stale_terms("contribution_cap", terms.contribution_cap, settings.contribution_cap)
    stated: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        "bounds": (terms.bounds, settings.bounds),
        "categories": (terms.categories, settings.categories),
    }
    for name, (given, fixed) in stated.items():
        for column in sorted(set(given) & set(fixed)):
            if given[column] != fixed[column]:
                raise stale_terms(f"{name}.{column}", given[column], fixed[column])


def check_account(terms: ReleaseTerms, account: Account) -> None:
    """Refuse terms of another unit, adjacency or lifetime than the account counts.

    Raises:
        InvalidInput: naming the term.
    """
    pairs = {
        "unit": (terms.unit, account.unit),
        "adjacency": (terms.adjacency, account.adjacency),
        "lifetime": (terms.lifetime, account.lifetime),
    }
    for name, (stated, fixed) in pairs.items():
        if stated != fixed:
            raise InvalidInput(
                f"the release states the {name} {stated!r}, the privacy budget {str(account.key)!r} has {fixed!r}",
                what=name,
                requested=repr(stated),
                allowed=repr(fixed),
                remedy="an account counts one unit, one adjacency and one lifetime only",
            )
