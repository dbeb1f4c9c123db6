from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bailiwick.delivery.rollout.freeze import FreezeWindow, Weekday, frozen_by
from bailiwick.errors import InvalidInput

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = FreezeWindow(
    "night", days=frozenset(Weekday), opens=time(22), lasts=timedelta(hours=8), timezone="Europe/Berlin"
)


def at(*instant: int, zone: Any = UTC) -> datetime:
    return datetime(*instant, tzinfo=zone)  # type: ignore[arg-type, misc]


def test_covers__single_span__start_included_end_excluded() -> None:
    window = FreezeWindow("year end", at(2026, 12, 20), at(2027, 1, 4))
    assert window.covers(at(2026, 12, 20))
    assert window.covers(at(2027, 1, 3, 23, 59, 59))
    assert not window.covers(at(2027, 1, 4))
    assert not window.covers(at(2026, 12, 19, 23, 59, 59))


def test_covers__weekly_over_midnight__belongs_to_the_day_it_began_on() -> None:
    friday = FreezeWindow("friday night", days=frozenset({Weekday.FRIDAY}), opens=time(22), lasts=timedelta(hours=8))
    assert friday.covers(at(2026, 3, 7, 5))  # a Saturday
    assert not friday.covers(at(2026, 3, 8, 5))
    assert not friday.covers(at(2026, 3, 7, 6))


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (at(2026, 3, 28, 21), at(2026, 3, 29, 4)),  # clocks go forward that night: seven hours pass
        (at(2026, 10, 24, 20), at(2026, 10, 25, 5)),  # back: nine hours
        (at(2026, 7, 1, 20), at(2026, 7, 2, 4)),
    ],
)
def test_covers__night_in_which_clocks_change__ends_by_the_wall_clock(begins: datetime, ends: datetime) -> None:
    second = timedelta(seconds=1)
    assert not NIGHT.covers(begins - second)
    assert NIGHT.covers(begins)
    assert NIGHT.covers(ends - second)
    assert not NIGHT.covers(ends)
    assert NIGHT.until(begins) == ends


def test_covers__opens_in_the_hour_that_does_not_exist__begins_when_the_clock_has_jumped() -> None:
    window = FreezeWindow(
        "early", days=frozenset({Weekday.SUNDAY}), opens=time(2, 30), lasts=timedelta(hours=1), timezone="Europe/Berlin"
    )
    assert window.covers(datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN).astimezone(UTC) - timedelta(minutes=1))
    assert not window.covers(at(2026, 3, 29, 1, 45))


def test_covers__the_hour_that_comes_twice__is_frozen_both_times() -> None:
    window = FreezeWindow(
        "twice", days=frozenset({Weekday.SUNDAY}), opens=time(2), lasts=timedelta(hours=1), timezone="Europe/Berlin"
    )
    assert window.covers(at(2026, 10, 25, 0, 30))  # 02:30 summer time
    assert window.covers(at(2026, 10, 25, 1, 30))  # 02:30 again, standard time
    assert not window.covers(at(2026, 10, 25, 2, 0))


def test_until__a_week_long__covers_always() -> None:
    window = FreezeWindow("always", days=frozenset({Weekday.MONDAY}), lasts=timedelta(days=7))
    assert all(window.covers(at(2026, 3, 2) + timedelta(hours=hour)) for hour in range(0, 400, 7))


def test_frozen_by__several__names_the_one_that_ends_last() -> None:
    short = FreezeWindow("short", at(2026, 3, 1), at(2026, 3, 2))
    long = FreezeWindow("long", at(2026, 3, 1), at(2026, 3, 3))
    assert frozen_by([long, short], at(2026, 3, 1, 12)) == (long, at(2026, 3, 3))
    assert frozen_by([long, short], at(2026, 3, 4)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"start": at(2026, 3, 1)},
        {"start": at(2026, 3, 2), "end": at(2026, 3, 1)},
        {"start": datetime(2026, 3, 1), "end": datetime(2026, 3, 2)},  # noqa: DTZ001 - what is refused
        {"start": at(2026, 3, 1), "end": at(2026, 3, 2), "days": frozenset(Weekday)},
        {"days": frozenset(Weekday), "lasts": timedelta(days=8)},
        {"days": frozenset(Weekday), "lasts": timedelta(0)},
        {"days": frozenset(Weekday), "timezone": "Berlin"},
        {"days": frozenset(Weekday), "timezone": "../etc/passwd"},
        {"days": frozenset(Weekday), "timezone": "Europe"},
        {"days": frozenset(Weekday), "timezone": "a" * 300},
        {"days": frozenset(Weekday), "opens": time(16, tzinfo=UTC)},
    ],
)
def test_window__that_could_never_mean_anything__refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="odd"):
        FreezeWindow("odd", **fields)
