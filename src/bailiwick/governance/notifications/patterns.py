"""Which actions an endpoint wants to hear of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bailiwick.errors import InvalidInput

MAX_PATTERNS = 50
_PATTERN = re.compile(r"\*|[a-z][a-z0-9_-]{0,60}(\.[a-z][a-z0-9_-]{0,60})*(\.\*)?")


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns, sorted, each once.

    Raises:
        InvalidInput: there is none, there are more than fifty, or one is malformed.

    >>> check_patterns(["rollback.*", "rollout.abort", "rollback.*"])
    ('rollback.*', 'rollout.abort')
    """
    found = tuple(sorted(set(patterns)))
    wrong = next((each for each in found if not _PATTERN.fullmatch(each)), None)
    if not found or len(found) > MAX_PATTERNS or wrong is not None:
        raise InvalidInput(
            f"{wrong!r} is no pattern of actions" if wrong is not None else f"{len(found)} patterns of actions",
            what="on",
            requested=wrong,
            allowed=f"1 to {MAX_PATTERNS} of NOUN.VERB, NOUN.* or *, such as deployment.* (see `bailiwick audit list`)",
        )
    return found


def matches(patterns: Sequence[str], action: str) -> bool:
    """Whether any pattern matches: ``*`` all, ``noun.*`` whatever begins with ``noun.``, else the action itself.

    >>> [matches(["rollback.*", "rollout.abort"], each) for each in ("rollback.start", "rollout.abort", "rollout.hold")]
    [True, True, False]
    """
    return any(
        action == pattern or pattern == "*" or (pattern.endswith(".*") and action.startswith(pattern[:-1]))
        for pattern in patterns
    )
