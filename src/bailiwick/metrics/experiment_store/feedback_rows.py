"""Feedback on exposed requests: what waits to be counted, and what was counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    func,
    select,
    update,
)

from bailiwick.metrics.events import ExposureEvent
from bailiwick.metrics.experiment_store.event_rows import _event
from bailiwick.metrics.experiment_store.tables import (
    experiment_event,
    experiment_feedback,
    experiment_mark,
    experiment_terms,
    insert_or,
)
from bailiwick.metrics.store import feedback
from bailiwick.storage.bulk import among


@dataclass(frozen=True, slots=True)
class Judgement:
    """One exposed request with one feedback on it.

    Args:
        event: of the first exposure of the request in the experiment.
        value: that the feedback gives now; None where it only says words.
        at: when it was given.
        counted: what is in the totals for it; None for nothing.
    """

    event: ExposureEvent
    metric: str
    value: float | None
    at: datetime
    counted: float | None


def take_pending(connection: Connection, limit: int) -> Sequence[tuple[str, str]]:
    """Requests and metrics whose feedback is new, and which now count as looked at.

    A row that is being written just now is passed over: it stays new.
    """
    table = feedback.c
    waiting = (
        select(table.request_id, table.metric)
        .where(table.pending)
        .order_by(table.request_id, table.metric)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [(row.request_id, row.metric) for row in connection.execute(waiting)]
    if found:
        connection.execute(
            update(feedback)
            .where(table.request_id == bindparam("request"), table.metric == bindparam("judged"))
            .values(pending=False),
            [{"request": request_id, "judged": metric} for request_id, metric in found],
        )
    return found


def judgements(connection: Connection, request_ids: Collection[str]) -> Sequence[Judgement]:
    """The feedback on requests, once for each experiment in which their exposure is in the totals or in this batch."""
    if not request_ids:
        return []
    known, event, given = experiment_feedback, experiment_event, feedback
    query = (
        select(
            event,
            given.c.metric,
            given.c.value,
            given.c.at.label("given_at"),
            known.c.value.label("counted"),
            known.c.unit.label("known_unit"),
        )
        .join(experiment_mark, and_(experiment_mark.c.writer == event.c.writer, experiment_mark.c.part >= event.c.part))
        .join(given, given.c.request_id == event.c.request_id)
        .outerjoin(
            known,
            and_(
                known.c.request_id == event.c.request_id,
                known.c.metric == given.c.metric,
                known.c.experiment == event.c.experiment,
            ),
        )
        .where(among(connection.dialect.name, event.c.request_id, request_ids))
        .order_by(event.c.at, event.c.writer, event.c.part)
    )
    found: dict[tuple[str | None, str, str], Judgement] = {}
    for row in connection.execute(query):
        if row.known_unit in (None, row.unit):  # a request id may come twice; what was counted stays with its unit
            key = (row.request_id, row.metric, row.experiment)
            found.setdefault(key, Judgement(_event(row), row.metric, row.value, row.given_at, row.counted))
    return list(found.values())


def write_counted(connection: Connection, counted: Sequence[Judgement]) -> None:
    """Remember what feedback is in the totals now: the value of each judgement."""
    rows = [
        {
            "request_id": each.event.request_id,
            "metric": each.metric,
            "experiment": each.event.experiment,
            "unit": each.event.unit,
            "value": each.value,
        }
        for each in counted
    ]
    insert_or(connection, experiment_feedback, rows, ("value",))


def windows(connection: Connection, experiments: Collection[str], default: timedelta) -> dict[str, timedelta]:
    """How long after an exposure feedback on it counts, by experiment."""
    table = experiment_terms.c
    query = select(table.experiment, table.feedback_window_s).where(
        among(connection.dialect.name, table.experiment, experiments)
    )
    own = {row.experiment: timedelta(seconds=row.feedback_window_s) for row in connection.execute(query)}
    return {each: own.get(each, default) for each in experiments}


def longest_window(connection: Connection) -> timedelta:
    """The longest window of any experiment; zero without one."""
    found = connection.execute(select(func.max(experiment_terms.c.feedback_window_s))).scalar()
    return timedelta(seconds=found or 0)


def write_window(connection: Connection, experiment: str, window: timedelta) -> None:
    """Set how long feedback counts."""
    row = {"experiment": experiment, "feedback_window_s": window.total_seconds()}
    insert_or(connection, experiment_terms, [row], ("feedback_window_s",))
