"""The rollups of the last minutes, kept in memory until no more observations are expected for them.

Each process writes rows of its own: nothing in the database is read, changed and written back, so nothing can be lost
between processes. A row is written again as its minute fills, always with the whole of it, so that a flush which failed
half-way can simply be repeated. An observation that arrives after its minute was let go starts another row (``part``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.metrics.model import SeriesKey
from bailiwick.metrics.observations import Observation, ServedRequest
from bailiwick.metrics.rollup import Rollup

_KEPT = timedelta(minutes=2)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of this process."""

    part: int
    key: SeriesKey
    rollup: Rollup


class Gathered:
    """The numbers of one batch, by series and minute."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str, str, datetime], dict[str, list[float]]] = {}
        self._minute: datetime | None = None

    def add(self, place: Observation | ServedRequest, values: Mapping[str, float]) -> None:
        """Take numbers of one place and instant, by metric."""
        minute = self._minute
        if minute is None or not minute <= place.at < minute + _MINUTE:  # those of a batch nearly always share it
            minute = self._minute = minute_of(place.at)
        key = (place.domain, place.version, place.arm, minute)
        metrics = self._places.get(key)
        if metrics is None:
            metrics = self._places[key] = {}
        for metric, value in values.items():
            numbers = metrics.get(metric)
            if numbers is None:
                numbers = metrics[metric] = []
            numbers.append(value)

    def series(self) -> Iterator[tuple[SeriesKey, list[float]]]:
        """Each series with its numbers."""
        for (domain, version, arm, minute), metrics in self._places.items():
            for metric, numbers in metrics.items():
                yield SeriesKey(domain, version, arm, metric, minute), numbers


class Window:
    """Rollups by series and minute. Not safe to share between threads."""

    def __init__(self) -> None:
        self._rows: dict[SeriesKey, Row] = {}
        self._dirty: set[SeriesKey] = set()
        self._parts = 0

    def add(self, key: SeriesKey, values: Sequence[float]) -> None:
        """Take numbers of one series in."""
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
