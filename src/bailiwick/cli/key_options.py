"""What the options of `bailiwick key` mean. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bailiwick.cli.rollout import parse_duration
from bailiwick.errors import InvalidInput

NONE = "none"
NEVER = "never"


def limit_changes(
    *, rpm: str | None, tpm: str | None, in_flight: str | None, tokens_per_day: str | None
) -> dict[str, int | None]:
    """The limits that were given, by name; None takes one away.

    >>> limit_changes(rpm="600", tpm=None, in_flight="none", tokens_per_day="5_000_000")
    {'requests_per_minute': 600, 'in_flight': None, 'tokens_per_day': 5000000}

    Raises:
        InvalidInput: one is neither a whole number nor none.
    """
    given = {
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "in_flight": in_flight,
        "tokens_per_day": tokens_per_day,
    }
    return {name: _limit(name, text) for name, text in given.items() if text is not None}


def expiry_of(text: str | None, now: datetime) -> datetime | None:
    """The instant that an option names; None: none, or never.

    >>> now = datetime(2026, 11, 24, tzinfo=UTC)
    >>> expiry_of("36h", now).isoformat(), expiry_of("2027-01-31", now).isoformat(), expiry_of("never", now)
    ('2026-11-25T12:00:00+00:00', '2027-01-31T00:00:00+00:00', None)

    Raises:
        InvalidInput: it is neither a time from now nor a date.
    """
    if text is None or text == NEVER:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now + timedelta(seconds=parse_duration(text))
        except InvalidInput as error:
            error.allowed = "a time from now such as 90d or 12h, a date such as 2027-01-31, or never"
            raise
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _limit(name: str, text: str) -> int | None:
    if text == NONE:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text[:100]!r} is no limit", what=name, requested=text[:100], allowed="a whole number, or none"
        ) from error
