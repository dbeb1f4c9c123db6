"""What a key may be called, and what it may be given. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bailiwick.errors import InvalidInput
from bailiwick.governance.access.model import LIMITS_MOST, Limits

MAX_DOMAINS = 200
MAX_GRACE = timedelta(days=30)
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_PATTERN = re.compile(r"[a-z0-9_*?-]{1,64}")
_DOMAIN = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PATHS = frozenset({"usage", "domains"})  # taken below /v1/keys
_MOST_WORDS = 200
_DOMAIN_LIMITS = ("requests_per_minute", "tokens_per_minute")


def check_name(name: str) -> str:
    """The name of a key.

    Raises:
        InvalidInput: it is malformed.
    """
    if not _NAME.fullmatch(name) or name.startswith("key-") or name in _PATHS:
        raise InvalidInput(
            f"{name[:100]!r} is no name for a key",
            what="name",
            allowed="lower-case letters, digits, ., - and _, at most 64, not beginning with key-, nor usage or domains",
        )
    return name


def check_words(text: str, what: str) -> str:
    """An owner or a team: a printable line.

    Raises:
        InvalidInput: it is too long, or holds control characters.
    """
    if len(text) > _MOST_WORDS or not text.isprintable():
        raise InvalidInput(
            f"{what!r} must be one printable line", what=what, allowed=f"at most {_MOST_WORDS} characters"
        )
    return text.strip()


def check_domains(patterns: Iterable[str]) -> tuple[str, ...]:
    """The domains that a key may ask, sorted, each once; empty means all of them.

    A domain need not exist yet: a pattern is for those to come, too.

    Raises:
        InvalidInput: there are too many, or one is malformed.

    >>> check_domains(["loans", "card*", "loans"])
    ('card*', 'loans')
    """
    found = tuple(sorted(set(patterns)))
    wrong = next((each for each in found if not _PATTERN.fullmatch(each)), None)
    if wrong is not None or len(found) > MAX_DOMAINS:
        raise InvalidInput(
            f"{wrong[:100]!r} is no domain and no pattern" if wrong is not None else f"{len(found)} domains",
            what="domains",
            requested=None if wrong is None else wrong[:100],
            allowed=f"at most {MAX_DOMAINS} ids of domains, * and ? standing for any and for one character",
        )
    return found


def check_domain(domain: str) -> str:
    """The id of a domain.

    Raises:
        InvalidInput: it is malformed.
    """
    if not _DOMAIN.fullmatch(domain):
        raise InvalidInput(f"{domain[:100]!r} is no domain", what="domain", requested=domain[:100])
    return domain


def check_limits(limits: Limits, *, of_domain: bool = False) -> Limits:
    """The limits.

    Args:
        limits: to be checked.
        of_domain: a domain has limits per minute only.

    Raises:
        InvalidInput: one is out of bounds, or not for domains.
    """
    for name, value in limits.present().items():
        if of_domain and name not in _DOMAIN_LIMITS:
            raise InvalidInput(f"a domain has no {name!r}", what=name, allowed=list(_DOMAIN_LIMITS))
        if type(value) is not int or not 1 <= value <= LIMITS_MOST[name]:
            raise InvalidInput(
                f"{name!r} must be a whole number from 1 to {LIMITS_MOST[name]:,}",
                what=name,
                requested=value,
                remedy="revoke a key that shall ask nothing; leave a limit out that shall not be",
            )
    return limits


def changed_limits(limits: Limits, changes: Mapping[str, int | None]) -> Limits:
    """The limits with some of them changed; None takes a limit away.

    >>> changed_limits(Limits(requests_per_minute=60, in_flight=4), {"in_flight": None, "tokens_per_day": 1000})
    Limits(requests_per_minute=60, tokens_per_minute=None, in_flight=None, tokens_per_day=1000)

    Raises:
        InvalidInput: there is no limit of that name.
    """
    unknown = sorted(set(changes) - set(LIMITS_MOST))
    if unknown:
        raise InvalidInput(f"there is no limit {unknown[0][:100]!r}", what="limits", allowed=sorted(LIMITS_MOST))
    present: dict[str, int | None] = {**limits.present(), **changes}
    return Limits(**present)


def check_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """When a key ends.

    Raises:
        InvalidInput: that is not in the future, or has no time zone.
    """
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise InvalidInput(
            f"a key cannot expire at {expires_at.isoformat()}",
            what="expires_at",
            requested=expires_at.isoformat(),
            allowed="an instant in the future, with its time zone",
        )
    return expires_at


def check_grace(grace: timedelta) -> timedelta:
    """How long an old secret stays valid.

    Raises:
        InvalidInput: it is negative, or longer than 30 days.
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidInput(
            "the grace time is out of bounds", what="grace", requested=str(grace), allowed=f"0 to {MAX_GRACE.days} days"
        )
    return grace
