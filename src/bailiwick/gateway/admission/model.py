"""The nouns of admission: where a request stands with a limit, what it was charged, and why it was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bailiwick.errors import BudgetExhausted, PolicyDenied
from bailiwick.gateway.model import Meter
from bailiwick.governance.access.model import Kind, Limit

_TOKENS, _BUDGET = Kind.TOKENS, Kind.BUDGET  # looked up once: an enum's members cost time


class Standing(NamedTuple):
    """Where one limit stands after a request was let in, or refused.

    Args:
        remaining: what may still be asked at once; negative while a debt of tokens is paid off.
        reset_ms: until everything may be asked again.
        wait_ms: until this request may be asked; 0: now.
    """

    limit: Limit
    remaining: int
    reset_ms: int
    wait_ms: int


def is_refused(standings: Sequence[Standing]) -> bool:
    """Whether any limit says wait."""
    return any(each.wait_ms for each in standings)


def needed(limit: Limit, tokens: int) -> int:
    """What a request takes of a limit.

    A request of more tokens than the limit holds takes all of it: it waits for a full bucket, but it can be asked.

    >>> needed(Limit("n", Kind.TOKENS, 100, "k"), 250), needed(Limit("n", Kind.REQUESTS, 100, "k"), 250)
    (100, 1)
    """
    return min(tokens, limit.most) if limit.kind is _TOKENS or limit.kind is _BUDGET else 1


@dataclass(frozen=True, slots=True)
class Used:
    """What a finished request used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Of prompt and answer."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(slots=True)
class Ticket:
    """What a request that was let in has been charged.

    Args:
        key: the id of its key; empty without one.
        limits: what it was charged to.
        tokens: that were taken on entry.
        prompt_tokens: the part of them that is for the prompt.
        stream: a stream was asked for.
        meter: of the answer.
        standings: of the limits, once it was let in.
        member: names the request among those in flight in Redis; empty where Redis was not charged.
        events: of the stream that were sent so far.
        used: once what was taken has been set right.
    """

    key: str
    limits: tuple[Limit, ...]
    tokens: int
    prompt_tokens: int
    stream: bool
    meter: Meter
    standings: Sequence[Standing] = ()
    member: str = ""
    events: int = 0
    used: Used | None = None


class InvalidKey(PolicyDenied):
    """The request has no key where one is needed, or one that is not let in.

    Args:
        message: as for every error.
        reason: for metrics: missing, mistyped, unknown, expired, replaced or revoked.
    """

    code = "invalid_api_key"

    def __init__(self, message: str, *, reason: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


class NotForKey(PolicyDenied):
    """The key may not ask this domain."""

    code = "model_not_allowed"


class RateLimited(BudgetExhausted):
    """A limit of the key or of the domain is reached.

    Args:
        message: as for every error.
        standings: of all limits of the request.
        refusing: the one that is waited for longest.
        what: as for every error.
        remedy: as for every error.
    """

    code = "rate_limit_exceeded"

    def __init__(
        self, message: str, standings: Sequence[Standing], refusing: Standing, what: str, remedy: str | None = None
    ) -> None:
        super().__init__(message, what=what, remedy=remedy, remaining=max(0, refusing.remaining))
        self.standings = standings
        self.refusing = refusing
        if refusing.limit.kind is Kind.BUDGET:
            self.code = "insufficient_quota"
