"""Time as a parameter, so that any history can be replayed by the code that runs in production."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def in_utc(instant: datetime) -> datetime:
    """An instant that somebody names, in UTC; without a time zone it is taken for UTC.

    >>> in_utc(datetime.fromisoformat("2026-03-01T14:00+02:00")).isoformat()
    '2026-03-01T12:00:00+00:00'

    Raises:
        ValueError: it lies outside 1970 to 9998. Near the ends of the calendar no span can be added any more.
    """
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise ValueError(f"the year {instant.year} is outside {_FIRST_YEAR} to {_LAST_YEAR}")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


class Clock(Protocol):
    """Where code that needs the time gets it from."""

    def now(self) -> datetime:
        """The current instant, timezone-aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""
        time.sleep(seconds)


class VirtualClock:
    """A clock that moves only when told to.

    >>> clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    >>> clock.sleep(90)
    >>> clock.now().isoformat()
    '2026-01-01T00:01:30+00:00'
    """

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"a clock needs a timezone-aware start, got {start!r}")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The instant that the clock was last moved to, in UTC."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move forward at once."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        """Move the clock by a duration."""
        self._now += by
