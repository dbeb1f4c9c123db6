"""Freeze windows as one line of text, as people write them and policies keep them. Pure.

Every week: ``weekend: fri 16:00 for 64h Europe/Berlin``. Several days: ``nights: mon,tue,wed 18:30 for 12h30m UTC``.
Once: ``year-end: 2026-12-20T00:00Z to 2027-01-02T00:00Z``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from bailiwick.clock import in_utc
from bailiwick.delivery.rollout.freeze import FreezeWindow, Weekday
from bailiwick.errors import InvalidInput

_DAYS = {day.name[:3].lower(): day for day in Weekday}
_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}): *"
_WEEKLY = re.compile(
    _NAME + r"(?P<days>[a-z]{3}(?:,[a-z]{3})*) +(?P<opens>\d\d:\d\d) +for +"
    r"(?:(?P<hours>\d{1,3})h)?(?:(?P<minutes>\d{1,4})m)?(?: +(?P<zone>[A-Za-z0-9_+/-]{1,60}))?"
)
_ONCE = re.compile(_NAME + r"(?P<start>[0-9T:.Z+-]{10,40}) +to +(?P<end>[0-9T:.Z+-]{10,40})")


def parse_freeze(text: str) -> FreezeWindow:
    """Read one line.

    >>> parse_freeze("weekend: fri 16:00 for 64h Europe/Berlin").lasts
    datetime.timedelta(days=2, seconds=57600)

    Raises:
        InvalidInput: it reads as none of the forms, or as a window that could never mean anything.
    """
    weekly, once = _WEEKLY.fullmatch(text.strip()), _ONCE.fullmatch(text.strip())
    try:
        if weekly is not None:
            return FreezeWindow(
                weekly["name"],
                days=frozenset(_DAYS[day] for day in weekly["days"].split(",")),
                opens=time.fromisoformat(weekly["opens"]),
                lasts=timedelta(hours=int(weekly["hours"] or 0), minutes=int(weekly["minutes"] or 0)),
                timezone=weekly["zone"] or "UTC",
            )
        if once is not None:
            return FreezeWindow(once["name"], start=_instant(once["start"]), end=_instant(once["end"]))
    except (KeyError, ValueError) as error:
        raise _unreadable(text) from error
    raise _unreadable(text)


def freeze_text(window: FreezeWindow) -> str:
    """The line that `parse_freeze` reads back as this window."""
    if window.start is not None and window.end is not None:
        return f"{window.name}: {_written(window.start)} to {_written(window.end)}"
    days = ",".join(day.name[:3].lower() for day in sorted(window.days))
    hours, rest = divmod(int(window.lasts.total_seconds()), 3600)
    lasts = f"{hours}h" + (f"{rest // 60}m" if rest else "")
    return f"{window.name}: {days} {window.opens:%H:%M} for {lasts} {window.timezone}"


def _instant(text: str) -> datetime:
    return in_utc(datetime.fromisoformat(text))


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unreadable(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:100]!r} is no freeze window",
        what="freezes",
        requested=text[:200],
        allowed="'weekend: fri 16:00 for 64h Europe/Berlin' or 'year-end: 2026-12-20T00:00Z to 2027-01-02T00:00Z'",
    )
