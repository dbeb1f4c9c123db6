"""The nouns of access: keys, limits, and what a key used."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum

LIMITS_MOST = {
    "requests_per_minute": 1_000_000,
    "tokens_per_minute": 1_000_000_000,
    "in_flight": 100_000,
    "tokens_per_day": 1_000_000_000_000,
}
"""The largest value of each limit. Up to it the arithmetic of the buckets is exact in Redis too, which has doubles."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be asked; None: as much as one likes.

    Args:
        requests_per_minute: also how many may come at once after a quiet minute.
        tokens_per_minute: of prompts and answers together; likewise.
        in_flight: requests that are being answered at one time.
        tokens_per_day: a budget per day of UTC.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None
    tokens_per_day: int | None = None

    def present(self) -> dict[str, int]:
        """The limits that are set, by name.

        >>> Limits(requests_per_minute=60).present()
        {'requests_per_minute': 60}
        """
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


NO_LIMITS = Limits()


class Kind(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    IN_FLIGHT = "in_flight"
    BUDGET = "budget"


KINDS = {
    "requests_per_minute": Kind.REQUESTS,
    "tokens_per_minute": Kind.TOKENS,
    "in_flight": Kind.IN_FLIGHT,
    "tokens_per_day": Kind.BUDGET,
}


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, ready to be counted against.

    Args:
        name: of the counter, unique among all: ``key:ID:requests``, ``domain:ID:tokens``.
        subject: who is limited: a key's or a domain's id.
    """

    name: str
    kind: Kind
    most: int
    subject: str


class KeyStatus(StrEnum):
    """Whether a key is let in."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One client's key, without its secret.

    Args:
        id: made by us; what metrics, logs and traces name.
        name: chosen by people; a name is given once, also after its key is revoked.
        owner: a person or a system.
        domains: ids, or patterns with ``*`` and ``?``; empty: all.
        hint: the first characters of the newest secret, to tell keys apart by.
        last_used_at: when the newest counted request was; written about a second late.
    """

    id: str
    name: str
    owner: str
    team: str
    domains: tuple[str, ...]
    limits: Limits
    hint: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None
    last_used_at: datetime | None = None

    def status(self, now: datetime) -> KeyStatus:
        """Whether it is let in at an instant."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        expired = self.expires_at is not None and self.expires_at <= now
        return KeyStatus.EXPIRED if expired else KeyStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A secret by its digest.

    Args:
        key: the id of the key that it opens.
        digest: SHA-256 of the secret, in hexadecimal.
        until: when it ends before its key does, because a newer one took its place; None: with the key.
    """

    key: str
    digest: str = field(repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key that was just made or rotated.

    Args:
        secret: to be handed over now; it is kept nowhere.
    """

    key: ClientKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessState:
    """Everything that admission is compiled from, as of one revision."""

    revision: int
    keys: tuple[ClientKey, ...] = ()
    secrets: tuple[KeySecret, ...] = ()
    domains: tuple[tuple[str, Limits], ...] = ()


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What a key did on one day of UTC.

    Args:
        day: such as ``2026-11-24``.
        requests: that were admitted.
        refused: that a limit or the list of domains turned away.
    """

    key: str
    day: str
    requests: int
    refused: int
    prompt_tokens: int
    completion_tokens: int
    last_at: datetime | None = None

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.prompt_tokens + self.completion_tokens
