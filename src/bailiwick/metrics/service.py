"""Records observations and feedback, and answers what was observed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.clock import Clock
from bailiwick.errors import Unavailable
from bailiwick.metrics import history, store
from bailiwick.metrics.events import ExposureEvent, digest
from bailiwick.metrics.experiment_store import event_rows
from bailiwick.metrics.experiment_totals import TALLY_LIMIT, ExperimentTotals
from bailiwick.metrics.exposition import families
from bailiwick.metrics.exposures import ArmTotals, ArmUnits, Exposure
from bailiwick.metrics.feedback import check_feedback
from bailiwick.metrics.model import (
    Feedback,
    RecorderCounts,
    TallyCounts,
)
from bailiwick.metrics.observations import Exposed, Observation, ServedRequest, is_recordable
from bailiwick.metrics.prometheus import Family
from bailiwick.metrics.reading import MetricReader
from bailiwick.metrics.recorder import Recorder
from bailiwick.metrics.resolution import Resolution
from bailiwick.metrics.window import Row
from bailiwick.storage.database import Database

_PURGE_EVERY = timedelta(minutes=10)
_LATE_MARGIN = timedelta(hours=12)
_COMPACT_AFTER = timedelta(minutes=10)
_HOURS_AT_ONCE = 24


class MetricsService(MetricReader):
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
        super().__init__(database, clock, hours_kept)
        self._requests_kept = requests_kept
        self._writer = secrets.token_hex(12)
        self._purged_at: datetime | None = None
        self._minutes_kept = minutes_kept
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
