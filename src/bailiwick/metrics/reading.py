"""Answers what was observed: rollups over spans, trends, comparisons, feedback. Writes nothing.

A metric is read from its observations; one that was never observed, such as ``correct``, from feedback, by when that
was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput
from bailiwick.metrics import history, store
from bailiwick.metrics.model import Feedback, FeedbackSummary, Mark, MetricSummary, Point, SeriesKey
from bailiwick.metrics.observations import SHADOW_ARM, ServedRequest
from bailiwick.metrics.resolution import Resolution, resolution_for, spans
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.summary import summarise
from bailiwick.metrics.trend import Trend, trend
from bailiwick.metrics.window import minute_of
from bailiwick.storage.database import Database

_DEFAULT_SPAN = timedelta(hours=1)
MOST_POINTS = 400


class MetricReader:
    """Reads the metric store.

    Args:
        database: of the store.
        clock: until when, where nobody says so.
        hours_kept: how long rollups of hours are kept.
    """

    def __init__(self, database: Database, clock: Clock, hours_kept: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._hours_kept = hours_kept

    def points(
        self,
        domain: str,
        since: datetime,
        until: datetime,
        *,
        metric: str | None = None,
        version: str | None = None,
        arm: str | None = None,
    ) -> Sequence[Point]:
        """Rollups per version, arm, metric and minute, oldest first: from the minute of ``since`` to before ``until``.

        Raises:
            InvalidInput: ``since`` is not before ``until``.
        """
        _check_span(since, until)
        with self._database.read() as connection:
            return store.points(connection, domain, minute_of(since), until, metric=metric, version=version, arm=arm)

    def query(
        self,
        domain: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        version: str | None = None,
        arm: str | None = None,
    ) -> Rollup:
        """One metric over a span of time, as one rollup; empty when nothing was observed.

        Whole hours and days are read as such, so a year costs little more than a day. Minutes that came late into an
        hour that is compacted are seen once it is compacted again, about a minute later.

        Raises:
            InvalidInput: ``since`` is not before ``until``.
        """
        found = self._measured(domain, metric, since, until, version=version, arm=arm)
        return Rollup.merged(point.rollup for point in found)

    def series(
        self,
        domain: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        resolution: Resolution | None = None,
        version: str | None = None,
        arm: str | None = None,
    ) -> Sequence[Point]:
        """One metric by version, arm and time, oldest first; ``key.minute`` is the first instant of each point.

        Args:
            domain: of the versions.
            metric: by name.
            since: the first point is of the minute, hour or day that it falls into.
            until: excluded.
            resolution: of the points; by default the finest that gives at most 400 instants. What has been forgotten
                at this resolution comes in coarser points.
            version: only of this one.
            arm: only of this one.

        Raises:
            InvalidInput: ``since`` is not before ``until``.
        """
        resolution = resolution or resolution_for(since, until, MOST_POINTS)
        _check_span(since, until)
        since = resolution.floor(since)
        found = self._covering(domain, since, until, coarsest=resolution, metric=metric, version=version, arm=arm)
        grouped: dict[SeriesKey, list[Rollup]] = {}
        if not found:
            found = self._judged(domain, metric, since, until, floor=resolution.floor, version=version, arm=arm)
        for point in found:
            key = replace(point.key, minute=resolution.floor(point.key.minute))
            grouped.setdefault(key, []).append(point.rollup)
        return [Point(key, Rollup.merged(rollups)) for key, rollups in grouped.items()]

    def summary(
        self, domain: str, since: datetime | None = None, until: datetime | None = None, *, by_arm: bool = True
    ) -> Sequence[MetricSummary]:
        """Every metric of every version, by default over the last hour; ``by_arm``: of each arm by itself."""
        since, until = self._span(since, until)
        found = self._covering(domain, since, until)
        if not by_arm:
            found = [replace(point, key=replace(point.key, arm="")) for point in found]
        return summarise(found)

    def shadow_summary(
        self, domain: str, version: str, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[MetricSummary]:
        """What a version showed while it answered in the shadow, by default over the last hour."""
        since, until = self._span(since, until)
        return summarise(self._covering(domain, since, until, version=version, arm=SHADOW_ARM))

    def _measured(
        self,
        domain: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        version: str | None = None,
        arm: str | None = None,
    ) -> Sequence[Point]:
        """Observations of a metric; where there are none, what feedback says. Never both: they may be the same."""
        found = self._covering(domain, since, until, metric=metric, version=version, arm=arm)
        return found or self._judged(domain, metric, since, until, version=version, arm=arm)

    def _judged(
        self,
        domain: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        floor: Callable[[datetime], datetime] | None = None,
        version: str | None = None,
        arm: str | None = None,
    ) -> Sequence[Point]:
        with self._database.read() as connection:
            return store.feedback_points(
                connection, domain, metric, since, until, floor=floor, version=version, arm=arm
            )

    def _covering(
        self,
        domain: str,
        since: datetime,
        until: datetime,
        *,
        coarsest: Resolution = Resolution.DAY,
        metric: str | None = None,
        version: str | None = None,
        arm: str | None = None,
    ) -> Sequence[Point]:
        """Points that together hold every observation of a span, in as few rows as there are."""
        _check_span(since, until)
        hours_since = Resolution.DAY.floor(self._clock.now() - self._hours_kept)
        found: list[Point] = []
        with self._database.read() as connection:
            for span in spans(minute_of(since), until, history.kept(connection, hours_since), coarsest):
                read = (
                    store.points(connection, domain, span.since, span.until, metric=metric, version=version, arm=arm)
                    if span.resolution is Resolution.MINUTE
                    else history.history(connection, domain, span, metric=metric, version=version, arm=arm)
                )
                found += read
        return found

    def trend(
        self,
        domain: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        version: str | None = None,
        resolution: Resolution | None = None,
    ) -> tuple[Trend, Sequence[Point]]:
        """Whether the mean of a metric rises or falls over a span, over all its versions or of one; and the points.

        Args:
            domain: of the versions.
            metric: by name.
            since: beginning of the span.
            until: its end, excluded.
            version: only of this one.
            resolution: of the points; by default the finest that gives at most 400.

        Raises:
            InvalidInput: ``since`` is not before ``until``.
        """
        resolution = resolution or resolution_for(since, until, MOST_POINTS)
        found = self.series(domain, metric, since, until, resolution=resolution, version=version)
        merged: dict[datetime, list[Rollup]] = {}
        for point in found:
            merged.setdefault(point.key.minute, []).append(point.rollup)
        points = [
            Point(SeriesKey(domain, version or "", "", metric, at), Rollup.merged(rollups))
            for at, rollups in sorted(merged.items())
        ]
        days = [(point.key.minute - since) / timedelta(days=1) for point in points]
        return trend(days, [point.rollup.mean for point in points]), points

    def versions_by(self, domain: str, metric: str, since: datetime, until: datetime) -> Mapping[str, Rollup]:
        """One metric of every version of a domain over a span, for `comparison.compare` and `comparison.rank`.

        Raises:
            InvalidInput: ``since`` is not before ``until``.
        """
        found: dict[str, list[Rollup]] = {}
        for point in self._measured(domain, metric, since, until):
            found.setdefault(point.key.version, []).append(point.rollup)
        return {version: Rollup.merged(rollups) for version, rollups in sorted(found.items())}

    def requests_per_s(self, domain: str, span: timedelta = timedelta(hours=1)) -> float:
        """Requests of a domain per second over a span up to now, or since its first one; 0 without any."""
        until = self._clock.now() + timedelta(microseconds=1)
        found = [point for point in self.points(domain, until - span, until, metric="latency_ms") if point.rollup.count]
        if not found:
            return 0.0
        seen_for = until - min(point.key.minute for point in found)
        return sum(point.rollup.count for point in found) / max(60.0, seen_for.total_seconds())

    def feedback_summary(
        self, domain: str, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[FeedbackSummary]:
        """The feedback on every version, by when it was given, by default over the last hour."""
        since, until = self._span(since, until)
        _check_span(since, until)
        with self._database.read() as connection:
            return store.feedback_summaries(connection, domain, since, until)

    def mark(self, domain: str, since: datetime) -> Mark:
        """How much was observed of a domain in the minutes from an instant on; another mark: something is new."""
        with self._database.read() as connection:
            return store.mark(connection, domain, minute_of(since))

    def feedback_on(self, domain: str, *, limit: int = 100) -> Sequence[Feedback]:
        """The latest feedback on a domain, newest first."""
        with self._database.read() as connection:
            return store.feedback_of(connection, domain, limit)

    def request(self, request_id: str) -> ServedRequest | None:
        """Which version answered a request; None when it is not (or no longer, or not yet) in the log."""
        with self._database.read() as connection:
            return store.logged_request(connection, request_id)

    def _span(self, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
        end = until or self._clock.now() + timedelta(microseconds=1)
        return since or end - _DEFAULT_SPAN, end


def _check_span(since: datetime, until: datetime) -> None:
    for name, instant in (("since", since), ("until", until)):
        if instant.tzinfo is None:
            raise InvalidInput(f"{name} has no timezone: {instant.isoformat()}", what=name, allowed="2026-01-31T12:00Z")
    if since >= until:
        raise InvalidInput(f"since ({since.isoformat()}) is not before until ({until.isoformat()})", what="since")
