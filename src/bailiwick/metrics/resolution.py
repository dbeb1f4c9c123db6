"""How fine a span of time is read: days where whole days are compacted, hours at their edges, minutes for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum


class Resolution(Enum):
    """The span of one rollup."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """Of one rollup."""
        return _LENGTHS[self]

    def floor(self, instant: datetime) -> datetime:
        """The beginning of the rollup that an instant falls into, in UTC.

        >>> Resolution.DAY.floor(datetime(2026, 3, 1, 12, 30, tzinfo=UTC)).isoformat()
        '2026-03-01T00:00:00+00:00'
        """
        utc = instant.astimezone(UTC).replace(second=0, microsecond=0)
        if self is Resolution.MINUTE:
            return utc
        return utc.replace(minute=0) if self is Resolution.HOUR else utc.replace(minute=0, hour=0)

    def ceiling(self, instant: datetime) -> datetime:
        """The first beginning of a rollup that is not before an instant."""
        floor = self.floor(instant)
        return floor if floor == instant else floor + self.length


_LENGTHS = {
    Resolution.MINUTE: timedelta(minutes=1),
    Resolution.HOUR: timedelta(hours=1),
    Resolution.DAY: timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the time asked for, and how it is read. ``until`` is excluded."""

    resolution: Resolution
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store holds.

    Args:
        compacted_until: hours before it are compacted; None for none.
        minutes_since: minutes before it are forgotten; None where none are.
        hours_since: hours before it are forgotten; days remain.
    """

    compacted_until: datetime | None
    minutes_since: datetime | None
    hours_since: datetime


def spans(since: datetime, until: datetime, kept: Kept, coarsest: Resolution = Resolution.DAY) -> Sequence[Span]:
    """Spans without gap or overlap that cover the time asked for with as few rollups as possible.

    Where what is finer has been forgotten, the beginning moves back to the last beginning of what is left, and so does
    the end. Nothing coarser than ``coarsest`` is used where what is finer is still there.

    >>> noon = datetime(2026, 3, 3, 12, 30, tzinfo=UTC)
    >>> kept = Kept(noon.replace(minute=0), noon - timedelta(days=2), noon - timedelta(days=400))
    >>> for each in spans(datetime(2026, 3, 1, 22, tzinfo=UTC), noon, kept):
    ...     print(each.resolution.value, f"{each.since:%d %H:%M} to {each.until:%d %H:%M}")
    hour 01 22:00 to 02 00:00
    day 02 00:00 to 03 00:00
    hour 03 00:00 to 03 12:00
    minute 03 12:00 to 03 12:30
    """
    since, until = _rounded(since, kept), _rounded(until, kept)
    if kept.compacted_until is None or (coarsest is Resolution.MINUTE and since >= (kept.minutes_since or since)):
        return _nonempty([Span(Resolution.MINUTE, since, until)])
    compacted = min(until, kept.compacted_until)
    first_hour, last_hour = Resolution.HOUR.ceiling(since), Resolution.HOUR.floor(compacted)
    if last_hour <= first_hour:
        return _nonempty([Span(Resolution.MINUTE, since, until)])
    first_day, last_day = Resolution.DAY.ceiling(first_hour), Resolution.DAY.floor(last_hour)
    if coarsest is not Resolution.DAY and since >= kept.hours_since:
        first_day = last_day
    if last_day <= first_day:
        middle = [Span(Resolution.HOUR, first_hour, last_hour)]
    else:
        middle = [
            Span(Resolution.HOUR, first_hour, first_day),
            Span(Resolution.DAY, first_day, last_day),
            Span(Resolution.HOUR, last_day, last_hour),
        ]
    ends = Span(Resolution.MINUTE, since, first_hour), Span(Resolution.MINUTE, last_hour, until)
    return _nonempty([ends[0], *middle, ends[1]])


def resolution_for(since: datetime, until: datetime, most: int) -> Resolution:
    """The finest resolution that gives no more than so many rollups over a span; days where none does."""
    for each in Resolution:
        if (until - since) / each.length <= most:
            return each
    return Resolution.DAY


def _rounded(instant: datetime, kept: Kept) -> datetime:
    if instant < kept.hours_since:
        return Resolution.DAY.floor(instant)
    if kept.minutes_since is not None and instant < kept.minutes_since:
        return Resolution.HOUR.floor(instant)
    return instant


def _nonempty(found: Sequence[Span]) -> Sequence[Span]:
    return [each for each in found if each.since < each.until]
