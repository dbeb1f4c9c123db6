"""Compiles keys and limits into what a request is admitted by. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from bailiwick.governance.access.model import KINDS, AccessState, Kind, Limit, Limits


@dataclass(frozen=True, slots=True)
class AdmittedKey:
    """What a request needs to know of a key.

    Args:
        ends_at: seconds since the epoch from which on it is not let in.
        exact: the domains it may ask; None: all of them.
        pattern: of further domains.
        limits: of the key.
    """

    id: str
    name: str
    ends_at: float
    exact: frozenset[str] | None
    pattern: re.Pattern[str] | None
    limits: tuple[Limit, ...] = ()

    def may_ask(self, domain: str) -> bool:
        """Whether the key is for this domain."""
        if self.exact is None or domain in self.exact:
            return True
        return self.pattern is not None and self.pattern.fullmatch(domain) is not None


@dataclass(frozen=True, slots=True)
class Opening:
    """What one secret opens.

    Args:
        ends_at: seconds since the epoch; the end of the secret or of its key, whichever is first.
        rotated: the secret was replaced, which is why it ends.
    """

    key: AdmittedKey
    ends_at: float
    rotated: bool = False


@dataclass(frozen=True, slots=True)
class AccessTable:
    """Who is let in, and how much of each domain may be asked by everybody together.

    Args:
        openings: by the digest of the secret, in hexadecimal.
        domains: the limits of a domain, by its id.
        revoked: digests of keys that were revoked, so that their clients are told.
    """

    openings: Mapping[str, Opening] = field(default_factory=dict, repr=False)
    domains: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    revoked: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def has_budgets(self) -> bool:
        """Whether any key has a budget of a day."""
        return any(limit.kind is Kind.BUDGET for each in self.openings.values() for limit in each.key.limits)


def compile_access(state: AccessState) -> AccessTable:
    """The table of a state. Time is looked at when a request comes, so that an end needs no new table."""
    admitted = {
        key.id: AdmittedKey(
            key.id,
            key.name,
            _seconds(key.expires_at),
            *_domains(key.domains),
            limits_of(f"key:{key.id}", key.id, key.limits),
        )
        for key in state.keys
        if key.revoked_at is None
    }
    openings = {
        secret.digest: Opening(
            admitted[secret.key],
            min(_seconds(secret.until), admitted[secret.key].ends_at),
            secret.until is not None,
        )
        for secret in state.secrets
        if secret.key in admitted
    }
    domains = {domain: limits_of(f"domain:{domain}", domain, limits) for domain, limits in state.domains}
    revoked = frozenset(secret.digest for secret in state.secrets if secret.key not in admitted)
    return AccessTable(openings, domains, revoked)


def limits_of(prefix: str, subject: str, limits: Limits) -> tuple[Limit, ...]:
    """The limits that are set, each with the name of its counter.

    >>> [(each.name, each.most) for each in limits_of("key:k1", "k1", Limits(requests_per_minute=60))]
    [('key:k1:requests', 60)]
    """
    return tuple(
        Limit(f"{prefix}:{KINDS[name].value}", KINDS[name], most, subject) for name, most in limits.present().items()
    )


def _domains(patterns: tuple[str, ...]) -> tuple[frozenset[str] | None, re.Pattern[str] | None]:
    if not patterns or "*" in patterns:
        return None, None
    exact = frozenset(each for each in patterns if not {"*", "?"} & set(each))
    globs = [fnmatch.translate(each) for each in patterns if each not in exact]
    return exact, re.compile("|".join(globs)) if globs else None


def _seconds(instant: datetime | None) -> float:
    return inf if instant is None else instant.timestamp()
