"""Records observations and feedback, and answers what was observed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.metrics import history, store
from bailiwick.metrics.events import ExposureEvent, digest
from bailiwick.metrics.experiment_store import event_rows
from bailiwick.metrics.experiment_totals import TALLY_LIMIT, ExperimentTotals
from bailiwick.metrics.exposition import families
from bailiwick.metrics.exposures import ArmTotals, ArmUnits, Exposure
from bailiwick.metrics.feedback import check_feedback
from bailiwick.metrics.model import (
    Feedback,
    FeedbackSummary,
    Mark,
    MetricSummary,
    Point,
    RecorderCounts,
    SeriesKey,
    TallyCounts,
)
from bailiwick.metrics.observations import SHADOW_ARM, Exposed, Observation, ServedRequest, is_recordable
from bailiwick.metrics.prometheus import Family
from bailiwick.metrics.recorder import Recorder
from bailiwick.metrics.resolution import Resolution, resolution_for, spans
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.summary import summarise
from bailiwick.metrics.trend import Trend, trend
from bailiwick.metrics.window import Row, minute_of
from bailiwick.storage.database import Database

_PURGE_EVERY = timedelta(minutes=10)
_DEFAULT_SPAN = timedelta(hours=1)
_LATE_MARGIN = timedelta(hours=12)
_COMPACT_AFTER = timedelta(minutes=10)
_HOURS_AT_ONCE = 24
MOST_POINTS = 400


class MetricsService:
    """The metric store of the fleet; one per process. Close it, or the last second is lost.

    Args:
        requests_kept: how long the log of requests is kept, so that feedback finds its request, and covariates of
            experiments can be computed.
        minutes_kept: how long rollups of minutes are kept; observations older than 12 hours less are refused.
        hours_kept: how long rollups of hours are kept; those of days stay.
        events_kept: how long the log of exposures is kept; never shorter than feedback on them counts.
        unit_key: of the digests of units; by default a random one that the database keeps.
        capacity: observations that wait in memory at most; what comes beyond is dropped and counted.
        flush_interval_s: how long until an observation is in the database.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        requests_kept: timedelta = timedelta(days=30),
        minutes_kept: timedelta = timedelta(days=3),
        hours_kept: timedelta = timedelta(days=400),
        events_kept: timedelta = timedelta(days=30),
        unit_key: bytes | None = None,
        capacity: int = 100_000,
        flush_interval_s: float = 1.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._requests_kept = requests_kept
        self._writer = secrets.token_hex(12)
        self._purged_at: datetime | None = None
        self._minutes_kept = minutes_kept
        self._hours_kept = hours_kept
        oldest = minutes_kept - _LATE_MARGIN
        self._recorder = Recorder(self._write, clock, capacity=capacity, interval_s=flush_interval_s, oldest=oldest)

        self.experiments = ExperimentTotals(database, clock, events_kept=events_kept, unit_key=unit_key)

    def record(
        self,
        domain: str,
        version: str,
        metric: str,
        value: float,
        *,
        arm: str = "",
        at: datetime | None = None,
    ) -> bool:
        """Take one number; returns at once, False when it was dropped."""
        return self._recorder.offer(Observation(at or self._clock.now(), domain, version, metric, value, arm))

    def reason_to_refuse(
        self, domain: str, version: str, metric: str, value: float, arm: str, at: datetime
    ) -> str | None:
        """Why an observation would be refused, in words; None where it would not."""
        if not is_recordable(Observation(at, domain, version, metric, value, arm)):
            return "a name does not fit, or the value is no finite number of at most 1e100"
        if not self._recorder.is_timely(at):
            return "too old, or more than an hour ahead"
        return None

    def served(
        self,
        request_id: str,
        domain: str,
        version: str,
        values: Mapping[str, float],
        *,
        arm: str = "",
        at: datetime | None = None,
        exposures: Sequence[Exposure] = (),
        unit: str = "",
    ) -> bool:
        """Take one answered request with its numbers; returns at once, False when it was dropped.

        Args:
            request_id: that feedback will name.
            domain: that answered.
            version: that answered.
            values: what was measured, by metric; they are also the outcomes of the exposures.
            arm: of the rollout that the request belonged to.
            at: when; default now.
            exposures: the experiments that the request took part in.
            unit: who asked, such as a user; only a keyed digest is kept. It makes later experiments sharper
                (`set_covariates`) where it is the same text that they randomise.
        """
        at = at or self._clock.now()
        return self._recorder.offer(ServedRequest(at, request_id, domain, version, values, arm, tuple(exposures), unit))

    def exposed(
        self,
        exposures: Sequence[Exposure],
        *,
        request_id: str | None = None,
        domain: str = "",
        version: str = "",
        values: Mapping[str, float] | None = None,
        at: datetime | None = None,
    ) -> bool:
        """Take exposures apart from an answered request; returns at once, False when they were dropped.

        For the evaluation of a flag, and for a failed attempt with ``values`` such as ``{"failed": 1}``. The values
        enter the experiments only; `record` them as well where they are to be seen in the domain's metrics.
        """
        at = at or self._clock.now()
        return self._recorder.offer(Exposed(at, tuple(exposures), request_id, domain, version, values or {}))

    def feedback(
        self,
        request_id: str,
        *,
        metric: str = "correct",
        value: float | None = None,
        label: str | None = None,
        comment: str | None = None,
        domain: str | None = None,
        version: str | None = None,
    ) -> Feedback:
        """Keep what somebody says of an answer; on disk when this returns.

        The request may not be in the log yet: what the client says of domain and version counts until it is.
        Feedback on the same request and metric takes the place of an earlier one, so a retry counts once.

        Args:
            request_id: as the answer named it.
            metric: what is judged.
            value: a finite number; True and False count as 1 and 0.
            label: what the answer should have been.
            comment: free words.
            domain: that answered, where the client knows it.
            version: that answered, where the client knows it.

        Raises:
            InvalidInput: the request id is malformed, nothing is said, or what is said does not fit.
            Unavailable: the database cannot be written.
        """
        check_feedback(request_id, metric, value, label, comment, domain, version)
        try:
            with self._database.write() as connection:
                request = store.logged_request(connection, request_id)
                given = Feedback(
                    request_id=request_id,
                    metric=metric,
                    value=None if value is None else float(value),
                    label=label,
                    comment=comment,
                    domain=request.domain if request else domain,
                    version=request.version if request else version,
                    arm=request.arm if request else "",
                    joined=request is not None,
                    at=self._clock.now(),
                )
                store.write_feedback(self._database, connection, given)
        except SQLAlchemyError as error:
            raise Unavailable(f"the feedback cannot be written: {error}", remedy="send it again") from error
        return given

    def flush(self) -> bool:
        """Write what was recorded until now; False when the database does not take it (it is tried again)."""
        return self._recorder.flush()

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
        found = self._covering(domain, since, until, metric=metric, version=version, arm=arm)
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
        for point in found:
            key = replace(point.key, minute=resolution.floor(point.key.minute))
            grouped.setdefault(key, []).append(point.rollup)
        return [Point(key, Rollup.merged(rollups)) for key, rollups in grouped.items()]

    def summary(
        self, domain: str, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[MetricSummary]:
        """Every metric of every version, by default over the last hour."""
        since, until = self._span(since, until)
        return summarise(self._covering(domain, since, until))

    def shadow_summary(
        self, domain: str, version: str, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[MetricSummary]:
        """What a version showed while it answered in the shadow, by default over the last hour."""
        since, until = self._span(since, until)
        return summarise(self._covering(domain, since, until, version=version, arm=SHADOW_ARM))

    def compact(self) -> int:
        """Make rollups of hours and days from minutes that are new, and forget what is old. Returns how many hours.

        Any process may do it at any time; see `history.compact`.
        """
        made = 0
        while True:
            with self._database.write(durable=False) as connection:
                until = Resolution.HOUR.floor(self._clock.now() - _COMPACT_AFTER)
                done = history.compact(connection, until, _HOURS_AT_ONCE)
            made += done
            if done < _HOURS_AT_ONCE:
                break
        now = self._clock.now()
        minutes_since = Resolution.HOUR.floor(now - self._minutes_kept)
        with self._database.write(durable=False) as connection:
            history.purge(connection, minutes_since, Resolution.DAY.floor(now - self._hours_kept))
        return made

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
        for point in self._covering(domain, since, until, metric=metric):
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

    def counts(self) -> RecorderCounts:
        """What became of the observations of this process."""
        return self._recorder.counts()

    def families(self) -> list[Family]:
        """Counters of this process, for Prometheus."""
        return families(self.counts(), self._recorder.totals())

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._recorder.close()

    def tally(self, limit: int = TALLY_LIMIT) -> TallyCounts:
        """Take new exposures, outcomes and feedback into the totals; see `ExperimentTotals.tally`."""
        return self.experiments.tally(limit)

    def arm_totals(self, experiment: str) -> Sequence[ArmTotals]:
        """The totals of an experiment, as of the last tally."""
        return self.experiments.arm_totals(experiment)

    def arm_units(self, experiment: str) -> Sequence[ArmUnits]:
        """How many units entered each arm, as of the last tally."""
        return self.experiments.arm_units(experiment)

    def _write(
        self, rows: Sequence[Row], requests: Sequence[ServedRequest], exposures: Sequence[ExposureEvent]
    ) -> None:
        key = self.experiments.unit_key() if requests or exposures else b""
        digested = [replace(each, unit=digest(each.unit, key)) for each in exposures]
        try:
            with self._database.write(durable=False) as connection:
                store.write_rows(self._database, connection, self._writer, rows)
                store.write_requests(self._database, connection, requests, key)
                event_rows.write_events(connection, self._writer, digested, self._clock.now())
                store.join_feedback(connection)
            self._purge()
        except SQLAlchemyError as error:
            raise Unavailable(f"the observations cannot be written: {error}") from error

    def _purge(self) -> None:
        now = self._clock.now()
        if self._purged_at is None or now - self._purged_at >= _PURGE_EVERY:
            self._purged_at = now
            with self._database.write(durable=False) as connection:
                store.purge_requests(connection, now - self._requests_kept)
            self.experiments.purge()

    def _span(self, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
        end = until or self._clock.now() + timedelta(microseconds=1)
        return since or end - _DEFAULT_SPAN, end


def _check_span(since: datetime, until: datetime) -> None:
    for name, instant in (("since", since), ("until", until)):
        if instant.tzinfo is None:
            raise InvalidInput(f"{name} has no timezone: {instant.isoformat()}", what=name, allowed="2026-01-31T12:00Z")
    if since >= until:
        raise InvalidInput(f"since ({since.isoformat()}) is not before until ({until.isoformat()})", what="since")
