"""The tables of experiments: the log of exposures, what is known of each unit, and the totals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bailiwick.metrics.events import ExposureEvent
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.metrics.store import feedback, request_log
from bailiwick.metrics.tally import ArmDifference, ArmKey, TotalDifference, TotalKey, UnitKey, UnitState
from bailiwick.statistics.moments import UnitMoments
from bailiwick.storage.bulk import among
from bailiwick.storage.schema import Json, UtcDateTime, metadata

_MOMENTS = tuple(UnitMoments.__dataclass_fields__)

metric_state = Table(
    "metric_state",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("secret", LargeBinary, nullable=True),
    Column("until", UtcDateTime, nullable=True),
)
"""One row per kind of upkeep: locked by whoever does it, so that only one does at a time."""

experiment_event = Table(
    "experiment_event",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("experiment", String(200), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("arm", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("request_id", String(100), nullable=True, index=True),
    Column("domain", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("propensity", Float(53), nullable=False),
    Column("outcomes", Json, nullable=False),
)

experiment_writer = Table(
    "experiment_writer",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""How far each process has logged."""

experiment_mark = Table(
    "experiment_mark",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("part", BigInteger, nullable=False),
)
"""How far each process's events are in the totals."""

experiment_unit = Table(
    "experiment_unit",
    metadata,
    Column("unit", String(32), primary_key=True),
    Column("experiment", String(200), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("arm", String(200), nullable=False),
    Column("sums", Json, nullable=False),
    Column("covariates", Json, nullable=False),
)

experiment_covariate = Table(
    "experiment_covariate",
    metadata,
    Column("unit", String(32), primary_key=True),
    Column("experiment", String(200), primary_key=True),
    Column("means", Json, nullable=False),
    Index("ix_experiment_covariate_experiment", "experiment"),
)

experiment_feedback = Table(
    "experiment_feedback",
    metadata,
    Column("request_id", String(100), primary_key=True),
    Column("metric", String(200), primary_key=True),
    Column("experiment", String(200), primary_key=True),
    Column("unit", String(32), nullable=False),
    Column("value", Float(53), nullable=True),
)
"""What feedback is in the totals, so that a later one replaces exactly it."""

experiment_total = Table(
    "experiment_total",
    metadata,
    Column("experiment", String(200), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("arm", String(200), primary_key=True),
    Column("metric", String(200), primary_key=True),
    *(Column(name, Float(53), nullable=False) for name in _MOMENTS),
    Column("sketch", LargeBinary, nullable=False),
)

experiment_arm = Table(
    "experiment_arm",
    metadata,
    Column("experiment", String(200), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("arm", String(200), primary_key=True),
    Column("units", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("crossed", BigInteger, nullable=False),
)

experiment_terms = Table(
    "experiment_terms",
    metadata,
    Column("experiment", String(200), primary_key=True),
    Column("feedback_window_s", Float(53), nullable=False),
    Column("covariates_since", UtcDateTime, nullable=True),
    Column("covariates_until", UtcDateTime, nullable=True),
)


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


def insert_or(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], overwrite: Collection[str]
) -> None:
    """Insert rows in one prepared statement, and overwrite these columns of those that exist (none: keep them)."""
    if not rows:
        return
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    keys = list(table.primary_key)
    if overwrite:
        changes = {name: statement.excluded[name] for name in overwrite}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=keys), rows)


def write_events(connection: Connection, writer: str, events: Sequence[ExposureEvent], at: datetime) -> None:
    """Append events; those that are there already, from a commit whose answer was lost, stay as they are."""
    if not events:
        return
    insert_or(connection, experiment_event, [_event_row(writer, each) for each in events], ())
    insert_or(connection, experiment_writer, [{"writer": writer, "head": events[-1].part, "at": at}], ("head", "at"))


def lock(connection: Connection, name: str) -> Row[Any]:
    """Wait until nobody else does this kind of upkeep; the row of its state. Held until the end of the unit."""
    insert_or(connection, metric_state, [{"name": name, "revision": 0}], ())
    return connection.execute(
        update(metric_state)
        .where(metric_state.c.name == name)
        .values(revision=metric_state.c.revision + 1)
        .returning(*metric_state.c)
    ).one()


def secret(connection: Connection, name: str, fresh: bytes) -> bytes:
    """The secret of this database, which is made once."""
    insert_or(connection, metric_state, [{"name": name, "revision": 0, "secret": fresh}], ())
    query = select(metric_state.c.secret).where(metric_state.c.name == name)
    found: bytes = connection.execute(query).scalar_one()
    return found


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


def units(connection: Connection, keys: Collection[UnitKey]) -> dict[UnitKey, UnitState]:
    """What is known of units; those that are unknown are left out."""
    table = experiment_unit.c
    wanted = {key.unit for key in keys}
    query = select(experiment_unit).where(among(connection.dialect.name, table.unit, wanted))
    return {
        UnitKey(row.experiment, row.unit): UnitState(
            row.epoch, row.arm, {metric: (total, count) for metric, (total, count) in row.sums.items()}, row.covariates
        )
        for row in connection.execute(query)
    }


def covariates(connection: Connection, keys: Collection[UnitKey]) -> dict[UnitKey, Mapping[str, float]]:
    """The covariates of units."""
    if not keys:
        return {}
    query = select(experiment_covariate).where(
        among(connection.dialect.name, experiment_covariate.c.unit, {key.unit for key in keys})
    )
    return {UnitKey(row.experiment, row.unit): row.means for row in connection.execute(query)}


def write_units(connection: Connection, states: Mapping[UnitKey, UnitState]) -> None:
    """Write the new state of units."""
    rows = [
        {
            "unit": key.unit,
            "experiment": key.experiment,
            "epoch": state.epoch,
            "arm": state.arm,
            "sums": state.sums,
            "covariates": state.covariates,
        }
        for key, state in states.items()
    ]
    insert_or(connection, experiment_unit, rows, ("sums",))


def add_totals(connection: Connection, differences: Mapping[TotalKey, TotalDifference]) -> None:
    """Add differences to the totals. Only under `lock`."""
    if not differences:
        return
    table = experiment_total.c
    touched = {key.experiment for key in differences}
    query = select(experiment_total).where(among(connection.dialect.name, table.experiment, touched))
    present = {TotalKey(row.experiment, row.epoch, row.arm, row.metric): row for row in connection.execute(query)}
    rows = []
    for key, difference in differences.items():
        row = present.get(key)
        moments = UnitMoments() if row is None else _moments(row)
        sketch = Sketch.of([]) if row is None else Sketch.from_bytes(row.sketch)
        moments += difference.moments
        sketch = Sketch.merged((sketch, difference.added))
        if difference.removed.count:
            sketch -= difference.removed
        sums = dict(zip(_MOMENTS, astuple(moments), strict=True))
        rows.append({**key._asdict(), **sums, "sketch": sketch.to_bytes()})
    insert_or(connection, experiment_total, rows, (*_MOMENTS, "sketch"))


def add_arms(connection: Connection, differences: Mapping[ArmKey, ArmDifference]) -> None:
    """Add differences to the counters of arms."""
    if not differences:
        return
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(experiment_arm)
    adding = {name: experiment_arm.c[name] + statement.excluded[name] for name in ("units", "requests", "crossed")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(experiment_arm.primary_key), set_=adding),
        [
            {**key._asdict(), "units": each.units, "requests": each.requests, "crossed": each.crossed}
            for key, each in differences.items()
        ],
    )


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


def has_units(connection: Connection, experiment: str) -> bool:
    """Whether any unit of the experiment is in the totals."""
    query = select(experiment_arm.c.arm).where(experiment_arm.c.experiment == experiment).limit(1)
    return connection.execute(query).first() is not None


def unit_means(
    connection: Connection, since: datetime, until: datetime, domain: str | None
) -> dict[str, dict[str, float]]:
    """The mean of each metric by unit, from the log of requests and the feedback on them. ``until`` is excluded."""
    return {
        unit: {metric: total / count for metric, (total, count) in metrics.items()}
        for unit, metrics in unit_sums(connection, since, until, domain).items()
    }


def unit_sums(
    connection: Connection, since: datetime, until: datetime, domain: str | None
) -> dict[str, dict[str, tuple[float, int]]]:
    """Sum and number of each metric's values by unit, from the log and the feedback. ``until`` is excluded."""
    table = request_log.c
    span = [table.unit.is_not(None), table.at >= since, table.at < until]
    if domain is not None:
        span.append(table.domain == domain)
    sums: dict[str, dict[str, tuple[float, int]]] = {}
    for row in connection.execute(select(table.unit, table.outcomes).where(*span)):
        _gather(sums.setdefault(row.unit, {}), row.outcomes or {})
    judged = (
        select(table.unit, feedback.c.metric, feedback.c.value)
        .join(feedback, feedback.c.request_id == table.request_id)
        .where(*span, feedback.c.value.is_not(None), feedback.c.at < until)
    )
    for unit, metric, value in connection.execute(judged):
        _gather(sums.setdefault(unit, {}), {metric: value})
    return sums


def newest_requests_since(connection: Connection, domain: str, since: datetime, most: int) -> datetime | None:
    """When the oldest of the newest so many requests of known units was answered; None where there is none."""
    table = request_log.c
    newest = (
        select(table.at)
        .where(table.domain == domain, table.at >= since, table.unit.is_not(None))
        .order_by(table.at.desc())
        .limit(most)
        .subquery()
    )
    found: datetime | None = connection.execute(select(func.min(newest.c.at))).scalar()
    return found


def forget(connection: Connection, experiment: str) -> int:
    """Delete what is known of an experiment's units: their sums, covariates and feedback; the totals stay.

    Returns:
        How many units are forgotten.
    """
    for table in (experiment_covariate, experiment_feedback):
        connection.execute(delete(table).where(table.c.experiment == experiment))
    return connection.execute(delete(experiment_unit).where(experiment_unit.c.experiment == experiment)).rowcount


def purge_writers(connection: Connection, before: datetime) -> int:
    """Forget processes that have logged nothing since, and none of whose events is left."""
    writer = experiment_writer.c
    event = select(experiment_event.c.part).where(experiment_event.c.writer == writer.writer).exists()
    gone = connection.execute(delete(experiment_writer).where(writer.at < before, ~event)).rowcount
    known = select(writer.writer).where(writer.writer == experiment_mark.c.writer).exists()
    connection.execute(delete(experiment_mark).where(~known))
    return gone


def write_covariates(
    connection: Connection,
    experiment: str,
    means: Mapping[str, Mapping[str, float]],
    since: datetime,
    until: datetime,
    window: timedelta,
) -> None:
    """Set the covariates of an experiment, instead of those that it had."""
    connection.execute(delete(experiment_covariate).where(experiment_covariate.c.experiment == experiment))
    rows = [{"unit": unit, "experiment": experiment, "means": each} for unit, each in means.items()]
    insert_or(connection, experiment_covariate, rows, ())
    terms = {
        "experiment": experiment,
        "feedback_window_s": window.total_seconds(),
        "covariates_since": since,
        "covariates_until": until,
    }
    insert_or(connection, experiment_terms, [terms], ("covariates_since", "covariates_until"))


def arm_totals(connection: Connection, experiment: str) -> Sequence[ArmTotals]:
    """The totals of an experiment, by epoch, arm and metric."""
    table = experiment_total.c
    query = select(experiment_total).where(table.experiment == experiment)
    return [
        ArmTotals(row.experiment, row.epoch, row.arm, row.metric, _moments(row), Sketch.from_bytes(row.sketch))
        for row in connection.execute(query.order_by(table.epoch, table.arm, table.metric))
    ]


def arm_units(connection: Connection, experiment: str) -> Sequence[ArmUnits]:
    """The counters of an experiment, by epoch and arm."""
    table = experiment_arm.c
    query = select(experiment_arm).where(table.experiment == experiment).order_by(table.epoch, table.arm)
    return [ArmUnits(**row) for row in connection.execute(query).mappings()]


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


def _moments(row: Row[Any]) -> UnitMoments:
    values = row._mapping  # "count" is a method of every row
    return UnitMoments(*(values[name] for name in _MOMENTS))
