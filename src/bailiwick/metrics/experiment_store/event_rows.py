"""The log of exposures and outcomes: written in the order of each process, read once by the tally, exported, purged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    delete,
    func,
    select,
)

from bailiwick.metrics.events import ExposureEvent
from bailiwick.metrics.experiment_store.tables import experiment_event, experiment_mark, experiment_writer, insert_or
from bailiwick.metrics.store import feedback
from bailiwick.storage.bulk import among


def write_events(connection: Connection, writer: str, events: Sequence[ExposureEvent], at: datetime) -> None:
    """Append events; those that are there already, from a commit whose answer was lost, stay as they are."""
    if not events:
        return
    insert_or(connection, experiment_event, [_event_row(writer, each) for each in events], ())
    insert_or(connection, experiment_writer, [{"writer": writer, "head": events[-1].part, "at": at}], ("head", "at"))


def is_behind(connection: Connection) -> bool:
    """Whether there is anything to tally."""
    waiting = select(feedback.c.request_id).where(feedback.c.pending).limit(1)
    return bool(_behind(connection)) or connection.execute(waiting).first() is not None


def new_events(connection: Connection, limit: int) -> Sequence[ExposureEvent]:
    """Events that are not in the totals yet, writer by writer without a gap; the oldest first."""
    found: list[ExposureEvent] = []
    table = experiment_event.c
    for writer, part in _behind(connection):
        query = select(experiment_event).where(table.writer == writer, table.part > part).order_by(table.part)
        found += [_event(row) for row in connection.execute(query.limit(limit - len(found)))]
        if len(found) >= limit:
            break
    return sorted(found, key=lambda each: (each.at, each.writer, each.part))


def advance(connection: Connection, events: Iterable[ExposureEvent]) -> None:
    """Move the marks: these events are in the totals."""
    heads: dict[str, int] = {}
    for each in events:
        heads[each.writer] = max(each.part, heads.get(each.writer, 0))
    insert_or(connection, experiment_mark, [{"writer": key, "part": part} for key, part in heads.items()], ("part",))


def purge_writers(connection: Connection, before: datetime) -> int:
    """Forget processes that have logged nothing since, and none of whose events is left."""
    writer = experiment_writer.c
    event = select(experiment_event.c.part).where(experiment_event.c.writer == writer.writer).exists()
    gone = connection.execute(delete(experiment_writer).where(writer.at < before, ~event)).rowcount
    known = select(writer.writer).where(writer.writer == experiment_mark.c.writer).exists()
    connection.execute(delete(experiment_mark).where(~known))
    return gone


def events_after(
    connection: Connection, experiment: str, marks: Mapping[str, int], limit: int
) -> tuple[Sequence[ExposureEvent], dict[str, int]]:
    """Events of an experiment beyond the marks, writer by writer, and the marks after them."""
    heads = connection.execute(select(experiment_writer).order_by(experiment_writer.c.writer)).all()
    found: list[ExposureEvent] = []
    moved = dict(marks)
    table = experiment_event.c
    for row in heads:
        seen = marks.get(row.writer, 0)
        if row.head <= seen:
            continue
        query = select(experiment_event).where(
            table.writer == row.writer, table.part > seen, table.part <= row.head, table.experiment == experiment
        )
        room = limit - len(found)
        page = [_event(each) for each in connection.execute(query.order_by(table.part).limit(room))]
        found += page
        moved[row.writer] = page[-1].part if len(page) == room else row.head
        if len(found) >= limit:
            break
    return found, moved


def feedback_values(connection: Connection, request_ids: Collection[str]) -> dict[str, dict[str, float]]:
    """The feedback on requests, by request and metric."""
    if not request_ids:
        return {}
    table = feedback.c
    query = select(table.request_id, table.metric, table.value).where(
        among(connection.dialect.name, table.request_id, request_ids), table.value.is_not(None)
    )
    found: dict[str, dict[str, float]] = {}
    for row in connection.execute(query):
        found.setdefault(row.request_id, {})[row.metric] = row.value
    return found


def purge_events(connection: Connection, before: datetime) -> int:
    """Forget events older than an instant that are in the totals; the totals stay."""
    table = experiment_event.c
    tallied = (
        select(experiment_mark.c.part)
        .where(experiment_mark.c.writer == table.writer, experiment_mark.c.part >= table.part)
        .exists()
    )
    return connection.execute(delete(experiment_event).where(table.at < before, tallied)).rowcount


def _behind(connection: Connection) -> Sequence[tuple[str, int]]:
    """Writers with events beyond their mark, and the mark; who has logged least lately comes first."""
    writer, mark = experiment_writer.c, experiment_mark.c
    seen = func.coalesce(mark.part, 0)
    query = (
        select(writer.writer, seen.label("seen"))
        .outerjoin(experiment_mark, mark.writer == writer.writer)
        .where(writer.head > seen)
        .order_by(writer.at, writer.writer)
    )
    return [(row.writer, row.seen) for row in connection.execute(query)]


def _gather(sums: dict[str, tuple[float, int]], values: Mapping[str, float]) -> None:
    for metric, value in values.items():
        total, count = sums.get(metric, (0.0, 0))
        sums[metric] = (total + value, count + 1)


def _event_row(writer: str, event: ExposureEvent) -> dict[str, Any]:
    return {
        "writer": writer,
        "part": event.part,
        "at": event.at,
        "experiment": event.experiment,
        "epoch": event.epoch,
        "arm": event.arm,
        "unit": event.unit,
        "request_id": event.request_id,
        "domain": event.domain,
        "version": event.version,
        "propensity": event.propensity,
        "outcomes": event.outcomes,
    }


def _event(row: Row[Any]) -> ExposureEvent:
    return ExposureEvent(
        part=row.part,
        at=row.at,
        experiment=row.experiment,
        epoch=row.epoch,
        arm=row.arm,
        unit=row.unit,
        request_id=row.request_id,
        domain=row.domain,
        version=row.version,
        propensity=row.propensity,
        outcomes=row.outcomes,
        writer=row.writer,
    )
