"""The rollups of the last minutes, kept in memory until no more observations are expected for them.

Each process writes rows of its own: nothing in the database is read, changed and written back, so nothing can be lost
between processes. A row is written again as its minute fills, always with the whole of it, so that a flush which failed
half-way can simply be repeated. An observation that arrives after its minute was let go starts another row (``part``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.metrics.model import SeriesKey
from bailiwick.metrics.observations import Observation
from bailiwick.metrics.rollup import Rollup

_KEPT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of this process."""

    part: int
    key: SeriesKey
    rollup: Rollup


class Window:
    """Rollups by series and minute. Not safe to share between threads."""

    def __init__(self) -> None:
        self._rows: dict[SeriesKey, Row] = {}
        self._dirty: set[SeriesKey] = set()
        self._parts = 0

    def add(self, observations: Iterable[Observation]) -> None:
        """Take observations in."""
        for key, values in _grouped(observations).items():
            rollup = Rollup.of(values)
            row = self._rows.get(key)
            if row is None:
                self._parts += 1
                self._rows[key] = Row(self._parts, key, rollup)
            else:
                self._rows[key] = Row(row.part, key, row.rollup + rollup)
            self._dirty.add(key)

    def dirty(self) -> Sequence[Row]:
        """The rows that changed since they were last written."""
        return [self._rows[key] for key in self._dirty]

    def written(self, now: datetime) -> None:
        """Everything dirty is in the store: let minutes go that are over for long."""
        self._dirty.clear()
        oldest = now - _KEPT
        self._rows = {key: row for key, row in self._rows.items() if key.minute >= oldest}

    def forget(self, before: datetime) -> int:
        """Give up rows of minutes before an instant. Returns how many unwritten observations they may have held."""
        old = [key for key in self._rows if key.minute < before]
        lost = sum(self._rows[key].rollup.count for key in old if key in self._dirty)
        self._dirty.difference_update(old)
        for key in old:
            del self._rows[key]
        return lost

    def trim(self, limit: int) -> int:
        """Give up the oldest rows beyond a limit. Returns how many observations they held."""
        surplus = sorted(self._rows, key=lambda key: key.minute)[: max(0, len(self._rows) - limit)]
        self._dirty.difference_update(surplus)
        return sum(self._rows.pop(key).rollup.count for key in surplus)


def minute_of(instant: datetime) -> datetime:
    """The first instant of the minute."""
    return instant.replace(second=0, microsecond=0)


def _grouped(observations: Iterable[Observation]) -> Mapping[SeriesKey, list[float]]:
    found: dict[tuple[str, str, str, str, datetime], list[float]] = {}
    minutes: dict[datetime, datetime] = {}
    for each in observations:
        minute = minutes.get(each.at)
        if minute is None:  # those of one request share it
            minute = minutes[each.at] = minute_of(each.at)
        key = (each.domain, each.version, each.arm, each.metric, minute)
        values = found.get(key)
        if values is None:
            values = found[key] = []
        values.append(float(each.value))
    return {SeriesKey(*key): values for key, values in found.items()}
