"""When nothing may advance: freeze windows, once or every week, in the time zone of those who keep them.

A frozen rollout holds; it is never promoted, and it is always allowed to go back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import IntEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bailiwick.errors import InvalidInput


class Weekday(IntEnum):
    """As `datetime.weekday` counts them."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A span in which nothing advances: either once, or every week.

    Args:
        name: shown as the reason, such as ``weekend``.
        start, end: of a single freeze, with a time zone; the end is excluded.
        days: weekdays on which a weekly freeze begins.
        opens: wall-clock time at which it begins there.
        lasts: how long; the wall clock says when it ends, also over a change to or from daylight saving time.
        timezone: of ``opens``, such as ``Europe/Berlin``.
    """

    name: str
    start: datetime | None = None
    end: datetime | None = None
    days: frozenset[Weekday] = frozenset()
    opens: time = time(0)
    lasts: timedelta = timedelta(days=1)
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse a window that could never mean anything.

        Raises:
            InvalidInput: it is neither a span nor weekly, ends before it starts, lasts longer than a week, its zone is
                unknown, or its time has a zone of its own.
        """
        once = self.start is not None and self.end is not None
        if once == bool(self.days):
            raise InvalidInput(
                f"the freeze {self.name!r} is neither a span nor weekly",
                what="freeze",
                allowed="start and end, or days with opens and lasts",
            )
        if self.start is not None and self.end is not None:
            if self.start.tzinfo is None or self.end.tzinfo is None:
                raise InvalidInput(f"the freeze {self.name!r} has no time zone", what="freeze")
            if self.start >= self.end:
                raise InvalidInput(f"the freeze {self.name!r} ends before it starts", what="freeze")
        if not timedelta(0) < self.lasts <= timedelta(days=7):
            raise InvalidInput(f"the freeze {self.name!r} lasts {self.lasts}", what="freeze", allowed="up to 7 days")
        if self.opens.tzinfo is not None:
            raise InvalidInput(
                f"the freeze {self.name!r} opens at a time with a zone of its own",
                what="freeze",
                allowed="a wall-clock time such as 16:00, in its timezone",
            )
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder of zones, a name that is too long
            raise InvalidInput(
                f"the freeze {self.name!r} is in an unknown time zone: {self.timezone!r}",
                what="timezone",
                requested=self.timezone,
                allowed="an IANA name, such as Europe/Berlin",
            ) from error

    def covers(self, now: datetime) -> bool:
        """Whether nothing may advance at this instant."""
        return self.until(now) is not None

    def until(self, now: datetime) -> datetime | None:
        """When the freeze that covers this instant ends; None when none does.

        >>> from datetime import UTC
        >>> weekend = FreezeWindow("weekend", days=frozenset({Weekday.FRIDAY}), opens=time(16),
        ...                        lasts=timedelta(hours=64), timezone="Europe/Berlin")
        >>> weekend.until(datetime(2026, 11, 22, 12, tzinfo=UTC)).isoformat()
        '2026-11-23T08:00:00+01:00'
        """
        if self.start is not None and self.end is not None:
            return self.end if self.start <= now < self.end else None
        zone = ZoneInfo(self.timezone)
        there = now.astimezone(zone)
        ends = [end for back in range(8) if (end := self._opened(there, back)) is not None]
        return max(ends, default=None)

    def _opened(self, there: datetime, days_back: int) -> datetime | None:
        """The end of the window that opened so many days ago, if it covers ``there``."""
        day = (there - timedelta(days=days_back)).date()
        if Weekday(day.weekday()) not in self.days:
            return None
        begun = datetime.combine(day, self.opens)
        # Naive sums, then the zone: the wall clock counts, not the seconds that passed. A wall-clock time that comes
        # twice, or never, stands for two instants; in doubt it is frozen.
        start = min(_instants(begun, there.tzinfo))
        end = max(_instants(begun + self.lasts, there.tzinfo))
        return datetime.fromtimestamp(end, there.tzinfo) if start <= there.timestamp() < end else None


def _instants(wall: datetime, zone: tzinfo | None) -> tuple[float, float]:
    return wall.replace(tzinfo=zone, fold=0).timestamp(), wall.replace(tzinfo=zone, fold=1).timestamp()


def frozen_by(windows: Iterable[FreezeWindow], now: datetime) -> tuple[FreezeWindow, datetime] | None:
    """The window that covers this instant and ends last, with its end; None when none does."""
    found = [(window, end) for window in windows if (end := window.until(now)) is not None]
    return max(found, key=lambda pair: pair[1].timestamp(), default=None)
