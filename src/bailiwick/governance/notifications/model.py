"""The nouns of notifications: who is told of what, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """How an event is written."""

    JSON = "json"
    SLACK = "slack"


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"  # to be sent, or to be sent again
    DELIVERED = "delivered"  # answered with a status from 200 to 299
    DEAD = "dead"  # given up; `retry` sends it again


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was recorded.

    Args:
        name: the audit action, ``noun.verb``.
        subject: ``noun:id``.
        document: the actor, the reason, and what was before and after.
    """

    name: str
    subject: str
    at: datetime
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is told of what.

    Args:
        url: whole; its path may be a secret, so show `endpoints.shown_url`.
        patterns: of actions, such as ``deployment.*``; any of them must match.
        secret_variable: the environment variable that holds the signing secret; None where it was generated.
        secret: the generated one, as it is kept: see `sealing`.
        cursor: the first place in the audit tree that was not looked at yet.
    """

    name: str
    url: str = field(repr=False)
    patterns: tuple[str, ...]
    format: Format
    secret_variable: str | None
    secret: str | None = field(repr=False)
    cursor: int
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint.

    Args:
        id: the message's, the same at each attempt: receivers tell repetitions by it.
        position: of the audit entry in the tree.
        attempts: so far.
        next_at: when it is tried (again), while it waits.
        status_code: of the last answer, where there was one.
        problem: why the last attempt failed.
        changed_at: of the last attempt.
    """

    id: str
    endpoint: str
    position: int
    event: str
    subject: str
    status: DeliveryStatus
    attempts: int
    next_at: datetime
    status_code: int | None = None
    problem: str | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt.

    Args:
        status_code: of the answer; None where there was none.
        problem: why it failed; None where it did not.
        final: it makes no sense to try again.
    """

    status_code: int | None
    problem: str | None = None
    final: bool = False
