"""What is told of published revisions and of the learner's steps. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of what is published."""

    revision: int
    kind: str
    at: datetime
    actor: str
    reason: str | None
    digest: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What one step of the learner did.

    Args:
        judgements: taken in.
        published: the revision, where one was published.
        withheld: why none was, where there was something new.
    """

    judgements: int
    published: int | None = None
    withheld: str | None = None


def revision_document(revision: Revision) -> dict[str, Any]:
    """A change for JSON."""
    return {**asdict(revision), "at": revision.at.isoformat()}
