"""Records observations and feedback, and answers what was observed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.metrics import store
from bailiwick.metrics.exposition import families
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.feedback import check_feedback
from bailiwick.metrics.model import Feedback, FeedbackSummary, MetricSummary, Point, RecorderCounts
from bailiwick.metrics.observations import Exposed, Observation, ServedRequest
from bailiwick.metrics.prometheus import Family
from bailiwick.metrics.recorder import Recorder
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.summary import summarise
from bailiwick.metrics.window import Row, minute_of
from bailiwick.storage.database import Database

_PURGE_EVERY = timedelta(minutes=10)
_DEFAULT_SPAN = timedelta(hours=1)


class MetricsService:
    """The metric store of the fleet; one per process. Close it, or the last second is lost.

    Args:
        requests_kept: how long the log of requests is kept, so that feedback finds its request.
        capacity: observations that wait in memory at most; what comes beyond is dropped and counted.
        flush_interval_s: how long until an observation is in the database.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        requests_kept: timedelta = timedelta(days=30),
        capacity: int = 100_000,
        flush_interval_s: float = 1.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._requests_kept = requests_kept
        self._writer = secrets.token_hex(12)
        self._purged_at: datetime | None = None
        self._recorder = Recorder(self._write, clock, capacity=capacity, interval_s=flush_interval_s)

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

        Raises:
            InvalidInput: ``since`` is not before ``until``.
        """
        found = self.points(domain, since, until, metric=metric, version=version, arm=arm)
        return Rollup.merged(point.rollup for point in found)

    def summary(
        self, domain: str, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[MetricSummary]:
        """Every metric of every version, by default over the last hour."""
        since, until = self._span(since, until)
        return summarise(self.points(domain, since, until))

    def feedback_summary(
        self, domain: str, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[FeedbackSummary]:
        """The feedback on every version, by when it was given, by default over the last hour."""
        since, until = self._span(since, until)
        _check_span(since, until)
        with self._database.read() as connection:
            return store.feedback_summaries(connection, domain, since, until)

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

    def _write(self, rows: Sequence[Row], requests: Sequence[ServedRequest]) -> None:
        try:
            with self._database.write(durable=False) as connection:
                store.write_rows(self._database, connection, self._writer, rows)
                store.write_requests(self._database, connection, requests)
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

    def _span(self, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
        end = until or self._clock.now() + timedelta(microseconds=1)
        return since or end - _DEFAULT_SPAN, end


def _check_span(since: datetime, until: datetime) -> None:
    for name, instant in (("since", since), ("until", until)):
        if instant.tzinfo is None:
            raise InvalidInput(f"{name} has no timezone: {instant.isoformat()}", what=name, allowed="2026-01-31T12:00Z")
    if since >= until:
        raise InvalidInput(f"since ({since.isoformat()}) is not before until ({until.isoformat()})", what="since")
