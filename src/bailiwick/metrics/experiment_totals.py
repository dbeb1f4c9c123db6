"""Keeps the totals of experiments: what every analysis reads, in O(arms x metrics x epochs) rows."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, InvalidInput
from bailiwick.metrics.events import EventPage, LoggedOutcome
from bailiwick.metrics.experiment_store import event_rows, feedback_rows, tables, total_rows, unit_rows
from bailiwick.metrics.experiment_store.feedback_rows import Judgement
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.model import TallyCounts
from bailiwick.metrics.tally import Tally, UnitKey
from bailiwick.statistics.moments import UnitMoments
from bailiwick.storage.database import Database

TALLY_LIMIT = 5_000
"""Events in one transaction: about a tenth of a second, in which nobody else writes on SQLite."""

FEEDBACK_WINDOW = timedelta(days=7)

PAST_REQUESTS = 200_000
"""Of which a plan is made at most: some seconds of reading."""

_LARGEST_CURSOR = 100_000


@dataclass(frozen=True, slots=True)
class Covariates:
    """Each unit's mean of each metric over a span before an experiment."""

    since: datetime
    until: datetime
    means: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class PastUnits:
    """What a metric showed per unit.

    Args:
        moments: over the units that gave a value.
        units: distinct units that asked, whether or not they gave a value.
        span: over which.
    """

    moments: UnitMoments
    units: int
    span: timedelta


class ExperimentTotals:
    """Reads the log of exposures beyond its marks and adds what is new to the totals, each event exactly once.

    Marks, totals and the state of units change in one transaction, which only one process does at a time; a process
    that dies in it has done nothing. Any process may tally at any time.

    Args:
        events_kept: how long events are kept; never shorter than the longest window of feedback.
        unit_key: of the digests of units; by default a random one that the database keeps.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        events_kept: timedelta = timedelta(days=30),
        unit_key: bytes | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._events_kept = events_kept
        self._unit_key = unit_key

    def unit_key(self) -> bytes:
        """The key of the digests of units."""
        if self._unit_key is None:
            with self._database.write() as connection:
                self._unit_key = tables.secret(connection, "unit_key", secrets.token_bytes(32))
        return self._unit_key

    def tally(self, limit: int = TALLY_LIMIT) -> TallyCounts:
        """Take up to ``limit`` events, and as much feedback, into the totals.

        Returns:
            How much was taken in. Fewer events than ``limit``: there is nothing more just now.
        """
        with self._database.read() as connection:
            if not event_rows.is_behind(connection):
                return TallyCounts()
        with self._database.write(durable=False) as connection:
            return _tally(connection, limit)

    def tally_all(self) -> TallyCounts:
        """Tally until nothing is left."""
        done = TallyCounts()
        while True:
            with self._database.read() as connection:
                if not event_rows.is_behind(connection):
                    return done
            done += self.tally()

    def arm_totals(self, experiment: str) -> Sequence[ArmTotals]:
        """The totals by epoch, arm and metric, as of the last tally."""
        with self._database.read() as connection:
            return total_rows.arm_totals(connection, experiment)

    def arm_units(self, experiment: str) -> Sequence[ArmUnits]:
        """How many units entered by epoch and arm, as of the last tally."""
        with self._database.read() as connection:
            return total_rows.arm_units(connection, experiment)

    def set_feedback_window(self, experiment: str, window: timedelta) -> None:
        """Count feedback that comes within this time after the exposure; 7 days where nothing is set.

        Raises:
            InvalidInput: not positive, or longer than exposures are kept.
        """
        with self._database.write() as connection:
            self.agree(connection, experiment, window)

    def set_covariates(self, experiment: str, since: datetime, until: datetime, *, domain: str | None = None) -> int:
        """Take each unit's mean of each metric over a time before the experiment as its covariates.

        The means come from the log of requests (`MetricsService.served` with ``unit``) and the feedback on them. What
        is older than requests are kept is not seen; a unit without requests has the covariate 0. Call it before the
        first exposure: what is known only afterwards could bias the result.

        Returns:
            How many units have covariates.

        Raises:
            InvalidInput: the span is empty or not over.
            Conflict: units have entered already.
        """
        covariates = self.covariates(since, until, domain=domain)
        with self._database.write() as connection:
            self.agree(connection, experiment, covariates=covariates)
        return len(covariates.means)

    def covariates(self, since: datetime, until: datetime, *, domain: str | None = None) -> Covariates:
        """What `set_covariates` would set; nothing is written.

        Raises:
            InvalidInput: the span is empty or not over.
        """
        if since.tzinfo is None or until.tzinfo is None or since >= until or until > self._clock.now():
            raise InvalidInput(
                f"{since.isoformat()} to {until.isoformat()} is no time before the experiment",
                what="since",
                allowed="two instants with time zone, the first before the second, both past",
            )
        with self._database.read() as connection:
            return Covariates(since, until, unit_rows.unit_means(connection, since, until, domain))

    def agree(
        self,
        connection: Connection,
        experiment: str,
        window: timedelta | None = None,
        covariates: Covariates | None = None,
    ) -> None:
        """`set_feedback_window` and `set_covariates` in the caller's unit, who audits it. None: leave it as it is.

        Raises:
            InvalidInput, Conflict: as those.
        """
        if window is not None:
            if not timedelta() < window <= self._events_kept:
                raise InvalidInput(
                    f"feedback on {experiment!r} cannot count for {window}",
                    what="feedback_window",
                    requested=str(window),
                    allowed=f"more than 0, at most {self._events_kept} (exposures are forgotten then)",
                )
            feedback_rows.write_window(connection, experiment, window)
        if covariates is not None:
            tables.lock(connection, "tally")
            if unit_rows.has_units(connection, experiment):
                raise Conflict(
                    f"units have entered experiment {experiment!r} already",
                    what="experiment",
                    requested=experiment,
                    remedy="covariates are set before the first exposure",
                )
            given = covariates.means, covariates.since, covariates.until
            unit_rows.write_covariates(connection, experiment, *given, FEEDBACK_WINDOW)

    def past_units(self, domain: str, metric: str, since: datetime) -> PastUnits | None:
        """What a metric showed per unit lately: of the newest 200,000 requests; None where no unit is known.

        Args:
            domain: that answered.
            metric: measured or judged.
            since: not further back than this.
        """
        now = self._clock.now()
        with self._database.read() as connection:
            oldest = unit_rows.newest_requests_since(connection, domain, since, PAST_REQUESTS)
            if oldest is None:
                return None
            sums = unit_rows.unit_sums(connection, oldest, now + timedelta(seconds=1), domain)
        values = [metrics[metric] for metrics in sums.values() if metric in metrics]
        moments = UnitMoments.of([total for total, _ in values], [float(count) for _, count in values])
        return PastUnits(moments, len(sums), now - oldest)

    def forget(self, connection: Connection, experiment: str) -> int:
        """Forget the units of an experiment that is over for good, in the caller's unit; its totals and log stay.

        Late feedback on it no longer counts. Returns how many units.
        """
        tables.lock(connection, "tally")
        return unit_rows.forget(connection, experiment)

    def events(self, experiment: str, *, after: str = "", limit: int = 1_000) -> EventPage:
        """A page of the log of exposures with their outcomes, and the feedback on them as it stands now.

        Following the cursor from page to page gives every event exactly once, also those that are logged meanwhile.

        Args:
            experiment: by name.
            after: the cursor of the page before; empty for the first.
            limit: lines on the page at most.

        Raises:
            InvalidInput: no such cursor.
        """
        marks = _marks(after)
        with self._database.read() as connection:
            found, moved = event_rows.events_after(connection, experiment, marks, max(1, limit))
            values = event_rows.feedback_values(connection, {each.request_id for each in found if each.request_id})
        lines = tuple(LoggedOutcome(each, values.get(each.request_id or "", {})) for each in found)
        return EventPage(lines, base64.urlsafe_b64encode(json.dumps(moved).encode()).decode())

    def every_event(self, experiment: str) -> Iterator[LoggedOutcome]:
        """The log of an experiment to its end."""
        page = self.events(experiment)
        while page.lines:
            yield from page.lines
            page = self.events(experiment, after=page.cursor)

    def purge(self) -> int:
        """Forget events that are old and in the totals; the totals stay. Returns how many."""
        with self._database.write(durable=False) as connection:
            kept = max(self._events_kept, FEEDBACK_WINDOW, feedback_rows.longest_window(connection))
            purged = event_rows.purge_events(connection, self._clock.now() - kept)
            event_rows.purge_writers(connection, self._clock.now() - kept)
            return purged


def _tally(connection: Connection, limit: int) -> TallyCounts:
    tables.lock(connection, "tally")
    events = event_rows.new_events(connection, limit)
    event_rows.advance(connection, events)
    requests = {each.request_id for each in events if each.request_id is not None}
    requests |= {request_id for request_id, _ in feedback_rows.take_pending(connection, limit)}
    judged = feedback_rows.judgements(connection, requests)
    keys = {UnitKey(each.experiment, each.unit) for each in events}
    known = unit_rows.units(connection, keys | {UnitKey(each.event.experiment, each.event.unit) for each in judged})
    tally = Tally(known, unit_rows.covariates(connection, keys - known.keys()))
    for event in events:
        tally.expose(event)
    counted = _judge(connection, tally, judged)
    unit_rows.write_units(connection, tally.units())
    total_rows.add_totals(connection, tally.totals())
    total_rows.add_arms(connection, tally.arms())
    return TallyCounts(len(events), counted)


def _judge(connection: Connection, tally: Tally, judged: Sequence[Judgement]) -> int:
    """Apply what feedback changes; a later one that comes too late changes nothing."""
    windows = feedback_rows.windows(connection, {each.event.experiment for each in judged}, FEEDBACK_WINDOW)
    applied = [
        each
        for each in judged
        if each.value != each.counted
        and each.at - each.event.at <= windows[each.event.experiment]
        and tally.judge(each.event, each.metric, each.counted, each.value)
    ]
    feedback_rows.write_counted(connection, applied)
    return len(applied)


def _marks(cursor: str) -> Mapping[str, int]:
    if not cursor:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor.encode())) if len(cursor) < _LARGEST_CURSOR else None
    except (ValueError, binascii.Error):
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, int) for each in found.values()):
        raise InvalidInput("no such cursor", what="after", remedy="give back the cursor of the page before")
    return found
